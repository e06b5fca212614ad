"""
CS201 proxy-keeps-private-answers

What it does
    Flags nginx and Varnish configurations that keep what is meant for one visitor: a cache that ignores Set-Cookie,
    Cache-Control or Vary where no bypass tells visitors apart, a lifetime forced on answers that are private; and an edit
    that takes a bypass for cookies or Authorization away.

Why is this bad
    A proxy that ignores Set-Cookie hands one visitor's session to the next; one that ignores Cache-Control keeps the
    account page of whoever came first.

Example
    server {
        proxy_cache pages;
        proxy_ignore_headers Set-Cookie Cache-Control;
        location / { proxy_pass http://app; }
    }

Use instead
    server {
        proxy_cache pages;
        proxy_ignore_headers Set-Cookie Cache-Control;
        proxy_no_cache $cookie_session $http_authorization;
        proxy_cache_bypass $cookie_session $http_authorization;
        location / { proxy_pass http://app; }
    }

Known problems
    What an included file says is not seen. Places for static files are known by their names and endings.

Source
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_ignore_headers,
    https://varnish-cache.org/docs/trunk/users-guide/vcl-built-in-code.html
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._config import (
    at,
    caching_modules,
    first_change,
    is_static,
    nginx_caches,
    user_variables,
)
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import ConfigFile, Node
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(
    __name__, code="CS201", severity="error", keywords=("_cache", "_ignore_headers", "beresp", "vcl_recv")
)

_SAID = {
    "set-cookie": "an answer that sets a cookie is kept and given to others",
    "cache-control": "answers that the application calls private are kept for everybody",
    "vary": "answers in different languages or for different sites share one entry",
}
_BYPASS = "Keep a bypass beside it: proxy_no_cache and proxy_cache_bypass with the session cookie and $http_authorization."
_PERSON = regex(r"authoriz|cookie|session|login|logged|admin|auth|user|account|cart|checkout|wp-", patterns.I)


@rule.config("nginx")
def visit_nginx(file: "ConfigFile") -> "Iterator[Finding]":
    for block, module in nginx_caches(file):
        guards = (module + "_no_cache", module + "_cache_bypass")
        known = [*block.inherited(guards[0]), *block.inherited(guards[1]), *block.all(*guards)]
        if user_variables([*known, *block.inherited(module + "_cache_key")]) or is_static(block):
            continue
        hidden = " ".join(node.value.lower() for node in block.inherited(module + "_hide_header"))
        for node in block.inherited(module + "_ignore_headers"):
            for header in patterns.findall(r"[\w-]+", node.value.lower()):
                if header in _SAID and not (header == "set-cookie" and header in hidden):
                    yield rule.finding(at(node), f"{node.head}: {_SAID[header]}.", fix=_BYPASS)
                    break


@rule.config("vcl")
def visit_vcl(file: "ConfigFile") -> "Iterator[Finding]":
    bare = {node.head.lower() for node in file.root.all("unset", "remove") if not _conditions(node)}
    for node in file.root.all("unset", "remove"):
        what = node.value.lower()
        if what == "beresp.http.set-cookie" and not _conditions(node) and "unset req.http.cookie" not in bare:
            fix = "Remove it for static files only, or pass requests that carry the session cookie."
            yield rule.finding(
                at(node),
                f"{node.head}: every answer that sets a cookie is kept and given to others.",
                fix=fix,
            )
        elif what == "beresp.http.vary":
            yield rule.finding(
                at(node),
                f"{node.head}: {_SAID['vary']}.",
                fix="Let Vary decide; normalise the header in vcl_recv.",
            )
    for node in file.root.all("set"):
        if patterns.match(r"beresp\.ttl = [1-9]", node.value) and node.parent is not None:
            private = patterns.search(
                r"beresp\.http\.(?:set-cookie|cache-control ?~ ?\"[^\"]*(?:private|no-store))",
                node.parent.head,
                patterns.I,
            )
            if private and not patterns.search(
                r"uncacheable|hit_for_pass|hit_for_miss", str([n.head for n in node.parent.below()])
            ):
                message = f"{node.head}: answers that are private are given a lifetime in the shared cache."
                yield rule.finding(at(node), message, fix="Set beresp.uncacheable = true for them.")


@rule.config_change("nginx")
def visit_nginx_change(old: "ConfigFile", new: "ConfigFile") -> "Iterator[Finding]":
    for module in caching_modules(new):
        for name in (module + "_no_cache", module + "_cache_bypass"):
            gone = user_variables(old.root.all(name)) - user_variables(new.root.all(name))
            if gone and not user_variables(new.root.all(name)):
                message = f"{name} {' '.join(sorted(gone))} is gone: answers for people who are logged in are kept for all."
                yield rule.finding(
                    first_change(old, new), message, fix=f"Keep {name} for cookies and Authorization."
                )


@rule.config_change("vcl")
def visit_vcl_change(old: "ConfigFile", new: "ConfigFile") -> "Iterator[Finding]":
    kept = " ".join(_passes(new))
    for condition in _passes(old):
        words = {word.lower() for word in _PERSON.findall(condition)}
        if words and not any(word in kept for word in words):
            message = f"the pass for {condition[:60]} is gone: such requests are answered from the cache."
            yield rule.finding(
                first_change(old, new), message, fix="Keep return (pass) for cookies and Authorization."
            )


def _passes(file: "ConfigFile") -> "list[str]":
    """The conditions under which requests pass the cache."""
    nodes = (
        n for n in file.root.all("return", "return(pass)") if patterns.match(r"return ?\( ?pass", n.head)
    )
    return [" ".join(_conditions(node)).lower() for node in nodes]


def _conditions(node: "Node") -> "list[str]":
    return [block.head for block in node.around() if not block.head.startswith("sub ") and block.head]
