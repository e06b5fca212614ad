"""Django's templates: read as statements and evaluated; `render` and its like, tags and filters, context processors."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.profile import attributes, calls
from cache_strategy.profile.frameworks.django import forms, requests
from cache_strategy.profile.frameworks.django.knowledge import REQUEST
from cache_strategy.profile.lowering import NONE, Node
from cache_strategy.profile.orms.django import settings
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.templates import Page, Templates
from cache_strategy.profile.templates import render as render_page
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    External,
    FunctionRef,
    Made,
    Mapping,
    Method,
    Value,
    Values,
    is_true,
    join,
    many,
    one,
    text_in,
    texts_in,
)
from cache_strategy.profile.values import Page as OnePage

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

_TAGS, _PROCESSORS, _LIBRARY = "django tags", "flask context processors", "django.template.Library()"
_TOKEN = re.compile(r"\{%-?\s*(.*?)\s*-?%\}|\{\{\s*(.*?)\s*\}\}|\{#.*?#\}", re.S)
_WORD = re.compile(r"""((?:[^\s"']|"[^"]*"|'[^']*')+)""")
_PIPE = re.compile(r"""\|(?=(?:[^"']|"[^"]*"|'[^']*')*$)""")
_OPERATORS = frozenset(("and", "or", "not", "in", "is", "==", "!=", "<", ">", "<=", ">="))
_SKIPPED = frozenset("load comment url static cycle spaceless autoescape templatetag verbatim block filter lorem widthratio "
                     "resetcycle get_static_prefix get_media_prefix debug else empty".split())  # fmt: skip
_WITH_BODY = frozenset(
    (
        "for",
        "if",
        "with",
        "cache",
        "blocktrans",
        "blocktranslate",
        "ifchanged",
        "comment",
        "language",
        "ifequal",
        "ifnotequal",
    )
)


class Pages(Templates):
    """The templates of a Django project; those of its Jinja environments too."""

    def parse(self, text: str) -> Node | None:
        tokens = [(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in _TOKEN.finditer(text)]
        return _body(tokens, [0], ())


def _body(tokens: list[tuple[str, str, int]], at: list[int], ends: tuple[str, ...]) -> Node:
    """The statements up to one of the tags `ends`."""
    made: list[Node] = []
    while at[0] < len(tokens):
        tag, shown, line = tokens[at[0]]
        at[0] += 1
        if shown:
            made.append(("do", line, ("op", line, "not", (_expression(shown, line),))))
        if not tag:
            continue
        name, *words = _WORD.findall(tag)
        if name in ends:
            at[0] -= 1
            break
        made.extend(_statement(name, words, line, tokens, at))
    return tuple(made)


def _statement(
    name: str, words: list[str], line: int, tokens: list[tuple[str, str, int]], at: list[int]
) -> list[Node]:
    body: Node = ()
    if name in _WITH_BODY:
        ends = ("endfor", "empty") if name == "for" else (f"end{name}", "else", "elif")
        body = _body(tokens, at, ends)
        rest: Node = ()
        while at[0] < len(tokens) and not tokens[at[0]][0].startswith("end"):
            again = tokens[at[0]][0].split()
            at[0] += 1
            rest += (("do", line, _test(again[1:], line)), *_body(tokens, at, ends))
        at[0] += 1
        if name == "for" and "in" in words:
            place = words.index("in")
            names = tuple(("name", line, n) for part in words[:place] for n in part.split(",") if n)
            target = names[0] if len(names) == 1 else ("seq", "tuple", names)
            body = (("let", line, (("name", line, "forloop"),), ("const", 0)), *body)
            return [("for", line, target, _expression(words[place + 1], line), body, rest)]
        if name in ("if", "ifequal", "ifnotequal"):
            return [("if", line, _test(words, line), body, rest)]
        if name == "comment":
            return []
        first = (
            [("note", line, "cache", name, words)]
            if name == "cache"
            else [("note", line, "locale", name, ())]
            if name.startswith("block")
            else []
        )
        return [*first, *_named(words, line), *body, *rest]
    if name in ("include", "extends"):
        return [*_named(words[1:], line), ("other", line, _expression(words[0], line) if words else NONE, ())]
    if name in _SKIPPED or name.startswith("end"):
        return []
    if name == "regroup" and len(words) > 4:
        group = ("dict", line, (("const", "list"),), (_expression(words[0], line),))
        return [("let", line, (("name", line, words[4]),), ("seq", "list", (group,)))]
    if name in ("trans", "translate", "csrf_token", "now", "get_current_language"):
        return [("note", line, {"csrf_token": "session", "now": "time"}.get(name, "locale"), name, ())]
    return [("tag", line, name, tuple(words))]


def _named(words: list[str], line: int) -> list[Node]:
    """`a=b c=d` and `b as a`."""
    made = [
        ("let", line, (("name", line, w.partition("=")[0]),), _expression(w.partition("=")[2], line))
        for w in words
        if "=" in w
    ]
    return made or [
        ("let", line, (("name", line, words[i + 1]),), _expression(words[i - 1], line))
        for i, w in enumerate(words[:-1])
        if w == "as" and i
    ]


def _test(words: list[str], line: int) -> Node:
    return ("op", line, "<", tuple(_expression(w, line) for w in words if w not in _OPERATORS))


def _expression(text: str, line: int) -> Node:
    first, *filters = _PIPE.split(text.strip())
    made: Node = _operand(first, line)
    for part in filters:
        name, _, argument = part.strip().partition(":")
        made = ("filter", line, name, made, (_operand(argument, line),) if argument else (), ())
    return made


def _operand(text: str, line: int) -> Node:
    text = text.strip()
    if text[:1] in ("'", '"', "_") and text[-1:] in ("'", '"', ")"):
        return ("const", text.strip("_()").strip("'\""))
    name, *parts = text.split(".")
    if not name.isidentifier() or name in ("True", "False", "None"):
        return ("const", 0)
    made: Node = ("name", line, name)
    for part in parts:
        made = ("item", line, made, ("const", int(part))) if part.isdigit() else ("attr", line, made, part)
    return made


class DjangoPage(Page):
    """A page of Django's: what can be called is called, tags are functions."""

    def run(self, statements: Node) -> bool:
        for statement in statements:
            if statement[0] == "tag":
                self.tag(statement)
            elif statement[0] == "note":
                self.note(statement)
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
        result: Values = NOTHING
        for value in found:
            called = isinstance(value, FunctionRef | Method) or (
                isinstance(value, External) and "()." in value.path and value.path.startswith("django.core")
            )
            result = join(result, calls.call_value(self, value, given(node)) if called else one(value))
        for value in result:
            if forms.is_form(value):
                forms.show(self, value, node)
        return result

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
        words = list(words)
        target = words[words.index("as") + 1] if "as" in words[:-1] else ""
        words = words[: words.index("as")] if target else words
        positional = [self.expression(_expression(w, line)) for w in words if "=" not in w]
        keywords = tuple(
            (w.partition("=")[0], self.expression(_expression(w.partition("=")[2], line)))
            for w in words
            if "=" in w
        )
        found: Values = NOTHING
        for value in self.analysis.stored(_TAGS, name):
            takes, template = self.analysis.notes[_TAGS].get((name, value), (False, ""))
            context = (
                [one(Mapping(tuple((n, v) for n, v in {**self.outside, **self.env}.items() if n[:1] != "|")))]
                if takes
                else []
            )
            found = join(
                found,
                calls.call_value(
                    self, value, Arguments((*context, *positional), keywords, ("name", line, name))
                ),
            )
            path = self.templates.find(template, self.place) if template else None
            if path is not None:
                shown = dict(f for v in found if isinstance(v, Mapping) for f in v.fields)
                before, self.env = self.env, {**self.env, **shown}
                self.template(path)
                self.env = before
        if target:
            self.env[target] = found or PLAIN


Pages.page = DjangoPage


def attribute(frame: "Frame", value: Value, name: str, node: Node) -> Values | None:
    """Pages of a paginator."""
    if isinstance(value, OnePage) and name in ("object_list", "paginator", "number"):
        return many(value.items) if name == "object_list" else PLAIN
    if (
        isinstance(value, Made)
        and value.path == "django.core.paginator.Paginator()"
        and name in ("count", "num_pages", "page_range", "object_list")
    ):
        frame.iterate(value.args[0] if value.args else NOTHING, node)
        return PLAIN
    return None


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`render(…)`, `render_to_string(…)`, pages of a paginator, `register.filter("name", function)`."""
    last = path.rpartition(".")[2]
    node = arguments.node
    if last in (
        "render",
        "TemplateResponse",
        "SimpleTemplateResponse",
        "render_to_response",
    ) and path.startswith(("django.shortcuts", "django.template")):
        template = arguments.get(
            1 if last in ("render", "TemplateResponse") else 0, "template_name"
        ) or arguments.get(-1, "template")
        context = arguments.get(2 if last in ("render", "TemplateResponse") else 1, "context")
        return render(frame, template, context, arguments.get(0, "request"), node)
    if path == "django.template.loader.render_to_string":
        return render(
            frame,
            arguments.get(0, "template_name"),
            arguments.get(1, "context"),
            arguments.get(2, "request"),
            node,
        )
    if isinstance(receiver, Made) and receiver.path == "django.core.paginator.Paginator()":
        return one(OnePage(frame.iterate(receiver.args[0] if receiver.args else NOTHING, node)))
    if isinstance(receiver, Made) and receiver.path == _LIBRARY and len(arguments.positional) > 1:
        _take(frame, last, text_in(arguments.get(0)) or "", arguments.get(1), arguments)
        return NOTHING
    if last in ("JsonResponse", "HttpResponse", "StreamingHttpResponse") and path.startswith("django.http."):
        frame.consume(arguments.get(0), node)
        return one(External(path + "()"))
    return None


def decorated(frame: "Frame", function: int, path: str, arguments: Arguments | None) -> bool:
    """`@register.simple_tag` and its like."""
    if not path.startswith(_LIBRARY):
        return False
    arguments = arguments or Arguments((), (), NONE)
    own = text_in(arguments.get(-1, "name")) or (
        text_in(arguments.get(0)) if not path.endswith("inclusion_tag") else None
    )
    _take(
        frame,
        path.rpartition(".")[2],
        own or frame.analysis.functions[function].name,
        one(FunctionRef(function)),
        arguments,
    )
    return True


def _take(frame: "Frame", kind: str, name: str, values: Values, arguments: Arguments) -> None:
    functions = frozenset(v for v in values if isinstance(v, FunctionRef))
    frame.analysis.store(_TAGS, f"|{name}" if kind == "filter" else name, functions)
    template = (text_in(arguments.get(0, "filename")) or "") if kind == "inclusion_tag" else ""
    for value in functions:
        frame.analysis.notes.setdefault(_TAGS, {})[name, value] = (
            is_true(arguments.get(-1, "takes_context")),
            template,
        )


def render(frame: "Frame", names: Values, context: Values, request: Values, node: Node) -> Values:
    """Notes what a template shows; a template whose name is not known may show everything that it is given."""
    variables: dict[str, Values] = {}
    for value in context:
        if isinstance(value, Mapping):
            variables.update(value.fields)
    kept = frame.analysis.notes.setdefault("templates", {})
    if "django" not in kept:
        is_jinja = any("jinja" in name.lower() for name in settings.names_in(frame.analysis, "TEMPLATES"))
        kept["django"] = (Templates if is_jinja else Pages)(Path(str(kept["repo"])))
    render_page(frame, kept["django"], texts_in(names), variables, _outside(frame, request, node), node)
    return one(External("django.shortcuts.render()"))


def _outside(frame: "Frame", request: Values, node: Node) -> dict[str, Values]:
    """What every template sees: the request, who asks, what context processors give."""
    analysis = frame.analysis
    request = frozenset(v for v in request if isinstance(v, External)) or one(External(f"{REQUEST}()"))
    found: dict[str, Values] = {"request": request, "user": one(External(f"{REQUEST}().user")), "perms": one(External(f"{REQUEST}().user")),
                                "messages": one(External("django.contrib.messages.get_messages")),
                                "LANGUAGE_CODE": one(External(f"{REQUEST}().LANGUAGE_CODE"))}  # fmt: skip
    for (owner, name), values in sorted(analysis.stores.items(), key=repr):
        if owner == _TAGS and name.startswith("|"):
            found[name] = values
    for dotted in (
        *settings.names_in(analysis, "TEMPLATES"),
        *settings.names_in(analysis, "TEMPLATE_CONTEXT_PROCESSORS"),
    ):
        for value in settings.by_name(analysis, dotted) if "." in dotted else ():
            if isinstance(value, FunctionRef):
                analysis.store(_PROCESSORS, dotted, one(value))
                for returned in calls.call_value(frame, value, given(node, request)):
                    if isinstance(returned, Mapping):
                        found.update(returned.fields)
    return found
