"""
CS102 removed-invalidation

What it does
    Flags an edit that takes away an invalidation (cache.delete, delete_many, delete_memoized, invalidate...,
    clear, cache_clear, an @invalidates decorator) from a function that still writes the data, from a helper that
    clears, or with a whole signal receiver; and one that takes a table out of `watch(cache, {...})` while an entry
    still depends on it.

Why is this bad
    After the next write everybody reads the old value until it expires, and nothing in the code shows why. A
    writer that does not invalidate is the most frequent of all caching bugs.

Example
    def rename(user_id, name):
        db.session.get(User, user_id).name = name
        db.session.commit()
    -    cache.delete(f"user:{user_id}")

Use instead
    def rename(user_id, name):
        db.session.get(User, user_id).name = name
        db.session.commit()
    -    cache.delete(f"user:{user_id}")
    +    forget_user(user_id)
    +
    +def forget_user(user_id):
    +    cache.delete(f"user:{user_id}")
    +    cache.delete(f"user-badges:{user_id}")

Known problems
    An invalidation that moved to another file is not seen there: allow the line and name the place. A function that
    is renamed in the same edit is not compared with its old self.

Source
    93 of 526 unsafe caching changes in the histories of 56 open-source projects were a writer that does not
    invalidate.
"""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, WARNING, Rule
from cache_strategy.rules._caches import (
    READS,
    REMOVING_WORD,
    STORES,
    cache_calls,
    invalidation,
    is_cache,
    item_changes,
    reads_a_cache,
)
from cache_strategy.rules._writes import is_listener, named_writes_in, writes_in
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import (
        Change,
        Edit,
        Finding,
        Function,
        IndexedModule,
        Iterator,
    )

    Calls = dict[str, "Invalidation"]


class Invalidation:
    """One call: as written, the words of its arguments, and whether it stores a new value instead of removing one."""

    __slots__ = ("stores", "text", "words")

    def __init__(self, text: str, words: "frozenset[str]", stores: bool) -> None:
        self.text = text
        self.words = words
        self.stores = stores


_TAKES_AWAY = regex(
    r"clear|delete|invalidat|purge|bust|evict|expire|drop|reset|flush|remove|rebuild|refresh|recache|bump|forget|uncache|unlink|"
    r"\bdel\b|pop|watch|\.set|setex|\.add\b|\]\s*=|write",
    patterns.I,
)
# A new call with such a name may well do what the removed one did, in another file.
_SUCCESSOR = regex(
    r"cache|invalid|evict|purge|bust|expire|refresh|clear|reset|notify|changed|change|publish|signal|emit|dispatch|"
    r"hook|after_|touch|bump|version|post_save|on_commit|sync|update_|enqueue|delay|apply_async|event",
    patterns.I,
)
# Keys of things that live in the same server and are no cached values.
_NO_VALUE = regex(
    r"(?:^|[^a-z])(?:locks?|mutex|queue|throttle|rate|ratelimit|lease|nonce|otp|csrf|semaphore)(?:[^a-z]|$)",
    patterns.I,
)
_LATER = regex(r"on_?commit|after_|call_later|add_done", patterns.I)
_CACHE = regex(r"cach(?:e|ing)|redis", patterns.I)
_BUMPS = frozenset("incr incr_version touch set set_many setex add write expire".split())


def _concerns(edit: "Edit") -> bool:
    """Whether a definition that the edit touches held anything that can take a value out of a cache."""
    if edit.before is None or not edit.removed.strip():
        return False
    return "watch(" in edit.before or bool(_TAKES_AWAY.search(edit.removed_around))


rule = Rule(
    __name__,
    code="CS102",
    since="0.1",
    keywords=("cach", "redis", "invalidat", "purge", "memoize"),
    severity="error",
    concerns=_concerns,
)


@rule.change
def visit_functions(change: "Change") -> "Iterator[Finding]":
    before, after = change.before, change.after
    had = {name: _invalidations(node, before) for name, node in change.old.items()}
    has = {name: _invalidations(node, after) for name, node in change.new.items()}
    for name, calls in had.items():
        if not calls:
            continue
        earlier, node = change.old[name], change.new.get(name)
        if node is None:
            gone = list(calls.values())
            if _is_lost_handler(earlier, before, after) and not _moved(name, gone, had, has, change):
                yield _handler_gone(name, earlier, gone, after)
            continue
        lost = [calls[key] for key in calls if key not in has[name]]
        added = [has[name][key] for key in has[name] if key not in calls]
        if not lost or (added and not _shrunk(lost, added, change)) or _moved(name, lost, had, has, change):
            continue
        yield from _judge(name, earlier, node, lost, change, bool(has[name]), bool(added))


def _invalidations(function: "Function", module: "IndexedModule") -> "Calls":
    """
    The invalidations of a function by their normal form (the dump of the call).

    A value that is stored by a function that reads no cache replaces the old one, and counts as well. Locks, queues
    and counters in Redis do not count.
    """
    found: "Calls" = {}

    def add(place: "ast.AST", text: str, *, stores: bool = False, mark: str = "") -> None:
        words = _words_of(place)
        if not any(_NO_VALUE.search(word) for word in words):
            found[mark + ast.dump(place)] = Invalidation(mark + text, words, stores)

    for decorator in function.decorator_list:
        text = invalidation(decorator, module)
        if text and isinstance(decorator, ast.Call):
            add(decorator, text, mark="@")
    for statement in function.body:
        for node in module.calls_below(statement):
            text = invalidation(node, module)
            if text:
                add(node, text + "(...)")
            for argument in node.args if _LATER.search(text_of(node.func)) else ():
                if isinstance(argument, (ast.Name, ast.Attribute)) and invalidation(argument, module):
                    add(node, text_of(node.func) + "(...)")
    reads = next(cache_calls(function, module, READS), None) is not None
    for place, text, stored in item_changes(function, module):
        if not (stored and reads):
            add(place, text, stores=stored)
    if not reads:
        for call in cache_calls(function, module, STORES):
            add(call, text_of(call.func) + "(...)", stores=True)
    return found


def _words_of(place: "ast.AST") -> "frozenset[str]":
    """The names and literal texts in the positional arguments of a call, or in a subscript."""
    words = set()
    for argument in place.args if isinstance(place, ast.Call) else [place]:
        for part in ast.walk(argument):
            if isinstance(part, ast.Name):
                words.add(part.id)
            elif isinstance(part, ast.Attribute):
                words.add(part.attr)
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                words.add(part.value)
    return frozenset(words)


def _shrunk(lost: "list[Invalidation]", added: "list[Invalidation]", change: "Change") -> bool:
    """Whether the new calls are the old ones with fewer keys, and the missing keys are still in use elsewhere."""
    if {call.text for call in added} - {call.text for call in lost}:
        return False
    old, new = (frozenset(word for call in calls for word in call.words) for calls in (lost, added))
    if not new < old:
        return False
    read_before, read_after = (
        frozenset(word for call in cache_calls(module.tree, module, READS) for word in _words_of(call))
        for module in (change.before, change.after)
    )
    return not (old - new) & (read_before - read_after)


def _is_lost_handler(function: "Function", before: "IndexedModule", after: "IndexedModule") -> bool:
    """Whether a function that is gone was called by the framework when data changed, and that still happens."""
    if not is_listener(function, before):
        return False
    holder = before.parent(function)
    if isinstance(holder, ast.ClassDef):
        return any(isinstance(node, ast.ClassDef) and node.name == holder.name for node in after.nodes)
    return bool(function.decorator_list or function.args.args)


def _handler_gone(
    name: str, function: "Function", calls: "list[Invalidation]", after: "IndexedModule"
) -> "Finding":
    line = min(function.lineno, max(after.text.count("\n"), 1))
    return rule.finding(
        (line, 0, line),
        f"{name}() is gone, which called {_shown(calls)} whenever the data changed, and nothing in this file does so now.",
        fix="Keep the handler, or make sure that the new place is registered before this one goes.",
        severity=WARNING,
    )


def _judge(
    name: str,
    earlier: "Function",
    node: "Function",
    lost: "list[Invalidation]",
    change: "Change",
    some_left: bool,
    replaced: bool,
) -> "Iterator[Finding]":
    before, after = change.before, change.after
    old_writes, writes = list(writes_in(earlier, before)), list(writes_in(node, after))
    if not writes:
        # A function that invalidated and calls `update_order(...)` before and after is a writer by another name.
        known = {text for _, text in named_writes_in(earlier, before)}
        old_writes = writes = [(place, text) for place, text in named_writes_in(node, after) if text in known]
    if (some_left and len(writes) < len(old_writes)) or _has_successor(earlier, node, change):
        return
    if not writes:
        if REMOVING_WORD.search(node.name) and not replaced and not _is_idle(lost, change):
            yield rule.finding(
                (node.lineno, node.col_offset, node.lineno),
                f"{name}() no longer calls {_shown(lost)}: whoever calls it to clear that entry leaves it as it is.",
                fix="Keep it as long as anything reads that entry.",
                severity=WARNING,
            )
        return
    severity = WARNING if all(call.stores for call in lost) else ERROR
    if not reads_a_cache(after):
        if reads_a_cache(before):
            return
        if not _mentions_cache(after):
            severity = WARNING
    place, text = writes[0]
    line = getattr(place, "lineno", node.lineno)
    calls = _shown(lost)
    yield rule.finding(
        (line, getattr(place, "col_offset", 0), line),
        f"{name}() still writes ({text}) but no longer calls {calls}: readers keep the old value until it expires.",
        fix=f"Keep {calls} after the write has been committed, or call the helper or register the listener that does "
        "it now in this edit.",
        severity=severity,
    )


def _is_idle(lost: "list[Invalidation]", change: "Change") -> bool:
    """Whether what was invalidated is a function that is gone or no longer decorated as it was."""
    words = {word for call in lost for word in [*call.words, *call.text.split(".")]}
    for name, node in change.old.items():
        now = change.new.get(name)
        same = now is not None and list(map(ast.dump, now.decorator_list)) == list(
            map(ast.dump, node.decorator_list)
        )
        if node.name in words and not same:
            return True
    return False


def _has_successor(earlier: "Function", node: "Function", change: "Change") -> bool:
    """Whether the function now does something instead: a new call that may invalidate, a write-through, a version."""
    before, after = change.before, change.after
    old_calls = {_callee(call) for call in before.calls_below(earlier)}
    for call in after.calls_below(node):
        written = _callee(call)
        if written in old_calls:
            continue
        function = after.readers.callee(call)
        if _SUCCESSOR.search(written) if function is None else _invalidates(function, after, {function}):
            return True
    old_stores = {ast.dump(call) for call in cache_calls(earlier, before, _BUMPS | STORES)}
    return any(ast.dump(call) not in old_stores for call in cache_calls(node, after, _BUMPS | STORES))


def _callee(call: ast.Call) -> str:
    return text_of(call.func) or getattr(call.func, "attr", "")


def _invalidates(function: "Function", module: "IndexedModule", seen: "set[ast.AST]") -> bool:
    if _invalidations(function, module):
        return True
    for call in module.calls_below(function):
        callee = module.readers.callee(call)
        if callee is not None and callee not in seen:
            seen.add(callee)
            if _invalidates(callee, module, seen):
                return True
    return False


def _moved(
    name: str, lost: "list[Invalidation]", had: "dict[str, Calls]", has: "dict[str, Calls]", change: "Change"
) -> bool:
    """Whether another function of the file gained an invalidation that can stand for the lost one."""
    for other, calls in has.items():
        gained = {call.text for key, call in calls.items() if key not in had.get(other, {})}
        if (
            other != name
            and gained
            and (is_listener(change.new[other], change.after) or gained & {call.text for call in lost})
        ):
            return True
    return False


def _shown(calls: "list[Invalidation]") -> str:
    return ", ".join(sorted({call.text for call in calls})[:3])


def _mentions_cache(module: "IndexedModule") -> bool:
    """Whether a cache is imported or used: with all of it gone the caching itself may have been given up."""
    if any(_CACHE.search(name) for pair in module.imports.items() for name in pair):
        return True
    return any(
        isinstance(node, (ast.Name, ast.Attribute)) and is_cache(node, module) for node in module.nodes
    )


@rule.change
def visit_watched_tables(change: "Change") -> "Iterator[Finding]":
    (_, had), (call, has) = _watched(change.before), _watched(change.after)
    if had is None or has is None:
        return
    lost = had - has
    for node in change.after.calls_below(change.after.tree) if lost else ():
        for table in sorted(lost & _dependencies(node)):
            lost -= {table}
            yield rule.finding(
                call or node,
                f'the table "{table}" is no longer watched, but an entry (line {node.lineno}) still depends on it: '
                "its writes will not invalidate.",
                fix=f'Keep "{table}" in watch(cache, {{...}}), or take it out of the entry\'s depends_on as well.',
            )


def _watched(module: "IndexedModule") -> "tuple[ast.Call | None, frozenset[str] | None]":
    """The call `watch(cache, {table: column, ...})` of a file and its tables; None where they are named elsewhere."""
    found: "tuple[ast.Call | None, frozenset[str] | None]" = (None, frozenset())
    for node in module.calls_below(module.tree) if "watch(" in module.text else ():
        if len(node.args) > 1 and text_of(node.func).rpartition(".")[2] == "watch":
            tables: "ast.expr" = node.args[1]
            if isinstance(tables, ast.Name):
                tables = module.bindings.get(tables.id, tables)
            keys = tables.keys if isinstance(tables, ast.Dict) else [None]
            if all(map(_text, keys)):
                return node, frozenset(map(_text, keys))
            found = node, None
    return found


def _dependencies(call: ast.Call) -> "frozenset[str]":
    """The tables in `depends_on=("users:{user_id}", "orders")` of a call."""
    values = [keyword.value for keyword in call.keywords if keyword.arg == "depends_on"]
    return frozenset(_text(part).partition(":")[0] for value in values for part in ast.walk(value))


def _text(node: "ast.AST | None") -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
