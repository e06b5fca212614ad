"""
CS202 proxy-key-too-small

What it does
    Flags cache keys of nginx and Varnish that several answers share: $uri without the query, no host where a cache
    serves several, POST without the body; and an edit that takes a cookie, a header, the host or the query out of the key.

Why is this bad
    Different answers share one entry: page 2 is served as page 1, one site's page on another.

Example
    location /search {
        proxy_cache pages;
        proxy_cache_key $scheme$host$uri;
        proxy_pass http://app;
    }

Use instead
    location /search {
        proxy_cache pages;
        proxy_cache_key $scheme$host$request_uri;
        proxy_pass http://app;
    }

Known problems
    A variable made by map or set is taken to hold what is needed. A query that is left out on purpose is flagged: allow
    the line.

Source
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_key
"""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, Rule
from cache_strategy.rules._config import NGINX_MODULES, at, first_change, is_static, nginx_caches
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import ConfigFile, Node
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(__name__, code="CS202", severity="warning", keywords=("_cache", "vcl_hash", "hash_data"))

_VARIABLE = regex(r"\$\{?(\w+)")
_QUERY = frozenset("request_uri args query_string is_args".split())
_PLACE = frozenset("uri document_uri request_filename".split())
_HOSTS = frozenset("host http_host server_name proxy_host".split())
# What may leave a key although the rest of it stays: nothing that a page can differ by.
_HARMLESS = regex(
    r"scheme|request_method|is_args|proxy_host|server_\w+|request_id|connection\w*|upstream\w*|slice_range"
)
_SAME = (_QUERY | {"uri", "document_uri"}, _HOSTS)


@rule.config("nginx")
def visit_nginx(file: "ConfigFile") -> "Iterator[Finding]":
    for block, module in nginx_caches(file):
        for node in block.inherited(module + "_cache_key"):
            parts = set(_VARIABLE.findall(node.value))
            if (
                parts & _PLACE
                and not parts & _QUERY
                and not any(p.startswith("arg_") for p in parts)
                and not is_static(block)
            ):
                message = (
                    f"{node.head}: the query is not in the key, so pages that differ by it share one entry."
                )
                yield rule.finding(at(node), message, fix="Use $request_uri, or $uri$is_args$args.")
            if parts & (_PLACE | _QUERY) and not parts & _HOSTS and _serves_several(file, block):
                message = f"{node.head}: the host is not in the key, though the cache serves several."
                yield rule.finding(at(node), message, fix="Put $host in front.")
            methods = block.inherited(module + "_cache_methods")
            if any("POST" in methods_.value for methods_ in methods) and "request_body" not in parts:
                message = f"{node.head}: POST is cached, and what was posted is not in the key."
                yield rule.finding(
                    at(node), message, fix="Add $request_body, or do not cache POST.", severity=ERROR
                )


def _serves_several(file: "ConfigFile", block: "Node") -> bool:
    """Whether a block answers for several hosts: by its server's names, or because it stands around several servers."""
    servers = [b for b in (block, *block.around()) if b.key == "server" and b.children]
    names = [name for server in servers for name in server.get("server_name").split()]
    roots = {name[4:] if name.startswith("www.") else name for name in names}
    return any(name.startswith(("*", "~", ".")) for name in names) or len(roots) > 1


@rule.config_change("nginx")
def visit_nginx_change(old: "ConfigFile", new: "ConfigFile") -> "Iterator[Finding]":
    for module in NGINX_MODULES:
        name = module + "_cache_key"
        was = {part for node in old.root.all(name) for part in _VARIABLE.findall(node.value)}
        keys = new.root.all(name)
        now = {part for node in keys for part in _VARIABLE.findall(node.value)}
        gone = {part for part in was - now if not _HARMLESS.fullmatch(part)}
        gone = {
            part
            for part in gone
            if not any(part in same and now & same for same in _SAME) or part in ("args", "query_string")
        }
        if keys and "request_uri" in now:
            gone -= _SAME[0]
        if gone and keys:
            place = next(
                (at(node) for node in keys if file_row(new, node) not in old.rows), first_change(old, new)
            )
            message = f"{name} loses {', '.join('$' + part for part in sorted(gone))}: different answers share one entry."
            yield rule.finding(place, message, fix="Keep it in the key.", severity=ERROR)


@rule.config_change("vcl")
def visit_vcl_change(old: "ConfigFile", new: "ConfigFile") -> "Iterator[Finding]":
    now = {part for part in map(_hashed, new.root.below()) if part}
    hashes = "sub vcl_hash" in " ".join(node.head for node in new.root.below())
    for part in sorted({part for part in map(_hashed, old.root.below()) if part} - now) if hashes else ():
        message = f"hash_data({part}) is gone: answers that differ by it share one entry."
        yield rule.finding(first_change(old, new), message, fix="Keep it in vcl_hash.", severity=ERROR)


def _hashed(node: "Node") -> str:
    found = patterns.match(r"hash_data ?\( ?(.+?) ?\)$|set req\.hash \+= (.+)", node.head)
    return (found[1] or found[2]).lower() if found else ""


def file_row(file: "ConfigFile", node: "Node") -> str:
    return file.rows[node.line - 1]
