"""
CS208 cdn-keeps-private-answers

What it does
    Flags CDN rules that keep what is meant for one visitor: CloudFront behaviours (Terraform, CloudFormation) that hand
    cookies to the origin without having them in the key, or keep answers against Cache-Control; Cloudflare page and cache
    rules that cache everything; Workers that cache whatever they fetch.

Why is this bad
    The origin answers with somebody's own page, and the CDN gives it to everyone.

Example
    resource "cloudflare_page_rule" "all" {
      target = "shop.example.com/*"
      actions {
        cache_level    = "cache_everything"
        edge_cache_ttl = 7200
      }
    }

Use instead
    resource "cloudflare_page_rule" "assets" {
      target = "shop.example.com/assets/*"
      actions {
        cache_level    = "cache_everything"
        edge_cache_ttl = 7200
      }
    }

Known problems
    A site without any login is safe with all of them: allow the line. Policies of another module are not followed.

Source
    https://developers.cloudflare.com/cache/how-to/cache-rules/, and of CloudFront: Managing how long content stays in the
    cache (minimum TTL), Using the managed cache policies
"""

from __future__ import annotations

from cache_strategy.rules._base import WARNING, Rule
from cache_strategy.rules._config import at
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import ConfigFile
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(
    __name__,
    code="CS208",
    severity="error",
    keywords=(
        "cache_level",
        "edge_ttl",
        "min_ttl",
        "minttl",
        "cache_policy",
        "cachepolicy",
        "cacheeverything",
        "caches.default",
    ),
)

_STATIC = regex(
    r"static|assets?|media|images?|img|css|js\b|fonts?|upload|public|\.\w{2,4}\b[^/]*$", patterns.I
)
# Managed policies of CloudFront: what hands every cookie to the origin, and what has no cookie in its key.
_ALL_COOKIES = regex(
    r"216adef6-2c7f-47e4-b989-5492eafa07d3|33f36d7e-f396-46d9-90e0-52428a34d9dc|b689b0a8-53d0-40ab-baf2-68738e2966ac|AllViewer\w*"
)
_NO_COOKIES = regex(
    r"658327ea-f89d-4fab-a63d-7e88639e58f6|b2884449-e4de-46a7-ac36-70bc7f1ddd6d|CachingOptimized\w*"
)
_WRITES = regex(r"\b(?:POST|PUT|PATCH|DELETE)\b")
_CAREFUL = regex(
    r"cookie|authoriz|\bprivate\b|no-store|session|logged|isStatic|\.(?:css|js|png|jpe?g|svg|woff2?)\b|/(?:static|assets)/",
    patterns.I,
)


@rule.config("hcl", "cloudfront-yaml", "cloudfront-json")
def visit_cloudfront(file: "ConfigFile") -> "Iterator[Finding]":
    behaviours = ("default_cache_behavior", "ordered_cache_behavior", "defaultcachebehavior")
    blocks = [n for n in file.root.all(*behaviours) if n.children]
    blocks += [item for list_ in file.root.all("cachebehaviors") for item in list_.children]
    for block in blocks:
        place = block.get("path_pattern", "pathpattern")
        methods = " ".join(
            n.value + " ".join(c.head for c in n.below())
            for n in block.own("allowed_methods", "allowedmethods")
        )
        if _STATIC.search(place):
            continue
        asks, keeps = (block.own(*names) for names in (_REQUEST_POLICY, _CACHE_POLICY))
        if asks and keeps and _ALL_COOKIES.search(asks[0].head) and _NO_COOKIES.search(keeps[0].head):
            message = f"{place or 'the default behaviour'}: cookies reach the origin and are not in the key of the cache."
            fix = "Use CachingDisabled or UseOriginCacheControlHeaders for pages, and keep cookies from the origin of static files."
            yield rule.finding(
                at(keeps[0]), message, fix=fix, severity=None if _WRITES.search(methods) else WARNING
            )
        for node in block.own("min_ttl", "minttl"):
            cookies = [n.value for n in block.all("forward", "cookie_behavior") if n.parent is not None]
            if (
                node.value.isdigit()
                and int(node.value) > 0
                and _WRITES.search(methods)
                and "none" not in cookies
            ):
                message = (
                    f"{node.head}: answers are kept that long even where the origin says private or no-store."
                )
                yield rule.finding(
                    at(node), message, fix="Set the minimum to 0 and let Cache-Control decide."
                )


# An expression of Cloudflare that is true for every page of a site.
_WHOLE_SITE = r"(?i)true|http\.host (?:eq|in|contains|==) [^()]*?|http\.request\.full_uri wildcard r?['\"]?https?://[^/]*/\*['\"]?"
_REQUEST_POLICY = ("origin_request_policy_id", "originrequestpolicyid", "origin_request_policy_name")
_CACHE_POLICY = ("cache_policy_id", "cachepolicyid", "cache_policy_name")


@rule.config("hcl")
def visit_cloudflare(file: "ConfigFile") -> "Iterator[Finding]":
    for node in file.root.all("cache_level"):
        page = next((b for b in node.around() if "cloudflare_page_rule" in b.head), None)
        if (
            node.value == "cache_everything"
            and page is not None
            and not _STATIC.search(_path(page.get("target")))
        ):
            actions = " ".join(n.key for n in page.below())
            if "bypass_cache_on_cookie" not in actions:
                message = (
                    f"{node.head} for {page.get('target')}: pages of people who are logged in are kept, too."
                )
                forced = "edge_cache_ttl" in actions
                fix = "Name the paths of static files, or add bypass_cache_on_cookie."
                yield rule.finding(at(node), message, fix=fix, severity=None if forced else WARNING)
    for node in file.root.all("mode"):
        rules = next((b for b in node.around() if b.get("expression")), None)
        if (
            node.value == "override_origin"
            and rules is not None
            and any("edge_ttl" in b.head for b in node.around())
        ):
            expression = rules.get("expression")
            if patterns.fullmatch(_WHOLE_SITE, expression.replace('\\"', "'").strip("() ")):
                message = f"edge_ttl overrides the origin for {expression}: private pages are kept, too."
                yield rule.finding(
                    at(node), message, fix="Name the paths of static files, or respect_origin."
                )


@rule.config("worker")
def visit_worker(file: "ConfigFile") -> "Iterator[Finding]":
    text = patterns.sub(
        r"/\*[\s\S]*?(?:\*/|\Z)|(?<![:\w])//[^\n]*", lambda found: "\n" * found.group().count("\n"), file.text
    )
    if _CAREFUL.search(text) or not patterns.search(r"addEventListener\(\s*['\"]fetch|\bfetch\s*[(:]", text):
        return
    for number, row in enumerate(text.split("\n"), start=1):
        if patterns.search(
            r"cacheEverything:\s*true|\bcache\w*\.put\(\s*(?:event\.)?(?:request|req|cacheKey|key)\b", row
        ):
            message = "Everything that is fetched is cached, whoever asked and whatever the origin says."
            fix = "Leave out requests with cookies or Authorization and answers with Set-Cookie, private or no-store."
            yield rule.finding((number, 0, number), message, fix=fix, severity=WARNING)
            return


def _path(target: str) -> str:
    return target.partition("://")[2].partition("/")[2] if "://" in target else target.partition("/")[2]
