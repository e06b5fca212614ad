"""The `verify` stage: a contract and the user's own command to a verdict."""

from cache_strategy.verify.junit import junit
from cache_strategy.verify.proof import verify
from cache_strategy.verify.redis_process import private_redis

__all__ = ["junit", "private_redis", "verify"]
