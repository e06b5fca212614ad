"""
CS206 unbounded-redis

What it does
    Flags a Redis or Valkey that has a bound on its memory and no way to keep it (no maxmemory-policy, or noeviction for
    one whose name says cache), in redis.conf, Compose and Terraform; and an edit that takes the bound or the policy away.

Why is this bad
    A full Redis that may not evict refuses every write; one without a bound takes the machine's memory until the kernel
    ends it.

Example
    maxmemory 256mb

Use instead
    maxmemory 256mb
    maxmemory-policy allkeys-lru

Known problems
    A Redis that holds a queue or sessions must not evict: name it so, or allow the line.

Source
    https://redis.io/docs/latest/develop/reference/eviction/
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._config import first_change
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from cache_strategy.rules._config import ConfigFile
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(__name__, code="CS206", severity="warning", keywords=("maxmemory",))

_BOUND = regex(r"maxmemory[\"']?[\s,=:\-]+[\"']?([1-9][\d.]*\s*\w*|\$\{?\w+)", patterns.I)
_POLICY = regex(r"maxmemory-policy\b", patterns.I)
_KEEPS = regex(r"maxmemory-policy[\"']?[\s,=:\-]+(?:value\s*=\s*)?[\"']?noeviction", patterns.I)
_NO_CACHE = regex(r"queue|broker|celery|session|persist|store|job|sidekiq|rq\b|bull|stream|lock", patterns.I)
_STORED = regex(r"^\s*(?:appendonly\s+yes|save\s+\d)", patterns.M)
_FIX = "Name a policy for a cache: allkeys-lru or volatile-lru."


@rule.config("redis", "compose", "hcl")
def visit(file: "ConfigFile") -> "Iterator[Finding]":
    groups = _services(file)
    for name, rows in groups:
        text = "\n".join(row for _, row in rows)
        bound = _BOUND.search(text)
        if bound and not _POLICY.search(text) and file.kind != "hcl":
            message = (
                f"{' '.join(bound.group().split())}: there is no policy, so a full Redis refuses every write."
            )
            yield rule.finding(_place(rows, text, bound), message, fix=_FIX)
        keeps = _KEEPS.search(text)
        # Inside YAML the names of a part say less than those of a file; what is written to disk is no cache.
        cache = patterns.search(r"(?<!elasti)cache", name, patterns.I) or (
            file.parts and not _STORED.search(text)
        )
        if keeps and cache and not _NO_CACHE.search(name):
            message = "maxmemory-policy noeviction: a full cache refuses every write instead of dropping old entries."
            yield rule.finding(_place(rows, text, keeps), message, fix=_FIX)


@rule.config_change("redis", "compose", "hcl")
def visit_change(old: "ConfigFile", new: "ConfigFile") -> "Iterator[Finding]":
    was, now = (dict(_services(file)) for file in (old, new))
    for name, rows in was.items():
        before, after = ("\n".join(row for _, row in group) for group in (rows, now.get(name, ())))
        if name not in now:
            continue
        for pattern, what, why in (
            (_BOUND, "maxmemory", "nothing bounds the memory of Redis"),
            (_POLICY, "maxmemory-policy", "a full Redis refuses every write"),
        ):
            if pattern.search(before) and not pattern.search(after):
                yield rule.finding(
                    first_change(old, new), f"{what} is gone: {why}.", fix="Name a bound and a policy."
                )
        if _KEEPS.search(after) and _POLICY.search(before) and not _KEEPS.search(before):
            message = "maxmemory-policy becomes noeviction: a full Redis refuses every write instead of dropping old entries."
            yield rule.finding(first_change(old, new), message, fix=_FIX)


def _place(rows: "list[tuple[int, str]]", text: str, found: "re.Match[str]") -> "tuple[int, int, int]":
    line = rows[text.count("\n", 0, found.end())][0]
    return line, 0, line


def _services(file: "ConfigFile") -> "list[tuple[str, list[tuple[int, str]]]]":
    """(name, its lines with their numbers) of each server that a file configures, without comments."""
    rows = [
        (number, "" if row.lstrip().startswith(("#", "//")) else row)
        for number, row in enumerate(file.rows, start=1)
    ]
    if file.kind == "redis" and file.parts is not None:
        return [(name, rows[first - 1 : first + text.count("\n")]) for name, first, text in file.parts]
    if file.kind == "redis":
        return [(file.path.rpartition("/")[2], rows)]
    heads = [node for node in file.root.below() if node.children and _is_service(node.head, file.kind)]
    ends = [*(node.line for node in heads[1:]), len(rows) + 1]
    return [(node.head, rows[node.line - 1 : end - 1]) for node, end in zip(heads, ends)]  # noqa: B905 - Python 3.9


def _is_service(head: str, kind: str) -> bool:
    return head.startswith("resource ") if kind == "hcl" else bool(patterns.match(r"[\w.-]+:$", head))
