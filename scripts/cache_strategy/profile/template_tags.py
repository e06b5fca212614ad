"""Tags that extensions bring into Jinja templates (`{% cache %}`, `{% assets %}`): what stands in them is read all the same."""

import re
from typing import Any

_TAG = re.compile(r"\{%[-+]?\s*([A-Za-z_]\w*)")
_OF_JINJA = frozenset(
    """autoescape block break call continue debug do elif else extends filter for from if import include macro
    pluralize print raw set trans with""".split()
)


def parsed(text: str) -> Any:
    """The template as jinja2 parses it, other packages' tags as their arguments and what they enclose."""
    import jinja2

    extensions: list[Any] = [f"jinja2.ext.{name}" for name in ("i18n", "do", "loopcontrols")]
    try:
        return jinja2.Environment(extensions=extensions).parse(text)
    except jinja2.TemplateSyntaxError:
        tags = set(_TAG.findall(text))
        strange = {t for t in tags - _OF_JINJA if t[:3] != "end"}
        if not strange:
            raise
        extensions.append(_reader(strange, {t[3:] for t in tags if t[:3] == "end"}))
        return jinja2.Environment(extensions=extensions).parse(text)


def _reader(strange: set[str], enclosing: set[str]) -> Any:
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.ext import Extension

    class Strange(Extension):
        tags = strange

        def parse(self, parser: Any) -> list[Any]:
            stream = parser.stream
            tag = next(stream)
            shown = []
            while stream.current.type not in ("block_end", "eof"):
                place = stream.current
                try:
                    shown.append(parser.parse_expression())
                except TemplateSyntaxError:
                    if stream.current is place and stream.current.type != "block_end":
                        next(stream)
            made: list[Any] = [nodes.Output(shown, lineno=tag.lineno)]
            if tag.value in enclosing:
                made.extend(parser.parse_statements((f"name:end{tag.value}",), drop_needle=True))
            return made

    return Strange
