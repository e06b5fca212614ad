"""
CS201 unsafe-cache-config

What it does
    Flags lines of nginx, Varnish, Redis, Compose and SQL files that make a shared cache unsafe when an edit brings or
    loses them: ignored Set-Cookie or Cache-Control, a key without the cookie it had, a lock or a bypass that goes, no
    bound on memory, a materialized view that is refreshed without CONCURRENTLY.

Why is this bad
    A proxy that ignores Set-Cookie hands one visitor's session to the next; without a lock every miss goes to the
    application at once; a full Redis that may not evict refuses every write.

Example
    -proxy_cache_lock on;
    +proxy_ignore_headers Set-Cookie;
    proxy_cache pages;

Use instead
    -proxy_cache_lock on;
    +proxy_cache_lock on;
    +proxy_cache_lock_timeout 5s;
    proxy_cache pages;

Known problems
    Lines are compared one by one: what an included file says is not seen.

Source
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html, https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

from __future__ import annotations

import re

from cache_strategy.rules._base import ERROR, WARNING, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(
    __name__,
    code="CS201",
    severity="warning",
    keywords=("proxy_cache", "proxy_ignore", "proxy_no_cache", "beresp", "maxmemory", "materialized view"),
)

# (what a line says, severity, why it must not come, what to do)
_BROUGHT = (
    (r"proxy_ignore_headers\b.*\bSet-Cookie|unset beresp\.http\.Set-Cookie", ERROR, "an answer that sets a cookie is kept and given to others", "Keep answers with Set-Cookie out of the cache."),
    (r"proxy_ignore_headers\b.*\b(?:Cache-Control|Vary)", ERROR, "private answers are kept, against what the application says", "Let Cache-Control and Vary decide."),
    (r"maxmemory-policy[ \"',=]+noeviction", WARNING, "a full Redis refuses every write instead of dropping old entries", "Use allkeys-lru or volatile-lru for a cache."),
    (r"refresh materialized view (?!concurrently)\w", WARNING, "all readers of the view wait until the refresh is done", "Give the view a unique index and refresh it CONCURRENTLY."),
)  # fmt: skip
_LOST = (
    (r"proxy_cache_lock\s+on", WARNING, "all misses of a page go to the application at once", "Keep the lock."),
    (r"proxy_(?:no_cache|cache_bypass)\b.*\$(?:cookie_|http_authorization)", ERROR, "answers for people who are logged in are kept for all", "Keep the bypass for cookies and Authorization."),
    (r"proxy_cache_key\b.*\$(?:cookie_|http_(?:authorization|accept|host)|host)", ERROR, "different answers share one entry", "Keep it in proxy_cache_key."),
    (r"return ?\(pass\)", WARNING, "requests that passed the cache may be answered from it", "Keep the pass for cookies and Authorization."),
    (r"maxmemory[ \"',=]+\d", WARNING, "nothing bounds the memory of Redis", "Name a bound and a policy."),
)  # fmt: skip


@rule.lines
def visit_lines(before: "list[str] | None", after: "list[str]") -> "Iterator[Finding]":
    old, new = [_bare(row) for row in before or ()], [_bare(row) for row in after]
    for number, row in enumerate(new, start=1):
        for pattern, severity, why, fix in _BROUGHT if row not in old else ():
            if re.search(pattern, row, re.I) and not any(re.search(pattern, known, re.I) for known in old):
                yield rule.finding(
                    (number, 0, number), f"{row.rstrip(';')}: {why}.", fix=fix, severity=severity
                )
    for pattern, severity, why, fix in _LOST:
        gone = [row for row in old if re.search(pattern, row, re.I)]
        if gone and not any(re.search(pattern, row, re.I) for row in new):
            place = next((n for n, row in enumerate(new, start=1) if row not in old), 1)
            yield rule.finding(
                (place, 0, place), f"{gone[0].rstrip(';')} is gone: {why}.", fix=fix, severity=severity
            )


def _bare(row: str) -> str:
    """A line without its comment and its indentation."""
    return "" if row.lstrip().startswith(("#", "--", "//")) else row.strip()
