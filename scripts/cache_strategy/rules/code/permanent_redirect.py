"""
CS129 permanent-redirect

What it does
    Flags an edit that makes a redirect permanent (301, 308) whose target is looked up: the address of a row, a file, a
    user's page.

Why is this bad
    Browsers and proxies keep a permanent redirect for ever and never ask again; when the target moves, people who have been
    there are sent to where nothing is.

Example
    from django.views.decorators.cache import cache_control
    from django.shortcuts import redirect
    def picture(request, number):
        rendition = find_rendition(number)
    -    return redirect(rendition.url)
    +    return redirect(rendition.url, permanent=True)

Use instead
    from django.views.decorators.cache import cache_control
    from django.shortcuts import redirect
    def picture(request, number):
        rendition = find_rendition(number)
    -    return redirect(rendition.url)
    +    return redirect(rendition.url, preserve_request=True)

Known problems
    An address that never changes, such as the one with the right spelling, may be permanent: allow the line.

Source
    https://www.rfc-editor.org/rfc/rfc9110#name-301-moved-permanently; 5 of 526 unsafe changes in 56 open-source projects.
"""

from __future__ import annotations

from cache_strategy.rules._base import Rule
from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax import patterns
from cache_strategy.syntax.names import literal, text_of
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._types import Change, Finding, Function, IndexedModule, Iterator

rule = Rule(__name__, code="CS129", severity="warning", keywords=("cach",))

_REDIRECT = regex(r"(?:^|\.|_)redirect\w*$|Redirect\w*$", patterns.I)
_PERMANENT = regex(r"PermanentRedirect|MovedPermanently")
_FIX = "Keep it temporary (302), with a Cache-Control that says for how long."


@rule.change
def visit_change(change: "Change") -> "Iterator[Finding]":
    for earlier, node in change.pairs:
        was, now = _redirects(earlier, change.before), _redirects(node, change.after)
        temporary = {target for target, (_, permanent) in was.items() if not permanent}
        for target, (call, permanent) in now.items():
            if permanent and target in temporary:
                yield rule.finding(
                    call, f"{node.name}() sends to {target} for ever now, and that may move.", fix=_FIX
                )


def _redirects(node: "Function", module: "IndexedModule") -> "dict[str, tuple[ast.Call, bool]]":
    """Target to (place, whether it is permanent) of the redirects to something that is looked up."""
    found: "dict[str, tuple[ast.Call, bool]]" = {}
    for call in module.calls_below(node):
        name = text_of(call.func)
        if not _REDIRECT.search(name) or not call.args:
            continue
        target = call.args[0]
        if isinstance(target, ast.Constant) or text_of(target).startswith(
            ("request.", "self.request.", "settings.")
        ):
            continue
        codes = [
            literal(k.value) for k in call.keywords if k.arg in ("code", "status", "status_code", "permanent")
        ]
        codes += [literal(arg) for arg in call.args[1:2]]
        permanent = bool(_PERMANENT.search(name)) or any(code in (301, 308) or code is True for code in codes)
        found[ast.unparse(target)] = (call, permanent)
    return found
