"""What is known about a repository: static effects and measurements."""

from dataclasses import dataclass
from typing import Literal

UNKNOWN_TABLE = "?"
"""Stands in `reads` and `writes` where a table could not be known."""

CandidateKind = Literal["endpoint", "function", "template", "query", "static"]
Layer = Literal["memory", "redis", "http", "matview", "request", "statements"]
""""statements": what the SELECTs of an endpoint gave, in process memory, for its answers under other keys. Of "request" only a candidate speaks so far: what one request asks for several times, kept until it is answered."""
Source = Literal["measured", "derived", "assumed"]
WriterHow = Literal["orm", "bulk", "raw-sql", "many-to-many", "cascade", "ddl"]
Returned = Literal["plain", "orm", "response", "template", "lazy", "none", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """
    A number that says where it comes from.

    `unit` is spelled out ("ms", "requests/hour", "share", "bytes"). `n` is the number of observations,
    None where counting makes no sense. `where` names the file, the rule or the formula behind the value.
    """

    value: float
    unit: str
    source: Source
    where: str
    n: int | None = None


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A file that could not be read, and why. Never skipped in silence."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ContextRead:
    """
    One thing an answer depends on besides its arguments.

    `kind`: user, session, tenant, locale, role, header, cookie, query, body, flag, settings, time, random,
    files, environment. `name` is the header, query argument or session field where it is known, else "".
    `expression` is how this code reads it, as it stands in the source.
    """

    kind: str
    name: str
    expression: str
    path: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Effects:
    """
    What a function does, through all its callees.

    `reads` and `writes` hold table names as the database has them, "?" where one could not be known.
    `outside` are calls that leave the process besides the database, `side_effects` what cannot be undone by
    not calling again (mail, tasks, response mutation), `unknown` the calls that could not be resolved and
    may hide an effect. `queries` counts query sites; `query_in_loop` is true where one lies in a loop.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    context: tuple[ContextRead, ...] = ()
    outside: tuple[str, ...] = ()
    side_effects: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    queries: int = 0
    query_in_loop: bool = False
    aggregates: bool = False
    joins: int = 0
    renders: bool = False


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of the repository with its effects. `parameters` in order, without self and cls."""

    path: str
    line: int
    qualname: str
    module: str
    parameters: tuple[str, ...]
    returns: Returned
    effects: Effects
    decorators: tuple[str, ...] = ()
    is_async: bool = False


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """
    A route with a method, and the code that answers it.

    `id` is "GET /api/users/{user_id}". `route` is the full path with parameters in braces.
    `guards` are the decorators that demand or look up an identity, as written.
    """

    id: str
    method: str
    route: str
    path: str
    line: int
    qualname: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    context: tuple[str, ...]
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """
    A table as the code declares it.

    `primary_key` are column names. `parents` maps a foreign-key column to "table.column";
    `cascades` are the tables whose rows the database changes when a row of this one is deleted.
    """

    name: str
    path: str
    line: int
    model: str
    primary_key: tuple[str, ...]
    columns: tuple[str, ...]
    parents: dict[str, str]
    cascades: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A code path that changes tables, and how it does so."""

    path: str
    line: int
    qualname: str
    tables: tuple[str, ...]
    how: WriterHow


@dataclass(frozen=True, kw_only=True)
class KeyPart:
    """
    One part of a key.

    `source` is where it comes from: "argument" (a parameter of the function), "path" (of the route),
    "query" (argument of the URL), "user", "session", "header", "cookie", "locale", "tenant".
    `expression` is the code that reads it where that is not simply the name.
    """

    name: str
    source: str
    expression: str = ""


@dataclass(frozen=True, kw_only=True)
class RowRead:
    """The rows of `table` that an answer depends on are those whose primary key is the key part `key`."""

    table: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A function, endpoint, query, template part or static asset that may be worth a cache, best first."""

    rank: int
    path: str
    line: int
    qualname: str
    kind: CandidateKind
    layers: tuple[Layer, ...]
    key: tuple[KeyPart, ...]
    per_user: bool
    ttl_seconds: int | None
    reads: tuple[str, ...]
    writers: tuple[Writer, ...]
    score: float
    because: tuple[str, ...]
    endpoints: tuple[str, ...] = ()
    rows: tuple[RowRead, ...] = ()
    returns: Returned = "unknown"
    sql: str = ""
    """The text of a raw SQL aggregate without parameters, where the candidate is one: a materialized view's body."""
    more_writers: int = 0
    """Writers beyond those listed; `Evidence.writers` has all."""
    against: str = ""
    """Why it cannot be cached as it stands, and what would have to change first; "" where nothing speaks against it."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A candidate that must not be cached, with the reason. An entry, never an absence."""

    path: str
    line: int
    qualname: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Application:
    """
    How the application is put together, as far as the code says so.

    `package` is the import name of its main package, `package_path` that folder. `factory` and `instance` are
    "module:name" of create_app() and of a module-level app, "" where there is none. `database` is "module:name"
    of the ORM's object (`shop.extensions:db`), `session` the expression for its session (`db.session`).
    `requirements` are the files that declare dependencies, in the order in which emit prefers them.
    `existing_caches` are cache libraries or decorators already in use, as "path:line what".
    """

    package: str
    package_path: str
    factory: str
    instance: str
    database: str
    session: str
    requirements: tuple[str, ...] = ()
    existing_caches: tuple[str, ...] = ()
    static_folder: str = ""


@dataclass(frozen=True, kw_only=True)
class EndpointMeasurement:
    """
    What was measured of one endpoint or function.

    `id` is an endpoint's id, or "path:qualname" of a function. `figures` maps a name (requests_per_hour,
    latency_ms_p50, latency_ms_p95, database_ms_p50, outside_ms_p50, own_ms_p50, statements_per_request, answer_bytes,
    change_share, differs_between_users_share, writes_per_hour) to its measurement; one that is not known is absent. `reads` and `writes` are the tables that its
    statements were seen to use, `cookies` the names of those that it set.
    """

    id: str
    figures: dict[str, Measurement]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()


ObservationKind = Literal["statement", "plan", "table", "prefix", "key", "server", "entry"]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """
    What a running system said of something that is neither endpoint nor function.

    `tables` are those that it is about, `endpoints` and `functions` ("path:qualname") those whose code may be behind it
    (derived: they use its tables and the fewest others), `notes` what is to be seen in it, one sentence each.
    """

    kind: ObservationKind
    name: str
    figures: dict[str, Measurement]
    tables: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """Where the code says one thing of `target` (an endpoint's id or "path:qualname") and what was measured another."""

    target: str
    static: str
    measured: str
    consequence: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that `profile` and `record` found out about a repository."""

    repo: str
    commit: str
    frameworks: tuple[str, ...]
    orms: tuple[str, ...]
    files: int
    lines: int
    seconds: float
    unread: tuple[Unread, ...]
    endpoints: tuple[Endpoint, ...]
    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejected, ...]
    functions: tuple[Function, ...] = ()
    tables: tuple[Table, ...] = ()
    writers: tuple[Writer, ...] = ()
    application: Application | None = None
    measurements: tuple[EndpointMeasurement, ...] = ()
    observations: tuple[Observation, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    source_notes: tuple[str, ...] = ()
    schema: int = 1

    @property
    def built_with(self) -> str:
        """Frameworks and ORMs, each once: Django is both."""
        return ", ".join(dict.fromkeys((*self.frameworks, *self.orms))) or "no web framework"
