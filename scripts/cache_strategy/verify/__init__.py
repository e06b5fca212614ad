"""The `verify` stage: a contract and the user's own command to a verdict."""

from cache_strategy.verify.junit import junit
from cache_strategy.verify.proof import verify
from cache_strategy.verify.redis_process import private_redis
from cache_strategy.verify.side_by_side import Tour, pages_in

__all__ = ["Tour", "junit", "pages_in", "private_redis", "verify"]
