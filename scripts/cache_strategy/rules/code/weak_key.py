"""
CS117 weak-key

What it does
    Flags keys of a shared cache that are made of hash(), id(), repr() or the time, that join two parts with nothing
    between them, or that are a bare argument without a word of their own; and an edit that takes the hash from a part of
    any length.

Why is this bad
    hash() and id() differ between processes, so nothing is ever found or the wrong thing is; "1" + "23" is "12" + "3"; a
    bare id meets the id of another kind of thing.

Example
    from django.core.cache import cache
    def feed(url, page):
        key = f"feed:{url}{page}"
        found = cache.get(key)
        if found is None:
            found = fetch(url, page)
            cache.set(key, found, 60)
        return found

Use instead
    from django.core.cache import cache
    def feed(url, page):
        key = f"feed:{page}:{url}"
        found = cache.get(key)
        if found is None:
            found = fetch(url, page)
            cache.set(key, found, 60)
        return found

Known problems
    A cache that adds a prefix per kind of entry makes a bare key safe: allow the line.

Source
    https://docs.python.org/3/reference/datamodel.html#object.__hash__; 33 of 526 unsafe changes in 56 open-source
    projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._keys import KEY_NAME, Key, keys_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS117", severity="warning")

_WEAK = {
    "hash": "differs between processes",
    "id": "is the address of an object",
    "repr": "is how an object looks",
}
_HASHES = frozenset("md5 sha1 sha256 sha512 blake2b hexdigest quote quote_plus slugify urlencode".split())
_STEPS = frozenset("date strftime year month day hour minute isocalendar weekday toordinal replace".split())
_CLOCKS = frozenset("now utcnow time uuid4 uuid1 today random".split())
_GENERIC = regex(r"^(?:get|set|delete|read|write|load|store|save|has|add|put|pop|__\w+__)$|cache", patterns.I)


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    keys = [
        key for key in keys_of(node, module) if key.role in ("read", "store") and not _in_process(key, module)
    ]
    roles: "dict[str, set[str]]" = {}
    for key in keys:
        roles.setdefault(" ".join(sorted(key.parts)), set()).add(key.role)
    for key in keys:
        told = _weakness(key) if key.role == "store" else ""
        if not told and len(roles[" ".join(sorted(key.parts))]) == 2 and _is_bare(key, node):
            told = f"the key is the bare {next(iter(key.parts))}, which may be the key of another kind of entry as well"
        if told:
            yield rule.finding(
                key.place,
                told + ".",
                fix='Use a key of words and stable parts, for example f"feed:{page}:{url}"; hash long parts with hashlib.',
            )
            return


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        hashed = [key for key in keys_of(earlier, change.before) if key.calls & _HASHES]
        for key in keys_of(node, change.after) if hashed else ():
            if (
                key.role in ("read", "store")
                and not key.calls & _HASHES
                and any(key.parts == was.parts and key.words == was.words for was in hashed)
            ):
                yield rule.finding(
                    key.place,
                    f"{', '.join(sorted(key.parts))} in the key is no longer hashed: memcached refuses blanks and keys beyond 250 bytes.",
                    fix="Keep the hash, or quote and cut the part.",
                )
                break


def _in_process(key: Key, module: "IndexedModule") -> bool:
    """Whether the cache is an object of this process, where hash() and id() hold."""
    callee = getattr(key.place, "func", None)
    holder = callee.value if isinstance(callee, ast.Attribute) else None
    bound = module.bindings.get(text_of(holder))
    return isinstance(bound, (ast.Dict, ast.Call)) and text_of(getattr(bound, "func", None)).rpartition(".")[2] not in (
        "Cache", "Redis", "StrictRedis", "get_cache", "from_url",
    )  # fmt: skip


def _weakness(key: Key) -> str:
    for node in key.nodes:
        if isinstance(node, ast.Call):
            name = text_of(node.func).rpartition(".")[2]
            if isinstance(node.func, ast.Name) and name in _WEAK and node.args:
                return f"{name}() in the key {_WEAK[name]}"
            if name in _CLOCKS and not node.args and not _is_a_day(node, key):
                return f"{name}() in the key is new at every call, so nothing is ever found"
        elif isinstance(node, ast.JoinedStr):
            for one, two in zip(node.values, node.values[1:]):  # noqa: B905 - Python 3.9
                if (
                    isinstance(one, ast.FormattedValue)
                    and isinstance(two, ast.FormattedValue)
                    and not text_of(one.value).rpartition(".")[2].isupper()
                ):
                    return f"{{{ast.unparse(one.value)}}}{{{ast.unparse(two.value)}}} in the key have nothing between them"
    return ""


def _is_a_day(clock: ast.Call, key: Key) -> bool:
    """Whether only the day, the hour or another step of the time gets into the key."""
    if text_of(clock.func).endswith(("date.today", "timezone.localdate")) and not text_of(
        clock.func
    ).endswith("datetime.today"):
        return True
    return any(
        isinstance(node, ast.Attribute) and node.value is clock and node.attr in _STEPS for node in key.nodes
    )


def _is_bare(key: Key, node: "Function") -> bool:
    (part,) = key.parts if len(key.parts) == 1 else ("",)
    return bool(
        part.isidentifier() and not key.words and not key.calls and part in key.names.parameters
        and not KEY_NAME.search(part) and not _GENERIC.search(node.name)
    )  # fmt: skip
