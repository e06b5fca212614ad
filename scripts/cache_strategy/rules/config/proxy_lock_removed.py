"""
CS203 proxy-lock-removed

What it does
    Flags an edit that takes the lock from a cache of nginx (proxy_cache_lock and its kind), or the grace from one of
    Varnish.

Why is this bad
    When a page that everybody reads expires, all who ask for it meanwhile go to the application at once.

Example
    location / {
        proxy_cache pages;
    -    proxy_cache_lock on;
        proxy_pass http://app;
    }

Use instead
    location / {
        proxy_cache pages;
    -    proxy_cache_lock on;
    +    proxy_cache_lock on;
    +    proxy_cache_lock_timeout 5s;
        proxy_pass http://app;
    }

Known problems
    Whether a page is asked for often enough to matter cannot be seen here.

Source
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_lock
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._config import caching_modules, first_change
from cache_strategy.syntax import patterns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import ConfigFile
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(__name__, code="CS203", severity="warning", keywords=("_cache_lock", "beresp.grace"))


@rule.config_change("nginx")
def visit_nginx(old: "ConfigFile", new: "ConfigFile") -> "Iterator[Finding]":
    for module in caching_modules(new):
        name = module + "_cache_lock"
        if any(n.value == "on" for n in old.root.all(name)) and not any(
            n.value == "on" for n in new.root.all(name)
        ):
            message = f"{name} is gone: all misses of a page go to the application at once."
            yield rule.finding(first_change(old, new), message, fix="Keep the lock.")


@rule.config_change("vcl")
def visit_vcl(old: "ConfigFile", new: "ConfigFile") -> "Iterator[Finding]":
    def graces(file: "ConfigFile") -> bool:
        return any(patterns.match(r"beresp\.grace = [1-9]", node.value) for node in file.root.all("set"))

    if graces(old) and not graces(new):
        message = "beresp.grace is gone: when a page expires everybody waits for the application."
        yield rule.finding(first_change(old, new), message, fix="Keep a grace of some minutes.")
