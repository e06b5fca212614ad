"""Jinja templates: what rendering one reads. jinja2 parses the text and runs nothing; it is imported on first use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cache_strategy.profile import attributes, calls
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.program import shared
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Constant,
    External,
    Instance,
    Many,
    Mapping,
    Values,
    join,
    many,
    one,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame

_LARGEST_BYTES = 1024 * 1024
_MOST_INCLUDED = 40
_SKIPPED = ("node_modules", "__pycache__", "site-packages")
_COLLECTING = frozenset("list sort reverse unique selectattr rejectattr batch slice groupby".split())
_FOLDERS = ("templates", "template", "jinja2")


class Templates:
    """The template files of a repository, by the names under which `render_template` finds them."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.files: dict[str, list[str]] = {}
        self.parsed: dict[str, Any] = {}
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

    def tree(self, path: str) -> Any:
        """The parsed template; None where it cannot be parsed."""
        if path not in self.parsed:
            try:
                full = self.repo / path
                is_small = full.stat().st_size <= _LARGEST_BYTES
                self.parsed[path] = (
                    parse(full.read_text(encoding="utf-8", errors="replace")) if is_small else None
                )
            except OSError:
                self.parsed[path] = None
        return self.parsed[path]


def parse(text: str) -> Any:
    """A template given as text; None where it cannot be parsed."""
    import jinja2

    extensions = [f"jinja2.ext.{name}" for name in ("i18n", "do", "loopcontrols")]
    try:
        return jinja2.Environment(extensions=extensions).parse(text)
    except (jinja2.TemplateError, RecursionError, ValueError):
        return None


def render(
    frame: "Frame", templates: Templates, names: list[str], variables: dict[str, Values],
    outside: dict[str, Values], node: Node, text: str | None = None,
) -> None:  # fmt: skip
    """
    Notes what rendering the first template found of `names` reads, or one given as `text`.

    `variables` are those given to it, `outside` those of every template (request, session, globals).
    """
    frame.facts.renders = True
    run = _Run(frame, templates, outside, node)
    if text is not None:
        tree = parse(text)
        run.path = frame.module.path
        run.nodes(tree.body if tree is not None else (), dict(variables))
        return
    path = next((p for p in (templates.find(name, frame.module.path) for name in names) if p), None)
    if path is not None:
        run.template(path, variables)
        return
    frame.facts.unknown.add(f"template {names[0]}" if names else "a template whose name is not known")
    for values in variables.values():
        frame.consume(values, node)


class _Run:
    def __init__(self, frame: "Frame", templates: Templates, outside: dict[str, Values], node: Node) -> None:
        self.frame = frame
        self.templates = templates
        self.outside = outside
        self.node = node
        self.path = ""
        self.stack: list[str] = []
        self.count = 0
        self.macros: dict[str, Any] = {}

    def template(self, path: str, variables: dict[str, Values]) -> None:
        if path in self.stack or self.count >= _MOST_INCLUDED:
            return
        tree = self.templates.tree(path)
        if tree is None:
            self.frame.facts.unknown.add(f"template {path}")
            return
        self.count += 1
        self.stack.append(path)
        before = self.path
        self.path = path
        self.nodes(tree.body, variables)
        self.path = before
        self.stack.pop()

    def nodes(self, nodes: Any, env: dict[str, Values]) -> None:
        for node in nodes:
            self.statement(node, env)

    def statement(self, node: Any, env: dict[str, Values]) -> None:
        kind = type(node).__name__
        if kind == "Output":
            for inner in node.nodes:
                self.frame.consume(self.value(inner, env), self.node)
        elif kind == "For":
            items = self.frame.iterate(self.value(node.iter, env), self.node)
            inner_env = dict(env)
            inner_env["loop"] = PLAIN
            self.assign(node.target, items, inner_env)
            self.frame.loops += 1
            self.nodes(node.body, inner_env)
            self.frame.loops -= 1
            self.nodes(node.else_, env)
        elif kind == "If":
            self.value(node.test, env)
            self.nodes(node.body, env)
            for branch in node.elif_:
                self.statement(branch, env)
            self.nodes(node.else_, env)
        elif kind in ("Extends", "Include", "Import", "FromImport"):
            self.other(node, kind, env)
        elif kind == "Assign":
            self.assign(node.target, self.value(node.node, env), env)
        elif kind == "With":
            inner_env = dict(env)
            for target, value in zip(node.targets, node.values, strict=False):
                self.assign(target, self.value(value, env), inner_env)
            self.nodes(node.body, inner_env)
        elif kind == "Macro":
            self.macros[node.name] = node
            env[node.name] = UNKNOWN
            inner_env = dict(env)
            inner_env.update({argument.name: inner_env.get(argument.name, UNKNOWN) for argument in node.args})
            self.nodes(node.body, inner_env)
        elif kind == "ExprStmt":
            self.value(node.node, env)
        elif kind == "CallBlock":
            self.value(node.call, env)
            self.nodes(node.body, dict(env))
        elif hasattr(node, "body"):
            self.nodes(node.body, env)

    def other(self, node: Any, kind: str, env: dict[str, Values]) -> None:
        names = []
        target = node.template
        for inner in [target, *getattr(target, "items", [])]:
            value = getattr(inner, "value", None)
            if isinstance(value, str):
                names.append(value)
        if not names:
            self.value(target, env)
            self.frame.facts.unknown.add(f"a template that {self.path} names at run time")
        path = next((p for p in (self.templates.find(name, self.path) for name in names) if p), None)
        if path is not None:
            self.template(path, env if kind != "FromImport" else dict(env))
        if kind == "FromImport":
            for name in node.names:
                env[name[1] if isinstance(name, tuple) else name] = UNKNOWN

    def assign(self, target: Any, values: Values, env: dict[str, Values]) -> None:
        if type(target).__name__ == "Name":
            env[target.name] = values
        elif type(target).__name__ == "Tuple":
            items = self.frame.iterate(values, self.node)
            parts = [v.parts for v in values if hasattr(v, "parts") and len(v.parts) == len(target.items)]
            for position, item in enumerate(target.items):
                self.assign(item, parts[0][position] if len(parts) == 1 else items, env)

    def lowered(self, node: Any) -> Node:
        """The expression as the profiler writes expressions, for its source text."""
        kind = type(node).__name__
        if kind == "Name":
            return ("name", node.lineno, node.name)
        if kind == "Getattr":
            return ("attr", node.lineno, self.lowered(node.node), node.attr)
        if kind == "Getitem":
            return ("item", node.lineno, self.lowered(node.node), self.lowered(node.arg))
        if kind == "Const":
            return ("const", node.value if isinstance(node.value, str | int | float | bool) else None)
        if kind == "Call":
            arguments = tuple(self.lowered(a) for a in node.args)
            return ("call", node.lineno, self.lowered(node.node), arguments, ())
        return ("none",)

    def value(self, node: Any, env: dict[str, Values]) -> Values:
        kind = type(node).__name__
        if kind == "Name":
            return self.touched(self.name(node.name, env), node)
        if kind == "Getattr":
            return self.touched(
                attributes.get(self.frame, self.base(node.node, env), node.attr, self.lowered(node)), node
            )
        if kind == "Getitem":
            return self.item(node, env)
        if kind == "Call":
            return self.call(node, env)
        if kind in ("Filter", "Test"):
            return self.filtered(node, env)
        if kind == "Const":
            value = node.value
            return one(Constant(value)) if isinstance(value, str | int | float | None) else PLAIN
        if kind == "CondExpr":
            self.value(node.test, env)
            other = NOTHING if node.expr2 is None else self.value(node.expr2, env)
            return join(self.value(node.expr1, env), other)
        if kind in ("List", "Tuple"):
            return many(join(*(self.value(item, env) for item in node.items)))
        if kind == "Dict":
            for pair in node.items:
                self.value(pair.value, env)
            return one(Mapping((), PLAIN))
        if kind in ("And", "Or"):
            return join(self.value(node.left, env), self.value(node.right, env))
        for child in node.iter_child_nodes():
            inner = child.expr if type(child).__name__ == "Operand" else child
            if type(child).__name__ != "Keyword" and hasattr(inner, "lineno"):
                self.frame.consume(self.value(inner, env), self.node)
        return PLAIN

    def name(self, name: str, env: dict[str, Values]) -> Values:
        return env[name] if name in env else self.outside.get(name, UNKNOWN)

    def base(self, node: Any, env: dict[str, Values]) -> Values:
        if type(node).__name__ == "Name":
            return self.resolved(self.name(node.name, env), node)
        if type(node).__name__ == "Getattr":
            found = attributes.get(self.frame, self.base(node.node, env), node.attr, self.lowered(node))
            return self.resolved(found, node)
        return self.value(node, env)

    def resolved(self, values: Values, node: Any) -> Values:
        with self.placed():
            return attributes.resolved(self.frame, values, self.lowered(node))

    def touched(self, values: Values, node: Any) -> Values:
        with self.placed():
            return attributes.touched(self.frame, values, self.lowered(node))

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Context that is noted meanwhile is of the template's file."""
        before, self.frame.place = self.frame.place, self.path
        try:
            yield
        finally:
            self.frame.place = before

    def item(self, node: Any, env: dict[str, Values]) -> Values:
        found: Values = NOTHING
        key = getattr(node.arg, "value", None)
        for value in self.base(node.node, env):
            if isinstance(value, External):
                with self.placed():
                    taken = attributes.external_item(self.frame, value, key, self.lowered(node))
                found = join(found, taken)
            elif isinstance(value, Many):
                found = join(found, value.items)
            elif isinstance(value, Mapping):
                chosen = dict(value.fields).get(key) if isinstance(key, str) else None
                found = join(found, chosen or value.rest or UNKNOWN)
            else:
                self.frame.consume(one(value), self.node)
                found = join(found, UNKNOWN)
        self.value(node.arg, env)
        return found

    def call(self, node: Any, env: dict[str, Values]) -> Values:
        positional = tuple(self.value(argument, env) for argument in node.args)
        keywords = tuple((k.key, self.value(k.value, env)) for k in node.kwargs)
        arguments = Arguments(positional, keywords, self.lowered(node))
        callee = node.node
        self.forms(positional, node)
        if type(callee).__name__ == "Name" and callee.name in self.macros:
            return self.macro(self.macros[callee.name], arguments, env)
        if type(callee).__name__ == "Getattr":
            receivers = self.base(callee.node, env)
            with self.placed():
                found = join(*(calls.call_method(self.frame, r, callee.attr, arguments) for r in receivers))
            return found or UNKNOWN
        called = self.base(callee, env) - UNKNOWN
        with self.placed():
            return join(*(calls.call_value(self.frame, value, arguments) for value in called)) or UNKNOWN

    def forms(self, positional: tuple[Values, ...], node: Any) -> None:
        """A form given to a macro is written out with its CSRF token, which is the session's."""
        mro = self.frame.analysis.mro
        for value in NOTHING.union(*positional):
            if isinstance(value, Instance) and "flask_wtf.FlaskForm" in mro(value.index)[1]:
                with self.placed():
                    self.frame.note_context("session", "csrf_token", self.lowered(node))

    def macro(self, node: Any, arguments: Arguments, env: dict[str, Values]) -> Values:
        if self.count >= _MOST_INCLUDED or node.name in self.stack:
            return PLAIN
        self.count += 1
        self.stack.append(node.name)
        inner = dict(env)
        for position, argument in enumerate(node.args):
            inner[argument.name] = arguments.get(position, argument.name) or UNKNOWN
        self.nodes(node.body, inner)
        self.stack.pop()
        return PLAIN

    def filtered(self, node: Any, env: dict[str, Values]) -> Values:
        values = NOTHING if node.node is None else self.value(node.node, env)
        for argument in node.args:
            self.value(argument, env)
        if node.name in _COLLECTING:
            return many(self.frame.iterate(values, self.node))
        if node.name in ("first", "last", "random", "min", "max"):
            return self.frame.iterate(values, self.node)
        if node.name in ("default", "d"):
            return values
        if node.name == "map":
            items = self.frame.iterate(values, self.node)
            for keyword in node.kwargs:
                name = getattr(keyword.value, "value", None)
                if keyword.key == "attribute" and isinstance(name, str):
                    self.frame.loops += 1
                    for part in name.split("."):
                        items = attributes.get(self.frame, items, part, self.node)
                    self.frame.loops -= 1
            return many(items)
        if node.name in ("length", "count", "sum", "join"):
            self.frame.iterate(values, self.node)
            return PLAIN
        for found in self.outside.get(f"|{node.name}", NOTHING):
            calls.call_value(self.frame, found, Arguments((values,), (), self.lowered(node)))
        self.frame.consume(values, self.node)
        return PLAIN
