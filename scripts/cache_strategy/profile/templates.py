"""
Jinja templates: what rendering one reads. jinja2 parses the text and runs nothing; it is imported on first use.

A template becomes statements as `lower` writes them, and is evaluated as a function is.
"""

import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from cache_strategy.profile import attributes, calls, template_tags
from cache_strategy.profile.call_arguments import evaluate_arguments
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.files import text_of
from cache_strategy.profile.lowering import NONE, Node
from cache_strategy.profile.plugins import given
from cache_strategy.profile.program import shared
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Instance,
    Values,
    many,
)

_MOST_INCLUDED = 40
_SKIPPED = ("node_modules", "__pycache__", "site-packages")
_COLLECTING = frozenset("list sort reverse unique selectattr rejectattr batch slice groupby".split())
_OF_JINJA = frozenset("range dict lipsum cycler joiner namespace super caller self varargs kwargs".split())
_FOLDERS = ("templates", "template", "jinja2")


parsed: dict[bytes, Node | None] = {}
"""The statements of templates by the digest of their text; earlier runs may have filled it."""


class Templates:
    """The template files of a repository, by the names under which `render_template` finds them."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.files: dict[str, list[str]] = {}
        self.parsed: dict[str, Node | None] = {}
        for folder, folders, names in os.walk(repo):
            folders[:] = sorted(
                f for f in folders if not f.startswith(".") and f not in _SKIPPED
                and not Path(folder, f, "pyvenv.cfg").exists()
            )  # fmt: skip
            relative = os.path.relpath(folder, repo).replace(os.sep, "/")
            parts = [] if relative == "." else relative.split("/")
            at = next((i for i, part in enumerate(parts) if part in _FOLDERS), None)
            if at is None:
                continue
            for name in names:
                path = "/".join([*parts, name])
                for start in [i + 1 for i, part in enumerate(parts) if part in _FOLDERS]:
                    self.files.setdefault("/".join([*parts[start:], name]), []).append(path)

    def find(self, name: str, near: str) -> str | None:
        found = self.files.get(name.lstrip("/"))
        if not found:
            return None
        return max(found, key=lambda path: (shared(path, near), -len(path), path))

    def statements(self, path: str) -> Node | None:
        """The template's statements; None where it cannot be parsed."""
        if path not in self.parsed:
            try:
                self.parsed[path] = parse(text_of(self.repo / path))
            except OSError:
                self.parsed[path] = None
        return self.parsed[path]


def parse(text: str) -> Node | None:
    """The statements of a template given as text; None where it cannot be parsed."""
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    if digest not in parsed:
        parsed[digest] = _parsed(text)
    return parsed[digest]


def _parsed(text: str) -> Node | None:
    import jinja2

    try:
        return _block(template_tags.parsed(text).body)
    except (jinja2.TemplateError, RecursionError, ValueError):
        return None


def render(
    frame: Frame, templates: Templates, names: list[str], variables: dict[str, Values], outside: dict[str, Values],
    node: Node, text: str | None = None,
) -> None:  # fmt: skip
    """
    Notes what rendering the first template found of `names` reads, or one given as `text`.

    `variables` are those given to it, `outside` those of every template (request, session, globals).
    """
    frame.facts.renders = True
    path = next((p for p in (templates.find(name, frame.module.path) for name in names) if p), None)
    if path is not None or text is not None:
        seen = frame.analysis.pages
        key = (path, text, frozenset(variables.items()), frozenset(outside.items()), frame.loops > 0)
        if key not in seen:
            page = Page(frame, templates, variables, outside)
            page.facts = seen[key] = Facts()
            if path is not None:
                page.template(path)
            else:
                page.run(parse(text or "") or ())
        frame.facts.add(seen[key])
        return
    frame.facts.unknown.add(f"template {names[0]}" if names else "a template whose name is not known")
    for values in variables.values():
        frame.consume(values, node)


class Page(Frame):
    """The evaluation of a page: `outside` are the names that every template sees, `stack` what is being read."""

    def __init__(
        self, frame: Frame, templates: Templates, variables: dict[str, Values], outside: dict[str, Values]
    ) -> None:
        super().__init__(frame.analysis, frame.module, None, None, dict(variables), frame.facts)
        self.loops = frame.loops
        self.templates = templates
        self.outside = outside
        self.stack: list[str] = []
        self.count = 0
        self.macros: dict[str, Node] = {}

    def name(self, name: str) -> Values:
        return self.env[name] if name in self.env else self.outside.get(name, UNKNOWN)

    def run(self, statements: Node) -> bool:
        for statement in statements:
            handler = _STATEMENTS.get(statement[0])
            if handler is None:
                super().run((statement,))
            else:
                handler(self, statement)
        return False

    def expression(self, node: Node) -> Values:
        handler = _EXPRESSIONS.get(node[0])
        root = node
        while root[0] in ("attr", "item", "call"):
            root = root[2]
        name = root[2] if root is not node and root[0] == "name" else "self"
        if not (name in self.env or name in self.outside or name in _OF_JINJA):
            # nothing undefined has attributes or can be called: an extension or code elsewhere gives it
            self.facts.unknown.add(f"template global {name}")
        return super().expression(node) if handler is None else handler(self, node)

    def template(self, path: str) -> None:
        body = self.templates.statements(path)
        if body is None:
            self.facts.unknown.add(f"template {path}")
        else:
            before, self.place = self.place, path
            self.nested(path, partial(self.run, body))
            self.place = before

    def nested(self, name: str, work: Callable[[], object]) -> None:
        if name not in self.stack and self.count < _MOST_INCLUDED:
            self.count += 1
            self.stack.append(name)
            work()
            self.stack.pop()

    def other(self, node: Node) -> None:
        _, _, target, imported = node
        named = [part[1] for part in (target[2] if target[0] == "seq" else (target,)) if part[0] == "const"]
        if not named:
            self.expression(target)
            self.facts.unknown.add(f"a template that {self.place} names at run time")
        path = next((p for p in (self.templates.find(name, self.place) for name in named) if p), None)
        if path is not None:
            self.template(path)
        self.env.update(dict.fromkeys(imported, UNKNOWN))

    def macro(self, node: Node) -> None:
        _, _, name, parameters, body = node
        self.macros[name] = node
        self.env[name] = UNKNOWN
        self.scoped(body, {p: self.env.get(p, UNKNOWN) for p in parameters})

    def scoped(self, body: Node, variables: dict[str, Values]) -> None:
        before = self.env
        self.env = {**before, **variables}
        self.run(body)
        self.env = before

    def called(self, node: Node) -> Values:
        callee = node[2]
        arguments = evaluate_arguments(self, node)
        # a form given to a macro is written out with its CSRF token, which is the session's
        for value in NOTHING.union(*arguments.positional):
            if isinstance(value, Instance) and "flask_wtf.FlaskForm" in self.analysis.mro(value.index)[1]:
                self.note_context("session", "csrf_token", node)
        macro = self.macros.get(callee[2]) if callee[0] == "name" else None
        if macro is None:
            is_unknown = callee[0] == "name" and self.name(callee[2]) <= UNKNOWN
            return UNKNOWN if is_unknown else calls.call(self, node, arguments)
        named = {name: arguments.get(place, name) or UNKNOWN for place, name in enumerate(macro[3])}
        self.nested(macro[2], partial(self.scoped, macro[4], named))
        return PLAIN

    def filtered(self, node: Node) -> Values:
        _, _, name, inner, arguments, keywords = node
        values = self.expression(inner)
        for argument in arguments:
            self.expression(argument)
        if name in ("default", "d"):
            return values
        for found in self.outside.get(f"|{name}", NOTHING):
            calls.call_value(self, found, given(node, values))
        items = self.iterate(values, node)
        if name in ("first", "last", "random", "min", "max"):
            return items
        if name == "map":
            self.loops += 1
            for part in str(dict(keywords).get("attribute", NONE)[-1]).split("."):
                items = attributes.get(self, items, part, node) if part != "none" else items
            self.loops -= 1
        return many(items) if name in _COLLECTING or name == "map" else PLAIN


_STATEMENTS: dict[str, Callable[[Page, Node], None]] = {"other": Page.other, "macro": Page.macro}
_EXPRESSIONS: dict[str, Callable[[Page, Node], Values]] = {"call": Page.called, "filter": Page.filtered}


def _block(nodes: Any) -> Node:
    made: list[Node] = []
    for node in nodes:
        made.extend(_statement(node))
    return tuple(made)


def _statement(node: Any) -> list[Node]:
    kind, line = type(node).__name__, node.lineno
    if kind == "Output":
        shown = [inner for inner in node.nodes if type(inner).__name__ != "TemplateData"]
        return [("do", line, ("op", line, "not", (_expression(inner),))) for inner in shown]
    if kind == "For":
        body = (("let", line, (("name", line, "loop"),), ("const", 0)), *_block(node.body))
        return [("for", line, _expression(node.target), _expression(node.iter), body, _block(node.else_))]
    if kind == "If":
        orelse = _block([*node.elif_, *node.else_])
        return [("if", line, _expression(node.test), _block(node.body), orelse)]
    if kind in ("Extends", "Include", "Import", "FromImport"):
        names = [name[1] if isinstance(name, tuple) else name for name in getattr(node, "names", ())]
        return [("other", line, _expression(node.template), tuple(names))]
    if kind == "Assign":
        return [("let", line, (_expression(node.target),), _expression(node.node))]
    if kind == "With":
        pairs = zip(node.targets, node.values, strict=False)
        return [*(("let", line, (_expression(t),), _expression(v)) for t, v in pairs), *_block(node.body)]
    if kind == "Macro":
        return [("macro", line, node.name, tuple(argument.name for argument in node.args), _block(node.body))]
    if kind == "ExprStmt":
        return [("do", line, _expression(node.node))]
    called = [("do", line, _expression(node.call))] if kind == "CallBlock" else []
    return [*called, *_block(getattr(node, "body", ()))]


def _each(nodes: Any) -> Node:
    return tuple(_expression(node) for node in nodes)


def _pairs(nodes: Any) -> Node:
    return tuple((pair.key, _expression(pair.value)) for pair in nodes)


def _expression(node: Any) -> Node:
    if node is None:
        return NONE
    kind, line = type(node).__name__, node.lineno
    if kind in ("Name", "NSRef"):
        return ("name", line, node.name)
    if kind == "Getattr":
        return ("attr", line, _expression(node.node), node.attr)
    if kind == "Getitem":
        return ("item", line, _expression(node.node), _expression(node.arg))
    if kind == "Const":
        return ("const", node.value if isinstance(node.value, str | int | float) else None)
    if kind == "Call":
        return ("call", line, _expression(node.node), _each(node.args), _pairs(node.kwargs))
    if kind in ("Filter", "Test"):
        return ("filter", line, node.name, _expression(node.node), _each(node.args), _pairs(node.kwargs))
    if kind == "CondExpr":
        return ("cond", *_each([node.test, node.expr1, node.expr2]))
    if kind in ("List", "Tuple"):
        return ("seq", kind.lower(), _each(node.items))
    if kind == "Dict":
        return ("dict", line, _each(p.key for p in node.items), _each(p.value for p in node.items))
    if kind in ("And", "Or"):
        return ("op", line, kind.lower(), _each([node.left, node.right]))
    inner = [getattr(child, "expr", child) for child in node.iter_child_nodes()]
    return ("op", line, "<", _each(child for child in inner if type(child).__name__ != "Keyword"))
