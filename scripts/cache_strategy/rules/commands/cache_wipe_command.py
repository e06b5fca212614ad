"""
CS301 cache-wipe-command

What it does
    Flags shell commands that empty a whole Redis or Valkey database (FLUSHALL, FLUSHDB), that list every key
    of it (KEYS), or that clear a whole cache from a Python one-liner (cache.clear(), flushall()). The command
    is read as a shell reads it: only what is really run counts, not quoted text, not arguments of echo or
    grep, not the data of a here-document.

Why is this bad
    A wipe empties the cache for every user at once: all requests fall through to the database together. The
    same database often holds sessions, locks, queues and rate limits, and they go too. KEYS walks the whole
    keyspace in one step and Redis serves nobody else until it is done.

Example
    redis-cli -h cache.internal FLUSHALL

Use instead
    redis-cli -h cache.internal --scan --pattern 'shop:products:*' | xargs -r redis-cli -h cache.internal UNLINK

Known problems
    What a script file contains is not read, nor what a function or an alias of the shell stands for. A server
    on localhost counts too: whether it is a throw-away one cannot be seen in the command; allow it with a
    reason.

Source
    https://redis.io/docs/latest/commands/keys/ (warning), https://redis.io/docs/latest/commands/flushall/
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._shell import invocations
from cache_strategy.rules.commands._redis import CLIENTS, SENDERS, redis_statements
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._shell import Invocation
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(
    __name__,
    code="CS301",
    since="0.1",
    keywords=("flush", "redis", "valkey", "keydb", "cache"),
    severity="error",
)

_WIPES = {
    "FLUSHALL": "deletes every key of every database of the server",
    "FLUSHDB": "deletes every key of the database",
}
_PYTHON = regex(r"(?:python|pypy|ipython)[\d.]*(?:\.exe)?\Z")
_MANAGERS = ("manage.py", "django-admin", "flask")
_SHELL_WORDS = ("manage.py", "django-admin", "flask", "django", "shell", "shell_plus")
_CACHE = regex(r"(?:^|[._])caches?(?:\[[^\]]*\])?\Z")
_LUA = regex(r"redis\.p?call\s*\(\s*['\"](flushall|flushdb|keys)['\"]", patterns.I)
_DELETES = ("DEL", "UNLINK")
_NARROWER = (
    "Delete by pattern, in small steps: redis-cli --scan --pattern 'PREFIX:*' | xargs -r redis-cli UNLINK."
)
_SCAN = "List keys in small steps: redis-cli --scan --pattern 'PREFIX:*'."
_ENTRIES = "Delete the keys that are wrong: cache.delete(key), cache.delete_many(keys), or raise the version of the entry."


@rule.command
def visit_invocation(run: "Invocation") -> "Iterator[Finding]":
    name, *args = map(str, run.argv)
    if name in CLIENTS or name in SENDERS:
        yield from _sent(run)
    else:
        code = _python_code(name, args, run.stdin)
        if code is not None:
            yield from _python(run, code)


def _sent(run: "Invocation") -> "Iterator[Finding]":
    for name, words in redis_statements(run):
        if words[0].lower() == "flush_all":
            yield rule.finding(
                run, f"flush_all, sent with {name}, empties the whole memcached server.", fix=_ENTRIES
            )
            return
        found = [*_statement(run, name, words), *(_unbounded_delete(run, words) if name in CLIENTS else ())]
        yield from found
        if found:
            return


def _statement(run: "Invocation", name: str, words: "list[str]") -> "Iterator[Finding]":
    """One Redis command: its name, then its arguments."""
    if not words:
        return
    verb = words[0].upper()
    if verb in _WIPES:
        yield rule.finding(
            run,
            f"{name} {verb} {_WIPES[verb]}: caches, sessions, locks and queues alike.",
            fix=_NARROWER,
        )
    elif verb == "KEYS" and len(words) > 1:
        yield rule.finding(
            run,
            f"{name} KEYS {words[1]} walks the whole keyspace in one step and blocks the server meanwhile.",
            fix=_SCAN,
        )
    elif verb in ("EVAL", "EVAL_RO") and len(words) > 1:
        called = _LUA.search(words[1])
        if called:
            yield from _statement(run, name + " EVAL", [called.group(1), "*"])


def _unbounded_delete(run: "Invocation", deleted: "list[str]") -> "Iterator[Finding]":
    """`--scan` of everything, piped into a delete, is a wipe by another name."""
    if deleted[0].upper() not in _DELETES:
        return
    for source in run.before:
        if source.argv[0] not in CLIENTS or "--scan" not in source.argv:
            continue
        words = list(map(str, source.argv))
        position = words.index("--pattern") if "--pattern" in words else -1
        pattern = words[position + 1] if 0 <= position < len(words) - 1 else "*"
        if pattern == "*":
            yield rule.finding(
                run,
                f"{source.argv[0]} --scan without a pattern, piped into {deleted[0].upper()}, deletes every key.",
                fix=_NARROWER,
            )


def _python_code(name: str, args: "list[str]", stdin: "str | None") -> "str | None":
    """The Python text that a program is given on its command line or its standard input."""
    if name not in _MANAGERS and not _PYTHON.match(name):
        return None
    for index, arg in enumerate(args):
        if patterns.match(r"(?:-[a-zA-Z]*c|--command)\Z", arg):
            return args[index + 1] if index + 1 < len(args) else None
        if arg.startswith("--command="):
            return arg.partition("=")[2]
        script = arg.replace("\\", "/").rpartition("/")[2]
        if not arg.startswith("-") and script not in _SHELL_WORDS and args[index - 1] not in ("-W", "-X"):
            return None
    return stdin


def _python(run: "Invocation", code: str) -> "Iterator[Finding]":
    import ast

    try:
        nodes = list(ast.walk(ast.parse(code.strip())))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    local = {
        ast.unparse(node.targets[0])
        for node in nodes
        if isinstance(node, ast.Assign)
        and patterns.match(r"[\[{]|(?:dict|set|list|defaultdict)\(", ast.unparse(node.value))
    }
    for node in nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        method, holder = node.func.attr, ast.unparse(node.func.value)
        first = node.args[0] if node.args else None
        text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        if method in ("flushall", "flushdb", "flush_all"):
            yield rule.finding(run, f"{method}() deletes every key of the server's database.", fix=_ENTRIES)
        elif method == "clear" and _CACHE.search(holder) and holder not in local:
            yield rule.finding(
                run, "cache.clear() empties the whole cache for every user at once.", fix=_ENTRIES
            )
        elif method == "keys" and text is not None:
            yield from _statement(run, "Python:", ["KEYS", text])
        elif method == "execute_command" and text is not None:
            yield from _statement(run, "Python:", text.split())
        elif method in ("system", "run", "call", "check_call", "check_output", "Popen", "popen"):
            words = first.elts if isinstance(first, (ast.List, ast.Tuple)) else []
            quoted = ("'" + str(getattr(word, "value", "")).replace("'", "'\\''") + "'" for word in words)
            for nested in invocations(text or " ".join(quoted)):
                nested.lineno, nested.end_lineno, nested.col_offset = (
                    run.lineno,
                    run.end_lineno,
                    run.col_offset,
                )
                yield from visit_invocation(nested)
