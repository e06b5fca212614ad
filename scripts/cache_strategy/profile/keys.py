"""The parts of a candidate's key: its parameters, and what else its answer depends on."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cache_strategy.model.evidence import ContextRead, KeyPart, RowRead
from cache_strategy.profile.facts import Read
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.source_text import quoted

_PERSONAL = frozenset({"user", "session"})
_USER_NAMES = re.compile(r"(^|_)(user|uid|account|member|customer|identity|email|login)", re.IGNORECASE)
CREDENTIALS = frozenset("authorization x-api-key x-auth-token cookie".split())
# These do not change between two calls in one deployment.
_CONSTANT = frozenset("settings environment files flag path".split())


@dataclass(frozen=True)
class ContextKey:
    """Key parts for context; `problem` says why the context cannot be a key part, "" where it can."""

    parts: tuple[KeyPart, ...]
    per_user: bool
    problem: str


def key_of_context(
    analysis: Analysis,
    context: Iterable[ContextRead],
    identities: Mapping[ContextRead, str],
    is_endpoint: bool = False,
) -> ContextKey:
    """
    The parts that context adds to a key.

    `identities` are the expressions of parameters that hold who asks. An endpoint may show what was flashed: who has
    such a message is never answered from a cache, and to all others the page is the same.
    """
    parts: dict[str, KeyPart] = {}
    several = len(set(identities.values())) > 1
    problem = ""
    per_user = False
    for read in sorted(context, key=lambda c: (c.kind, c.name, c.expression, c.path, c.line)):
        if read.kind in _CONSTANT or (is_endpoint and (read.kind, read.name) == ("session", "flashes")):
            continue
        if read.kind in _PERSONAL:
            per_user = True
        told = identities.get(read, "")
        name = told.partition(".")[0] if several else "user"
        part = KeyPart(name=name, source="user", expression=told) if told else _part(analysis, read)
        if part is None:
            problem = problem or f"depends on {_words(read)}, which cannot be told by a key"
        else:
            parts.setdefault(part.name, part)
    return ContextKey(tuple(parts.values()), per_user, problem)


def _part(analysis: Analysis, read: ContextRead) -> KeyPart | None:
    if read.kind == "user":
        expression = _identity(analysis, read)
        return KeyPart(name="user", source="user", expression=expression) if expression else None
    if read.kind == "session":
        if read.name in ("", "flashes", "csrf_token") or "session" not in read.expression.lower():
            return None  # the last: a request's own attribute, or a thread's
        source = "user" if _USER_NAMES.search(read.name) else "session"
        expression = _identity(analysis, read) or f"session.get({quoted(read.name)})"
        return KeyPart(name=read.name, source=source, expression=expression)
    if read.kind == "query":
        if not read.name:
            whole = 'request.query_string.decode("utf-8", "replace")'
            return KeyPart(name="query_string", source="query", expression=whole)
        return KeyPart(name=read.name, source="query")
    if read.kind in ("header", "cookie") and read.name and read.name.lower() not in CREDENTIALS:
        expression = f"request.{read.kind}s.get({quoted(read.name)})"
        return KeyPart(name=read.name, source=read.kind, expression=expression)
    found = (_identity(analysis, read) or read.expression) if read.kind in ("locale", "tenant") else ""
    if found and "…" not in found:
        return KeyPart(name=read.kind, source=read.kind, expression=found)
    return None


def _identity(analysis: Analysis, read: ContextRead) -> str:
    return next((found for ask in analysis.hooks["identity"] if (found := str(ask(analysis, read)))), "")


def _words(read: ContextRead) -> str:
    named = f" {read.name}" if read.name else ""
    return f"the {read.kind}{named} ({read.expression}, {read.path}:{read.line})"


def rows_of(reads: frozenset[Read], parts: tuple[KeyPart, ...]) -> tuple[RowRead, ...]:
    names = {part.name for part in parts}
    by_table: dict[str, set[str]] = {}
    for table, key in reads:
        by_table.setdefault(table, set()).add(key.argument if key is not None else "")
    return tuple(
        RowRead(table=table, key=next(iter(arguments)))
        for table, arguments in sorted(by_table.items())
        if len(arguments) == 1 and arguments <= names
    )
