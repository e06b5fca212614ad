"""Pieces of the generated module: what an entry of the contract is in Python."""

import re
from dataclasses import dataclass

from cache_strategy.emit.targets._base import python
from cache_strategy.model.contract import Dependency, Entry, Invalidator
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import KeyPart

ALIAS = "caches"
"""What the application calls the module of the entries."""
FLASK_NAMES = ("current_app", "g", "request", "session")


@dataclass(frozen=True, kw_only=True)
class EntryCode:
    """
    One entry as the template needs it.

    `key_parameters` are the route's parameters; `key_items` the lines of the key's mapping, in the contract's order.
    """

    entry: Entry
    name: str
    depends_on: tuple[str, ...]
    layers: tuple[str, ...]
    cache_control: str
    vary: tuple[str, ...]
    key_items: tuple[tuple[str, str], ...]
    key_parameters: tuple[str, ...]
    key_signature: str
    view_body: str
    view_order: str

    @property
    def keeps(self) -> bool:
        return bool(self.layers)

    @property
    def keeps_statements(self) -> bool:
        return self.keeps and self.entry.kind == "endpoint" and "statements" in self.entry.layers


def entry_code(entry: Entry, framework: str) -> EntryCode:
    """An entry's code; CacheStrategyError if a key part has a source that cannot be read in an endpoint."""
    body, order = split_order(entry.view_sql)
    endpoint = entry.kind == "endpoint"
    parameters = tuple(p.name for p in entry.key if p.source == "path") if endpoint else ()
    given = givers_of(entry, framework)
    signature = parameters if framework == "flask" else ("request", *parameters, *given, "**_")
    return EntryCode(
        entry=entry,
        name=entry.id.replace("-", "_"),
        depends_on=tuple(_tag(dependency) for dependency in entry.depends_on),
        layers=tuple(layer for layer in entry.layers if layer in ("memory", "redis")),
        cache_control=cache_control_of(entry),
        vary=_vary(entry, framework),
        key_items=tuple((p.name, _expression(p, framework, entry.key)) for p in entry.key)
        if endpoint
        else (),
        key_parameters=parameters,
        key_signature=", ".join(f"{name}: Any" for name in signature),
        view_body=body,
        view_order=order,
    )


def givers_of(entry: Entry, framework: str) -> tuple[str, ...]:
    """The parameters of an endpoint of FastAPI, what dependencies gave it, of which its key is made."""
    found = (_given(part, framework) for part in entry.key)
    return tuple(dict.fromkeys(each[1] for each in found if each))


def _given(part: KeyPart, framework: str) -> re.Match[str] | None:
    return GIVEN.fullmatch(part.expression) if framework == "fastapi" and part.source == "user" else None


def _tag(dependency: Dependency) -> str:
    name = f"{dependency.table}.{dependency.column}" if dependency.column else dependency.table
    return f"{name}:{{{dependency.row}}}" if dependency.row else name


def finders_of(entry: Entry) -> list[tuple[str, str]]:
    """The tables and unique columns by which the key of an entry names rows."""
    named = (part.expression.partition("=")[0] for part in entry.key if part.source == "row")
    return [(name.rpartition(".")[0], name.rpartition(".")[2]) for name in named]


def statement_of(entry: Entry, invalidator: Invalidator) -> str:
    """What a writer calls after its commit, where the contract says write-through or tag."""
    if invalidator.how == "write-through":
        return f"{ALIAS}.{entry.id.replace('-', '_')}.invalidate({invalidator.call})"
    return f"{ALIAS}.cache.invalidate({', '.join(map(python, entry.tags or invalidator.tables))})"


def cache_control_of(entry: Entry) -> str:
    """
    The Cache-Control of an entry, as the contract says or as its bounds allow.

    A browser or a CDN cannot be told of a write: it may keep an answer no longer than the staleness bound, and asks
    every time (with the ETag) where the bound is 0. `public` is said only where a person confirmed the bound: it lets a
    shared cache keep even the answer to a request with credentials.
    Source: RFC 9111, sections 3.5, 5.2.2.4 and 5.2.2.9.
    """
    if entry.http and entry.http.cache_control:
        return entry.http.cache_control
    bound = entry.staleness_bound_seconds
    freshness = f"max-age={bound}" if bound else "no-cache"
    if _is_private(entry):
        return f"private, {freshness}"
    return f"public, {freshness}" if bound and entry.staleness_source == "confirmed" else freshness


def _is_private(entry: Entry) -> bool:
    return any(part.source in ("user", "session") for part in entry.key)


def header_name(name: str) -> str:
    """A header as it is sent, also of a name in Django's META."""
    return name[5:].replace("_", "-").title() if META.fullmatch(name) else name


def _vary(entry: Entry, framework: str) -> tuple[str, ...]:
    names = list(entry.http.vary) if entry.http else []
    for part in entry.key:
        header = {"header": header_name(part.name), "cookie": "Cookie", "locale": "Accept-Language"}.get(
            part.source
        )
        if header and header not in names:
            names.append(header)
    if _is_private(entry):
        by_token = framework == "fastapi" or any("jwt" in part.expression for part in entry.key)
        names += ["Authorization", "Cookie"] if by_token else ["Cookie"]
    return tuple(dict.fromkeys(names))


WHOLE_QUERY = 'request.query_string.decode("utf-8", "replace")'
NAMED = re.compile(r'request\.(header|cookie)s\.get\((["\'])(.*)\2\)')
META = re.compile(r"HTTP_[A-Z0-9_]+")
GIVEN = re.compile(r"(?!request\b)([a-z]\w*)(\.[a-z_]\w*)?")
"""A parameter of an endpoint, or one attribute of it: who asks, as a dependency of FastAPI gives it."""
READS = {
    "flask": {
        "all": WHOLE_QUERY,
        "query": "request.args.getlist({})",
        "header": "request.headers.get({})",
        "cookie": "request.cookies.get({})",
    },
    "django": {
        "all": 'request.META.get("QUERY_STRING", "")',
        "query": "request.GET.getlist({})",
        "header": "request.headers.get({})",
        "cookie": "request.COOKIES.get({})",
    },
    "fastapi": {
        "all": "request.url.query",
        "query": "request.query_params.getlist({})",
        "header": "request.headers.get({})",
        "cookie": "request.cookies.get({})",
    },
}
"""How each framework reads what a key part names; a contract may say it in Flask's words, which are understood for all."""


def _expression(part: KeyPart, framework: str, key: tuple[KeyPart, ...]) -> str:
    if part.source == "path":
        return part.name
    if part.source == "row":
        name, _, other = part.expression.partition("=")
        value = next(_expression(each, framework, key) for each in key if each.name == other)
        return f"{name.replace('.', '_by_')}({value})"
    named = NAMED.fullmatch(part.expression)
    source, name = (named[1], named[3]) if named else (part.source, part.name)
    given = _given(part, framework)
    if given:
        return f"None if {given[1]} is None else {part.expression}" if given[2] else given[1]
    if part.expression == WHOLE_QUERY:
        return READS[framework]["all"]
    if part.expression and not named:
        is_of_request = framework != "flask" and part.expression.startswith("session.")
        return f"request.{part.expression}" if is_of_request else part.expression
    if framework == "django" and source == "header" and META.fullmatch(name):
        return f"request.META.get({python(name)})"
    if source in READS[framework]:
        return READS[framework][source].format(python(name))
    raise CacheStrategyError(
        f"{part.name}: its source {part.source!r} needs an expression; write how the code reads it."
    )


def imports_for(codes: list[EntryCode], framework: str) -> tuple[list[str], list[str]]:
    """The modules to import, and the names to import from flask, for the expressions of the keys."""
    modules, names = set[str](), set[str]()
    for expression in (e for code in codes if code.keeps for _, e in code.key_items):
        if framework == "fastapi" and expression.startswith("None if "):
            continue
        for dotted in re.findall(r"(?<![\w.\"'])([A-Za-z_][\w.]*)\s*\.", expression):
            root = dotted.split(".")[0]
            if framework != "flask" and root != "request":
                modules.add(dotted)  # `django.utils.translation.get_language()` names its module whole
            elif framework == "flask":
                (names if root in FLASK_NAMES else modules).add(root)
    return sorted(modules), sorted(names)


ORDER_BY = re.compile(r"\bORDER\s+BY\s+([^()]+?)\s*;?\s*$", re.I | re.S)


def split_order(sql: str) -> tuple[str, str]:
    """A query without its final ORDER BY, and that order: a view has none, the SELECT from it does."""
    match = ORDER_BY.search(sql)
    if not match:
        return sql.strip().rstrip(";"), ""
    return sql[: match.start()].strip(), " ".join(match[1].split())
