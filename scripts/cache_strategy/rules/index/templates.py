"""
What a template says: the fragments that it caches (`{% cache 500 sidebar user.id %}` is the key "fragment sidebar {}"), whether
it shows the user (`shows`), and what it extends or includes (`extends`).
"""

from __future__ import annotations

from cache_strategy.rules.index.facts import Fact
from cache_strategy.syntax.patterns import regex

_TAG = regex(r"\{%-?\s*cache\s+(?P<rest>[^%]*?)\s*-?%\}")
_USER = regex(
    r"\b(?:current_user|request\.user|user\.(?:is_authenticated|username|email|get_full_name)|g\.user)\b"
)
_INSIDE = regex(r"\{%-?\s*(?:extends|include)\s+['\"]([^'\"]+)['\"]")
_FOLDER = regex(r"^.*?(?:templates|jinja2|theme)/")
# A value with filters, brackets and quotes is one argument.
_ARGUMENT = regex(r"(?:'[^']*'|\"[^\"]*\"|\([^()]*\)|[^\s'\"()])+")


def facts_of_template(text: str, path: str) -> "list[Fact]":
    """The facts of a template, by the name under which views render it."""
    name = _FOLDER.sub("", path)
    found = [Fact("extends", name, 1, "", inner) for inner in sorted(set(_INSIDE.findall(text)))]
    user = _USER.search(text)
    if user:
        found.append(Fact("shows", name, text.count("\n", 0, user.start()) + 1, "", user[0]))
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
