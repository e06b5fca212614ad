"""The contract, `cache-strategy.yaml`: what is cached, where, under which key, how stale it may be, what invalidates it."""

from dataclasses import dataclass
from typing import Literal

from cache_strategy.model.evidence import Endpoint, Evidence, KeyPart, Layer, Source, Writer

EntryKind = Literal["function", "endpoint", "view"]
How = Literal["ttl", "write-through", "event", "tag"]
WarmWhen = Literal["startup", "deploy", "schedule"]
Target = Literal["runtime", "flask-caching"]


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """
    A table whose change makes the entry stale.

    `row` names the key part that holds the primary key of the one row read; "" means any row of the table. With `column`
    it holds what that column has in the rows that are read (`article_id` of comments).
    """

    table: str
    row: str = ""
    column: str = ""


@dataclass(frozen=True, kw_only=True)
class Invalidator:
    """
    One writer of a dependency and how its writes invalidate the entry.

    `writer` is "path:qualname". `call`, for write-through, is the argument list of the entry's key at the writer
    ("user_id"). `line` is where the writer begins (for people; the name is what counts).
    """

    writer: str
    tables: tuple[str, ...]
    how: How
    writes: str = "orm"
    call: str = ""


@dataclass(frozen=True, kw_only=True)
class Warming:
    """
    Which keys are filled ahead of the first reader, and when.

    `keys` is SQL whose rows are the key's parts in order, or "" for an entry without key parts.
    """

    when: WarmWhen
    keys: str = ""
    limit: int = 1000


@dataclass(frozen=True, kw_only=True)
class Http:
    """
    Headers of an endpoint.

    `cache_control` as sent; "" means derived: `private` where the key holds a user, max-age never above the
    staleness bound, `no-cache` (revalidate with the ETag) where the bound is 0. `vary` are header names.
    """

    cache_control: str = ""
    vary: tuple[str, ...] = ()
    etag: bool = True


@dataclass(frozen=True, kw_only=True)
class Entry:
    """
    One cache.

    `target` is "path:qualname". `staleness_bound_seconds` is the longest time a reader may see an old value after
    a committed write; `staleness_source` says who says so ("assumed" until a person confirms: "measured" is never
    right here, "derived" means it follows from other entries). `window_seconds` is how long a process may trust its
    memory without asking Redis, at most the bound. `view_sql` is the body of the materialized view of kind "view".
    `tags` are names besides the tables under which the entry can be invalidated. A part of the key whose source is "row"
    is the primary key of a row that another part names by a unique column: `articles_article.slug=slug`.
    """

    id: str
    target: str
    kind: EntryKind
    layers: tuple[Layer, ...]
    key: tuple[KeyPart, ...]
    ttl_seconds: int
    depends_on: tuple[Dependency, ...]
    invalidated_by: tuple[Invalidator, ...]
    because: tuple[str, ...]
    data: str = ""
    emit: Target = "runtime"
    staleness_bound_seconds: int = 0
    staleness_source: Source | Literal["confirmed"] = "assumed"
    window_seconds: float = 0
    tags: tuple[str, ...] = ()
    warming: tuple[Warming, ...] = ()
    http: Http | None = None
    view_sql: str = ""
    view_key: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ContractApplication:
    """Where the emitted modules go and how they meet the application. Names as in `Application`."""

    framework: str
    package: str
    package_path: str
    factory: str
    instance: str
    database: str
    session: str
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Redis:
    """
    The Redis that the caches share.

    `url_env` names the environment variable; without it every cache is off. `budget_ms` is the most a request waits
    for Redis. `maxmemory_mb` and `policy` go into docker-compose.
    """

    url_env: str = "REDIS_URL"
    namespace: str = "app"
    budget_ms: int = 100
    maxmemory_mb: int = 256
    policy: str = "allkeys-lru"
    maxmemory_source: Source = "assumed"


@dataclass(frozen=True, kw_only=True)
class StaticAssets:
    """Files under `prefix` whose names carry a fingerprint may be kept for `max_age_seconds`."""

    prefix: str = "/static/"
    max_age_seconds: int = 31_536_000


@dataclass(frozen=True, kw_only=True)
class Infrastructure:
    """What stands around the application."""

    redis: Redis = Redis()
    cdn: tuple[Literal["nginx", "cloudflare"], ...] = ()
    static: StaticAssets | None = None
    metrics_route: str = "/metrics/cache"
    compose: bool = True


@dataclass(frozen=True, kw_only=True)
class ContractRejection:
    """What is not cached, and why."""

    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The whole document."""

    application: ContractApplication
    infrastructure: Infrastructure
    entries: tuple[Entry, ...]
    rejected: tuple[ContractRejection, ...] = ()
    schema: int = 1


def writer_name(writer: Writer) -> str:
    """ "path:qualname", as `invalidated_by` names a writer."""
    return f"{writer.path}:{writer.qualname}"


def endpoints_of(entry: Entry, evidence: Evidence) -> list[Endpoint]:
    """The endpoints that an entry serves: its own, or those whose code leads to it."""
    own = [e for e in evidence.endpoints if f"{e.path}:{e.qualname}" == entry.target]
    if own:
        return own
    ids = {i for c in evidence.candidates if f"{c.path}:{c.qualname}" == entry.target for i in c.endpoints}
    return [e for e in evidence.endpoints if e.id in ids]
