"""The fragments that a template caches: `{% cache 500 sidebar user.id %}` is the key "fragment sidebar {}"."""

from __future__ import annotations

import re

from cache_strategy.rules.index.facts import Fact

ENDINGS = (".html", ".jinja", ".jinja2", ".j2", ".txt")
_TAG = re.compile(r"\{%-?\s*cache\s+(?P<rest>[^%]*?)\s*-?%\}")
# A value with filters, brackets and quotes is one argument.
_ARGUMENT = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\([^()]*\)|[^\s'\"()])+")


def fragments_of(text: str) -> "list[Fact]":
    """One fact per cached fragment."""
    found = []
    for tag in _TAG.finditer(text):
        arguments = [
            part for part in _ARGUMENT.findall(tag["rest"].replace(",", " ")) if not part.startswith("using=")
        ]
        # Django writes the name without quotes, Jinja's extension with them.
        name = arguments[1].strip("'\"") if len(arguments) > 1 else ""
        if not name.replace("_", "").replace("-", "").isalnum():
            continue
        shape = " ".join(["fragment", name, *["{}"] * (len(arguments) - 2)])
        found.append(Fact("set", shape, text.count("\n", 0, tag.start()) + 1, "", ""))
    return found
