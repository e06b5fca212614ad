"""Django's templates: read as statements and evaluated; `render` and its like, tags and filters, context processors."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls, templates
from cache_strategy.profile.facts import Facts
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
_TOKEN = re.compile(r"\{%-?\s*(.*?)\s*-?%\}|\{\{\s*(.*?)\s*\}\}|\{#.*?#\}", re.S)
_WORD = re.compile(r"""((?:[^\s"']|"[^"]*"|'[^']*')+)""")
_PIPE = re.compile(r"""\|(?=(?:[^"']|"[^"]*"|'[^']*')*$)""")
_OPERATORS = frozenset("and or not in is == != < > <= >=".split())
_SKIPPED = frozenset(
    "load url static cycle spaceless autoescape templatetag verbatim block filter widthratio".split()
)
_WITH_BODY = frozenset("for if with cache blocktrans blocktranslate ifchanged comment language".split())
_NOTED = {"csrf_token": "session", "now": "time", "trans": "locale", "translate": "locale", "blocktrans": "locale",
          "blocktranslate": "locale", "get_current_language": "locale", "cache": "cache"}  # fmt: skip
_OF_REQUEST = {"request": "", "user": ".user", "perms": ".user", "LANGUAGE_CODE": ".LANGUAGE_CODE"}


class _Parser:
    """The tokens of one template and where the reader stands."""

    def __init__(self, text: str) -> None:
        self.tokens = [(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in _TOKEN.finditer(text)]
        self.at = 0

    def body(self, *ends: str) -> Node:
        """The statements up to one of the tags `ends`."""
        made: list[Node] = []
        while self.at < len(self.tokens):
            tag, shown, line = self.tokens[self.at]
            name, *words = _WORD.findall(tag) if tag else ("",)
            if name and name in ends:
                break
            self.at += 1
            if shown:
                made.append(("do", line, ("op", line, "not", (_expression(shown, line),))))
            if name:
                made.extend(self.statement(name, words, line))
        return tuple(made)

    def statement(self, name: str, words: list[str], line: int) -> list[Node]:
        noted = [("note", line, _NOTED[name], name, tuple(words))] if name in _NOTED else []
        if name in _WITH_BODY:
            ends = (f"end{name}", "empty" if name == "for" else "else", "elif")
            body, rest = self.body(*ends), ()
            while self.at < len(self.tokens) and not self.tokens[self.at][0].startswith("end"):
                again = self.tokens[self.at][0].split()[1:]
                self.at += 1
                rest += (_test(again, line), *self.body(*ends))
            self.at += 1
            if name == "for" and "in" in words:
                place = words.index("in")
                names = tuple(("name", line, n) for part in words[:place] for n in part.split(",") if n)
                target = names[0] if len(names) == 1 else ("seq", "tuple", names)
                body = (("let", line, (("name", line, "forloop"),), ("const", 0)), *body)
                return [("for", line, target, _expression(words[place + 1], line), body, rest)]
            if name == "comment":
                return []
            first = [_test(words, line)] if name == "if" else _named(words, line)
            return (
                [*noted, *first, ("if", line, ("const", 0), body, rest)]
                if name == "if"
                else [*noted, *first, *body, *rest]
            )
        if name in ("include", "extends") and words:
            return [*_named(words[1:], line), ("other", line, _expression(words[0], line), ())]
        if noted or name in _SKIPPED or name.startswith("end"):
            return noted
        if name == "regroup" and len(words) > 4:
            group = ("dict", line, (("const", "list"),), (_expression(words[0], line),))
            return [("let", line, (("name", line, words[4]),), ("seq", "list", (group,)))]
        return [("tag", line, name, tuple(words))]


def _named(words: list[str], line: int) -> list[Node]:
    """`a=b c=d` and `b as a`."""
    pairs = [w.partition("=")[::2] for w in words if "=" in w]
    pairs += [(words[i + 1], words[i - 1]) for i, w in enumerate(words[:-1]) if w == "as" and i]
    return [("let", line, (("name", line, name),), _expression(text, line)) for name, text in pairs]


def _test(words: list[str], line: int) -> Node:
    return ("do", line, ("op", line, "<", tuple(_expression(w, line) for w in words if w not in _OPERATORS)))


def _expression(text: str, line: int) -> Node:
    first, *filters = _PIPE.split(text.strip())
    made = _operand(first.strip(), line)
    for name, _, argument in (part.strip().partition(":") for part in filters):
        made = ("filter", line, name, made, (_operand(argument, line),) if argument else (), ())
    return made


def _operand(text: str, line: int) -> Node:
    if text[:1] in ("'", '"', "_") and text[-1:] in ("'", '"', ")"):
        return ("const", text.strip("_()").strip("'\""))
    name, *parts = text.split(".")
    if not name.isidentifier() or name in ("True", "False", "None"):
        return ("const", 0)
    made: Node = ("name", line, name)
    for part in parts:
        made = ("item", line, made, ("const", int(part))) if part.isdigit() else ("attr", line, made, part)
    return made


class Pages(templates.Templates):
    """The templates of a Django project."""

    def __init__(self, repo: Path) -> None:
        super().__init__(repo)
        self.used: dict[str, tuple[str, ...]] = {}

    def parse(self, text: str) -> Node | None:
        return _Parser(text).body()

    def names(self, path: str) -> tuple[str, ...]:
        """The variables that a template and those that it includes use."""
        if path not in self.used:
            self.used[path] = ()
            found: set[str] = set()
            queue: list[object] = [self.statements(path) or ()]
            for node in queue:
                if isinstance(node, tuple):
                    queue.extend(node)
                    if node[:1] == ("name",):
                        found.add(str(node[2]))
                    elif node[:1] == ("tag",):
                        found.update(re.findall(r"[a-zA-Z_]\w*", " ".join(node[3])))
                    elif node[:1] == ("other",) and node[2][0] == "const":
                        inner = self.find(str(node[2][1]), path)
                        found.update(self.names(inner) if inner is not None else ())
            self.used[path] = tuple(sorted(found))
        return self.used[path]


class DjangoPage(templates.Page):
    """A page of Django's: what can be called is called, tags are functions."""

    def run(self, statements: Node) -> bool:
        for statement in statements:
            own = {"tag": self.tag, "note": self.note}.get(statement[0])
            if own is not None:
                own(statement)
            else:
                super().run((statement,))
        return False

    def expression(self, node: Node) -> Values:
        if node[0] in ("attr", "name"):
            return attributes.touched(self, self.dotted(node), node)
        return super().expression(node)

    def dotted(self, node: Node) -> Values:
        """`row.author.posts.all`."""
        if node[0] == "attr":
            base = self.dotted(node[2]) if node[2][0] in ("attr", "name") else self.expression(node[2])
            found = attributes.get(self, attributes.resolved(self, base, node[2]), node[3], node)
        else:
            found = self.name(node[2])
        for value in found:
            if isinstance(value, FunctionRef | Method):
                found = join(found - one(value), calls.call_value(self, value, given(node)))
            elif isinstance(value, Made) and forms.is_form(value):
                forms.show(self, value, node)
        return found

    def template(self, path: str) -> None:
        """A template that shows the same of the same variables is evaluated once."""
        names = self.templates.names(path) if isinstance(self.templates, Pages) else ()
        key = (path, self.loops > 0, tuple((n, self.env.get(n) or self.outside.get(n)) for n in names))
        outer, self.facts = self.facts, self.analysis.pages.get(key) or Facts()
        if key not in self.analysis.pages:
            super().template(path)
            self.analysis.pages[key] = self.facts
        outer.include(self.facts)
        self.facts = outer

    def note(self, node: Node) -> None:
        _, line, kind, name, words = node
        if kind == "cache":
            text = f"{{% cache {' '.join(words)} %}}"
            self.analysis.notes.setdefault("caches", {})[self.place, line, text] = None
        elif kind != "locale" or requests.is_localized(self.analysis):
            self.note_context(kind, name if kind == "session" else "", ("name", line, name))

    def tag(self, node: Node) -> None:
        """A tag of the application: its function runs, its template is shown."""
        _, line, name, words = node
        place = words.index("as") if "as" in words[:-1] else len(words)
        positional = [self.expression(_expression(w, line)) for w in words[:place] if "=" not in w]
        pairs = [w.partition("=")[::2] for w in words[:place] if "=" in w]
        keywords = tuple((name, self.expression(_expression(text, line))) for name, text in pairs)
        variables, found = {**self.outside, **self.env}, NOTHING
        for value in self.analysis.stored(_TAGS, name):
            takes, template = self.analysis.notes[_TAGS].get((name, value), (False, ""))
            context = [one(Mapping(tuple(i for i in variables.items() if i[0][:1] != "|")))] if takes else []
            arguments = Arguments((*context, *positional), keywords, ("name", line, name))
            found = join(found, calls.call_value(self, value, arguments))
            path = self.templates.find(template, self.place) if template else None
            if path is not None:
                before, shown = self.env, [v.fields for v in found if isinstance(v, Mapping)]
                self.env = {**before, **dict(f for fields in shown for f in fields)}
                self.template(path)
                self.env = before
        self.env |= dict.fromkeys(words[place + 1 :], found or PLAIN)


Pages.page = DjangoPage


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """Pages of a paginator."""
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
    analysis, variables = frame.analysis, dict(f for v in context if isinstance(v, Mapping) for f in v.fields)
    kept = analysis.notes.setdefault("templates", {})
    dotted = [n for n in settings.names_in(analysis, "TEMPLATES", "TEMPLATE_CONTEXT_PROCESSORS") if "." in n]
    if "django" not in kept:
        is_jinja = any("jinja" in name.lower() for name in dotted)
        kept["django"] = (templates.Templates if is_jinja else Pages)(Path(str(kept["repo"])))
    # what every template sees: the request, who asks, filters, what context processors give
    outside = {name: one(External(f"{REQUEST}(){part}")) for name, part in _OF_REQUEST.items()}
    outside["request"] = frozenset(v for v in request if isinstance(v, External)) or outside["request"]
    outside["messages"] = one(External("django.contrib.messages.get_messages"))
    outside |= {
        name: analysis.stored(_TAGS, name) for name, _ in analysis.notes.get(_TAGS, ()) if name[0] == "|"
    }
    for name, value in ((n, v) for n in dotted for v in settings.by_name(analysis, n)):
        if isinstance(value, FunctionRef):
            analysis.store(_PROCESSORS, name, one(value))
            found = calls.call_value(frame, value, given(node, outside["request"]))
            outside |= dict(f for v in found if isinstance(v, Mapping) for f in v.fields)
    templates.render(frame, kept["django"], texts_in(names), variables, outside, node)
    return one(External("django.shortcuts.render()"))
