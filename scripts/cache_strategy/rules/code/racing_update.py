"""
CS127 racing-update

What it does
    Flags two steps on a cache that must be one: a test for a key and then a read of it without a default, a value that is
    read, counted up and stored again, SET or SETNX with a separate EXPIRE; and an edit that takes the test for a counter
    away, so that INCR begins one that never expires.

Why is this bad
    Between the two steps another process deletes, counts or dies: the read gives None, a count is lost, the key stays for
    ever.

Example
    from django.core.cache import cache
    def count(page):
        seen = cache.get(f"seen:{page}", 0)
        cache.set(f"seen:{page}", seen + 1, 3600)

Use instead
    from django.core.cache import cache
    def count(page):
        cache.add(f"seen:{page}", 0, 3600)
        cache.incr(f"seen:{page}")

Known problems
    A pipeline with MULTI, a lock or a single process makes two steps safe; pipelines and locks in the same function are
    seen.

Source
    https://redis.io/docs/latest/commands/set/ (SETNX and EXPIRE in one), 7 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._caches import is_cache
from cache_strategy.rules._keys import key_argument, names_of
from cache_strategy.rules._lifetimes import lifetime_of
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._keys import Names
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS127", severity="warning", keywords=("cach", "redis"))

_ATOMIC = regex(
    r"pipeline|multi\(|with [^\n]*[Ll]ock|\.(?:lock|acquire)\(|Lock\(|eval\(|register_script|transaction\("
)
_TESTS = frozenset("has_key exists has".split())
_READS = frozenset("get hget".split())


@rule.visit(ast.FunctionDef, ast.AsyncFunctionDef)
def visit_function(node: "Function", module: "IndexedModule") -> "Iterator[Finding]":
    if _ATOMIC.search(module.source(node)):
        return
    names = names_of(node, module)
    steps = [
        (call, getattr(call.func, "attr", ""), key)
        for call in module.calls_below(node)
        for key in [_key(call, module, names)]
        if key
    ]
    for call, name, key in steps:
        if module.enclosing(call)[:1] != [node]:
            continue  # told where it stands
        if name == "set" and len(call.args) > 1 and _counts_up(call.args[1], key, names, module):
            told = "two that count at once count one: the value is read, changed and stored in two steps"
            fix = "Use add() and incr(), which are one step each."
        elif (
            name in ("set", "setnx")
            and lifetime_of(call) is None
            and any(other[1:] == ("expire", key) and other[0].lineno > call.lineno for other in steps)
        ):
            told = f"between {name} and expire the process may die, and the key stays for ever"
            fix = "Give the lifetime with the value: set(key, value, ex=..., nx=True)."
        else:
            continue
        yield rule.finding(call, f"{node.name}(): {told}.", fix=fix)
    for part in module.below(node):
        if isinstance(part, ast.If) and isinstance(part.test, (ast.Call, ast.Compare)):
            yield from _tested_then_read(part, node, module, names)


def _tested_then_read(
    branch: ast.If, node: "Function", module: "IndexedModule", names: "Names"
) -> "Iterator[Finding]":
    test = branch.test
    if isinstance(test, ast.Call):
        tested = _key(test, module, names) if getattr(test.func, "attr", "") in _TESTS else ""
    else:
        assert isinstance(test, ast.Compare)
        inside = (
            len(test.ops) == 1 and isinstance(test.ops[0], ast.In) and _is_shared(test.comparators[0], module)
        )
        tested = names.text_of_key(test.left) if inside else ""
    for statement in branch.body if tested else ():
        for call in module.calls_below(statement):
            if (
                getattr(call.func, "attr", "") in _READS
                and _key(call, module, names) == tested
                and len(call.args) == 1
                and not call.keywords
            ):
                yield rule.finding(
                    call,
                    f"{node.name}() tests for the key and then reads it: in between it may expire, and the read gives None.",
                    fix="Read once, and test what was read.",
                )
                return


def _key(call: ast.Call, module: "IndexedModule", names: "Names") -> str:
    callee = call.func
    if not isinstance(callee, ast.Attribute) or not _is_shared(callee.value, module):
        return ""
    key = key_argument(call)
    return names.text_of_key(key) if key is not None else ""


def _is_shared(holder: ast.AST, module: "IndexedModule") -> bool:
    """A cache of other processes, too: neither a dict nor an attribute that may be one."""
    bound = module.bindings.get(getattr(holder, "id", ""))
    return (
        is_cache(holder, module)
        and isinstance(holder, (ast.Name, ast.Attribute))
        and not isinstance(bound, (ast.Dict, ast.Set))
    )


def _counts_up(value: ast.expr, key: str, names: "Names", module: "IndexedModule") -> bool:
    """Whether a value is what the key held, and one more or less."""
    value = names.resolve(value)
    if (
        not isinstance(value, ast.BinOp)
        or not isinstance(value.op, (ast.Add, ast.Sub))
        or not isinstance(value.right, ast.Constant)
        or not isinstance(value.right.value, int)
    ):
        return False
    read = [value.left, *(names.values.get(value.left.id, ()) if isinstance(value.left, ast.Name) else ())]
    calls = [part for one in read for part in ast.walk(one) if isinstance(part, ast.Call)]
    return any(
        getattr(part.func, "attr", "") in _READS and _key(part, module, names) == key for part in calls
    )


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        was, now = (
            _guarded_counts(function, module)
            for function, module in ((earlier, change.before), (node, change.after))
        )
        for key, (call, guarded) in now.items():
            if not guarded and key in was and was[key][1]:
                yield rule.finding(
                    call,
                    f"{node.name}() counts without asking whether the counter is there: a new one begins at 1 and never expires.",
                    fix="Keep the test, or set(key, 0, ex=..., nx=True) before.",
                )


def _guarded_counts(node: "Function", module: "IndexedModule") -> "dict[str, tuple[ast.Call, bool]]":
    """Key to the call that counts it up, and whether a test of the key or a lifetime goes with it."""
    names = names_of(node, module)
    found: "dict[str, tuple[ast.Call, bool]]" = {}
    calls = [(call, _key(call, module, names)) for call in module.calls_below(node)]
    for call, key in calls:
        if getattr(call.func, "attr", "") in ("incr", "incrby", "hincrby"):
            others = {getattr(other.func, "attr", "") for other, name in calls if name == key}
            found[key or ast.unparse(call)] = (
                call,
                bool(others & {"get", "exists", "expire", "add", "ttl", "set", "has_key"}),
            )
    return found
