"""
CS303 purge-everything-command

What it does
    Flags shell commands that empty a whole CDN or proxy cache: Cloudflare's purge_everything, a CloudFront invalidation of
    /*, fastly purge --all, a ban of every URL in Varnish, removing the cache folder of nginx.

Why is this bad
    Every page of every visitor goes to the origin at once, which has been sized for the misses only.

Example
    aws cloudfront create-invalidation --distribution-id E1 --paths '/*'

Use instead
    aws cloudfront create-invalidation --distribution-id E1 --paths /shop/products/4711

Known problems
    A small site is purged as a whole with every release and bears it: allow the command.

Source
    https://developers.cloudflare.com/cache/how-to/purge-cache/, of CloudFront: Invalidating files
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._shell import Invocation
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(
    __name__, code="CS303", keywords=("purge", "cache", "invalidation", "varnish"), severity="warning"
)

_PURGES = regex(r"purge_everything[\"'\\\s]*:[\"'\\\s]*true")
_ALL = regex(
    r"req\.url (?:~|!=) (?:\.\*?|/\*?|\^?/?\.\*|x|\"\")$|req\.http\.host ~ \.\*?$|obj\.status (?:!=|>) 0$"
)
_FOLDER = regex(r"/(?:var/)?(?:cache|lib|run)/(?:nginx|varnish|squid)(?:/[\w.-]*)?/?\*?$|/nginx/cache/?\*?$")
_FIX = "Purge the addresses or tags that have changed."


@rule.command
def visit_invocation(run: "Invocation") -> "Iterator[Finding]":
    name, *args = map(str, run.argv)
    told = ""
    if name in ("curl", "http", "https", "wget") and _PURGES.search(" ".join([*args, run.stdin or ""])):
        told = "purge_everything empties the whole zone"
    elif name == "aws" and "cloudfront" in args and "create-invalidation" in args and "/*" in args:
        told = "an invalidation of /* empties the whole distribution"
    elif name == "fastly" and "purge" in args and "--all" in args:
        told = "purge --all empties the whole service"
    elif name == "varnishadm" and _ALL.search(" ".join(args).strip("\"'")) and "ban" in " ".join(args):
        told = "a ban of every URL empties the whole cache"
    elif (
        name == "rm"
        and any(_FOLDER.search(arg) for arg in args)
        and any(arg.startswith("-") and "r" in arg.lower() for arg in args)
    ):
        told = "removing its folder empties the whole cache of the proxy"
    if told:
        yield rule.finding(run, f"{name}: {told}, and every visitor goes to the origin at once.", fix=_FIX)
