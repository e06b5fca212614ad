"""Django's templates, read tag by tag: what they show is looked up, tags of the application are called."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls, templates
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.files import text_of
from cache_strategy.profile.frameworks.django import forms, requests
from cache_strategy.profile.frameworks.django.knowledge import REQUEST
from cache_strategy.profile.lowering import NONE, Node
from cache_strategy.profile.orms.django import settings
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    External,
    FunctionRef,
    Made,
    Mapping,
    Method,
    Page,
    Value,
    Values,
    is_true,
    join,
    many,
    one,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

PAGINATOR, LIBRARY = "django.core.paginator.Paginator()", "django.template.Library()"
_TAGS, _PROCESSORS = "django tags", "flask context processors"
_OPENING = re.compile(r"\{[%{#]")
_ENDS = {"{%": "%}", "{{": "}}", "{#": "#}", "endcomment": ""}
# What is longer was not written by hand.
_LONGEST_MARK = 4_000
_WORD = re.compile(r"""((?:[^\s"']|"[^"]*"|'[^']*')+)""")
_PIPE = re.compile(r"""\|(?=(?:[^"']|"[^"]*"|'[^']*')*$)""")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NAME = re.compile(r"[^\W\d]\w*(?:\.\w+)*$")
_SKIPPED = frozenset(
    "load url static spaceless autoescape verbatim block in and or not is else empty as".split()
)
_NOTED = {"csrf_token": "session", "now": "time", "trans": "locale", "translate": "locale", "blocktrans": "locale",
          "blocktranslate": "locale", "get_current_language": "locale"}  # fmt: skip
_OF_REQUEST = {"request": "", "user": ".user", "perms": ".user", "LANGUAGE_CODE": ".LANGUAGE_CODE"}


_Token = tuple[str, tuple[str, ...], list[tuple[str, str]], str, int]
"""A tag, its words, those that name a value (`with title=row.title`), or what is shown; and the line."""


class _Rendering:
    """The evaluation of one page; `used` are the names that stand in the template at hand."""

    def __init__(self, frame: "Frame", files: templates.Templates, variables: dict[str, Values]) -> None:
        self.frame = frame
        self.files = files
        self.variables = variables
        self.stack: list[str] = []
        self.used: set[str] = set()

    def template(self, path: str) -> None:
        """A template that is shown again with the same variables is evaluated once."""
        frame, start, outer_used = self.frame, dict(self.variables), self.used
        known = frame.analysis.pages.setdefault((path, frame.loops > 0), {})
        tried = ((names, kept.get(tuple(map(start.get, names)))) for names, kept in known.items())
        found = next(((names, facts) for names, facts in tried if facts is not None), None)
        outer, frame.facts = frame.facts, Facts() if found is None else found[1]
        self.used = set() if found is None else {*found[0]}
        if found is None and path not in self.stack and len(self.stack) < 20:
            self.stack.append(path)
            before, frame.place = frame.place, path
            tokens, spoken = self.tokens(path)
            self.used.update(spoken)
            for name, words, pairs, shown, line in tokens:
                if shown:
                    frame.consume(self.expression(shown, line), ("name", line, shown))
                else:
                    self.tag(name, words, pairs, line)
            frame.place = before
            self.stack.pop()
            asked = tuple(sorted(self.used))
            known.setdefault(asked, {})[tuple(map(start.get, asked))] = frame.facts
        outer.include(frame.facts)
        frame.facts, self.used = outer, outer_used | self.used

    def tokens(self, path: str) -> "tuple[list[_Token], set[str]]":
        """Each tag and variable of a template, and every word in them."""
        kept = self.frame.analysis.notes.setdefault("django templates", {})
        if path not in kept:
            try:
                text = text_of(self.files.repo / path)
            except OSError:
                self.frame.facts.unknown.add(f"template {path}")
                text = ""
            tokens: list[_Token] = []
            names: set[str] = set()
            for is_tag, inside, line in _marks(text):
                name, *words = (_WORD.findall(inside) if is_tag else None) or [""]
                named = [w.partition("=") for w in words if "=" in w and w[0] not in "=!<>\"'"]
                pairs = [(target, value) for target, _, value in named]
                tokens.append((name, tuple(words), pairs, "" if is_tag else inside, line))
                names.update(_IDENTIFIER.findall(inside))
            kept[path] = (tokens, names)
        return kept[path]  # type: ignore[no-any-return]  # notes hold what each plugin puts there

    def tag(self, name: str, words: tuple[str, ...], pairs: list[tuple[str, str]], line: int) -> None:
        env, node, frame = self.variables, ("name", line, name), self.frame
        place = words.index("as") if "as" in words[:-1] else len(words)
        if name == "for" and "in" in words[:-1]:
            at = words.index("in")
            items = frame.iterate(self.expression(words[at + 1], line), node)
            names = [n for w in words[:at] for n in w.split(",") if n]
            env |= {n: items if len(names) == 1 else frame.iterate(items, node) for n in names}
            frame.loops += 1
        elif name == "endfor":
            frame.loops = max(0, frame.loops - 1)
        elif name == "cache":
            text = f"{{% cache {' '.join(words)} %}}"
            frame.analysis.notes.setdefault("caches", {})[frame.place, line, text] = None
        elif _NOTED.get(name) == "locale":
            requests.note_locale(frame, line)
        elif name in _NOTED and (name != "now" or set("".join(words)) & set("HhGgisuPfaAcrU")):
            # the year in a footer is no time that an answer depends on
            frame.note_context(_NOTED[name], name if name == "csrf_token" else "", node)
        elif frame.analysis.stored(_TAGS, name):
            found = self.call(name, [w for w in words[:place] if "=" not in w], pairs, line)
            env |= dict.fromkeys(words[place + 1 :], found or PLAIN)
        elif name not in _SKIPPED and not name.startswith("end"):
            env |= {target: self.expression(text, line) for target, text in pairs}
            values = [self.expression(w, line) for w in words if "=" not in w and w not in _SKIPPED]
            env |= {target: values[0] for target in words[place + 1 :] if values}
            for value in values:
                frame.consume(value, node)
            if name in ("include", "extends") and words:
                name = words[0].strip("'\"")
                if name == words[0]:
                    frame.facts.unknown.add(f"a template that {frame.place} names at run time")
                else:
                    self.inner(name)

    def inner(self, name: str) -> None:
        path = self.files.find(name, self.frame.place)
        if path is not None:
            self.template(path)
        else:
            self.frame.facts.unknown.add(f"template {name}")

    def call(self, name: str, words: list[str], pairs: list[tuple[str, str]], line: int) -> Values:
        frame, found = self.frame, NOTHING
        positional = [self.expression(w, line) for w in words]
        keywords = tuple((key, self.expression(text, line)) for key, text in pairs)
        for value in frame.analysis.stored(_TAGS, name):
            takes, template = frame.analysis.notes[_TAGS].get((name, value), (False, ""))
            own = tuple(item for item in self.variables.items() if item[0][:1] != "|")
            context = [one(Mapping(own))] if takes else []
            called = Arguments((*context, *positional), keywords, ("name", line, name))
            found = join(found, calls.call_value(frame, value, called))
            before = dict(self.variables)
            self.variables |= dict(f for v in found if isinstance(v, Mapping) for f in v.fields)
            if template:
                self.inner(template)
            self.variables = before
        return found

    def expression(self, text: str, line: int) -> Values:
        """`row.author.posts.all|first`: what can be called is called."""
        frame, (is_name, (name, *parts), filters) = self.frame, _read(text)
        node: Node = ("name", line, name)
        values = self.variables.get(name, NOTHING) if is_name else PLAIN
        for part in (None, *parts) if values is not PLAIN else ():
            if part is not None:
                node = ("attr", line, node, part)
                base = attributes.resolved(frame, values, node[2])
                values = (
                    frame.iterate(base, node) if part.isdigit() else attributes.get(frame, base, part, node)
                )
            for value in values:
                if isinstance(value, FunctionRef | Method):
                    values = join(values - one(value), calls.call_value(frame, value, given(node)))
                elif isinstance(value, Made) and forms.is_form(value):
                    forms.show(frame, value, node)
        values = attributes.touched(frame, values, node)
        for name, argument in filters:
            said = [self.expression(argument, line)] if argument else []
            for value in frame.analysis.stored(_TAGS, f"|{name}"):
                calls.call_value(frame, value, given(node, values, *said))
            if name not in ("default", "default_if_none"):
                items = frame.iterate(values, node)
                values = (
                    items
                    if name in ("first", "last", "random")
                    else many(items)
                    if name in ("slice", "dictsort")
                    else PLAIN
                )
        return values


def _marks(text: str) -> Iterator[tuple[bool, str, int]]:
    """
    (whether it is a tag, what stands in it, its line) of each `{% … %}` and `{{ … }}` outside of comments.

    Where an end was looked for in vain it is not looked for again: the text may be anything.
    """
    at, line, vain = 0, 1, dict.fromkeys(_ENDS, -1)
    while (match := _OPENING.search(text, at)) is not None:
        kind, start = match[0], match.end()
        line += text.count("\n", at, match.start())
        at = start
        # `{#` ends on its line
        last = text.find("\n", start) if kind == "{#" and start > vain[kind] else len(text)
        end = -1 if start <= vain[kind] else text.find(_ENDS[kind], start, last if last >= 0 else len(text))
        if end < 0:
            vain[kind] = max(vain[kind], last if last >= 0 else len(text))
            continue
        inside = text[start : min(end, start + _LONGEST_MARK)].strip()
        if kind == "{%" and inside[:7] == "comment" and start > vain["endcomment"]:
            past = text.find("endcomment", end)
            if past >= 0:
                end = max(end, text.find("%}", past))
            else:
                vain["endcomment"] = len(text)
        elif kind != "{#" and end - start <= _LONGEST_MARK:
            yield kind == "{%", inside.strip("-").strip() if kind == "{%" else inside, line
        line += text.count("\n", at, end)
        at = end + 2


@lru_cache(maxsize=50_000)
def _read(text: str) -> tuple[bool, list[str], list[tuple[str, str]]]:
    """Whether an expression begins with a name, what stands between its dots, and its filters: (name, argument)."""
    first, *filters = _PIPE.split(text.strip())
    called = [part.strip().partition(":") for part in filters]
    return bool(_NAME.match(first)), first.split("."), [(name, argument) for name, _, argument in called]


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    if isinstance(value, Page) and name in ("object_list", "paginator", "number"):
        return many(value.items) if name == "object_list" else PLAIN
    if isinstance(value, Made) and value.path == PAGINATOR and name in ("count", "num_pages", "page_range"):
        frame.iterate(value.args[0] if value.args else NOTHING, node)
        return PLAIN
    return None


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`render(…)`, `render_to_string(…)`, pages of a paginator, `register.filter("name", function)`."""
    last, node = path.rpartition(".")[2], arguments.node
    if isinstance(receiver, Made) and receiver.path == PAGINATOR:
        return one(Page(frame.iterate(receiver.args[0] if receiver.args else NOTHING, node)))
    if isinstance(receiver, Made) and receiver.path == LIBRARY and len(arguments.positional) > 1:
        _take(frame, last, text_in(arguments.get(0)) or "", arguments.get(1), arguments)
        return NOTHING
    if not path.startswith(("django.http.", "django.shortcuts.", "django.template.")):
        return None
    if last in ("JsonResponse", "HttpResponse", "StreamingHttpResponse"):
        frame.consume(arguments.get(0), node)
        return one(External(path + "()"))
    if last not in (
        "render",
        "TemplateResponse",
        "render_to_response",
        "render_to_string",
        "SimpleTemplateResponse",
    ):
        return None
    place = int(last in ("render", "TemplateResponse") and path != "django.template.Template().render")
    template = arguments.get(place, "template_name") or arguments.get(-1, "template")
    request = arguments.get(0 if place else 2, "request")
    return render(frame, template, arguments.get(place + 1, "context"), request, node)


def decorated(frame: "Frame", function: int, path: str, arguments: Arguments | None) -> bool:
    """`@register.simple_tag` and its like."""
    if not path.startswith(LIBRARY):
        return False
    said, kind = arguments or Arguments((), (), NONE), path.rpartition(".")[2]
    name = text_in(said.get(-1, "name")) or (None if kind == "inclusion_tag" else text_in(said.get(0)))
    _take(frame, kind, name or frame.analysis.functions[function].name, one(FunctionRef(function)), said)
    return True


def _take(frame: "Frame", kind: str, name: str, values: Values, arguments: Arguments) -> None:
    name = f"|{name}" if kind == "filter" else name
    frame.analysis.store(_TAGS, name, frozenset(v for v in values if isinstance(v, FunctionRef)))
    template = (text_in(arguments.get(0, "filename")) or "") if kind == "inclusion_tag" else ""
    known = frame.analysis.notes.setdefault(_TAGS, {})
    known |= {(name, value): (is_true(arguments.get(-1, "takes_context")), template) for value in values}


def render(frame: "Frame", names: Values, context: Values, request: Values, node: Node) -> Values:
    """Notes what a template shows; a template whose name is not known may show everything that it is given."""
    analysis, kept = frame.analysis, frame.analysis.notes.setdefault("templates", {})
    dotted = [n for n in settings.names_in(analysis, "TEMPLATES", "TEMPLATE_CONTEXT_PROCESSORS") if "." in n]
    files = kept["all"] = kept.get("all") or templates.Templates(Path(str(kept["repo"])))
    # what every template sees: the request, who asks, what context processors give
    outside = {name: one(External(f"{REQUEST}(){part}")) for name, part in _OF_REQUEST.items()}
    outside["request"] = frozenset(v for v in request if isinstance(v, External)) or outside["request"]
    outside["messages"] = one(External("django.contrib.messages.get_messages"))
    for name, value in ((n, v) for n in dotted for v in settings.by_name(analysis, n)):
        if isinstance(value, FunctionRef):
            analysis.store(_PROCESSORS, name, one(value))
            found = calls.call_value(frame, value, given(node, outside["request"]))
            outside |= dict(f for v in found if isinstance(v, Mapping) for f in v.fields)
    variables = dict(f for v in context if isinstance(v, Mapping) for f in v.fields)
    path = next((p for n in texts_in(names) if (p := files.find(n, frame.module.path))), None)
    if path is None or any("jinja" in name.lower() for name in dotted):
        templates.render(frame, files, texts_in(names), variables, outside, node)
    else:
        frame.facts.renders = True
        _Rendering(frame, files, {**outside, **variables}).template(path)
    return one(External("django.shortcuts.render()"))
