"""docker-compose: the Redis that the caches share, with its memory and its eviction policy."""

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import Target, render
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence

PATH = "docker-compose.cache.yml"


def emit(contract: Contract, evidence: Evidence, draft: Draft) -> None:
    """A compose file of its own, so that the one in the repository stays as it is: `docker compose -f … -f …`."""
    if not contract.infrastructure.compose or not contract.entries:
        return
    text = render(__file__, "docker-compose.cache.yml.j2", redis=contract.infrastructure.redis, path=PATH)
    draft.write(PATH, text, "A Redis for the caches, with bounded memory.")


target = Target(__name__, emit)
