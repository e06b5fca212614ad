"""
CS204 proxy-caches-errors

What it does
    Flags caches of nginx that keep answers of failure (`proxy_cache_valid any`, 500 to 504) longer than half a minute, and
    CloudFront distributions that keep them longer than five minutes.

Why is this bad
    A failure of a second is served until the entry expires, after the application has long recovered.

Example
    location / {
        proxy_cache pages;
        proxy_cache_valid any 10m;
        proxy_pass http://app;
    }

Use instead
    location / {
        proxy_cache pages;
        proxy_cache_valid 200 301 302 10m;
        proxy_cache_valid any 5s;
        proxy_pass http://app;
    }

Known problems
    An origin that never fails with a 5xx of its own, such as a bucket, makes no difference.

Source
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid,
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages-expiration.html
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.rules._config import at, nginx_caches, seconds_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import ConfigFile
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(
    __name__,
    code="CS204",
    severity="warning",
    keywords=("_cache_valid", "error_caching_min_ttl", "errorcachingminttl"),
)

_FAILURE = regex(r"\b50[0-4]\b")
_FIX = "Keep failures for some seconds at most: proxy_cache_valid any 5s."


@rule.config("nginx")
def visit_nginx(file: "ConfigFile") -> "Iterator[Finding]":
    for block, module in nginx_caches(file):
        valid = block.inherited(module + "_cache_valid")
        named = any(_FAILURE.search(node.value) for node in valid)
        for node in valid:
            codes, _, time = node.value.rpartition(" ")
            if seconds_of(time) > 30 and (_FAILURE.search(codes) or ("any" in codes.split() and not named)):
                yield rule.finding(at(node), f"{node.head}: answers of failure are kept, too.", fix=_FIX)


@rule.config("hcl", "cloudfront-yaml", "cloudfront-json")
def visit_cloudfront(file: "ConfigFile") -> "Iterator[Finding]":
    for node in file.root.all("error_caching_min_ttl", "errorcachingminttl"):
        code = node.parent.get("error_code", "ErrorCode", "errorcode") if node.parent is not None else ""
        if _FAILURE.search(code) and node.value.isdigit() and int(node.value) > 300:
            message = f"answers of failure ({code}) are kept for {node.value} seconds."
            yield rule.finding(at(node), message, fix="Keep them for some seconds at most.")
