"""The modules, functions and classes of a repository, and which module an import means."""

import marshal
from collections.abc import Iterator
from dataclasses import dataclass, field

from cache_strategy.profile.lowering import NONE, Node
from cache_strategy.profile.reading import Source
from cache_strategy.syntax.module import absolute, module_name

# `@name.setter` and the parts of SQLAlchemy's hybrid properties define no new attribute.
_PROPERTY_PARTS = frozenset("setter deleter expression comparator update_expression inplace".split())


@dataclass(slots=True)
class FunctionInfo:
    """A function; `parameters` are (name, annotation, default, kind) as `lower` writes them."""

    index: int
    module: int
    name: str
    qualname: str
    line: int
    owner: int
    outer: int
    parameters: Node
    decorators: Node
    returns: Node | None
    flags: int
    body: bytes
    stores: tuple[str, ...]

    @property
    def is_async(self) -> bool:
        return bool(self.flags & 1)

    @property
    def is_generator(self) -> bool:
        return bool(self.flags & 2)

    def statements(self) -> Node:
        return tuple(marshal.loads(self.body))


@dataclass(slots=True)
class ClassInfo:
    """
    A class.

    `attributes` maps a name to (value, annotation, line) of its last assignment in the class body, `methods`
    to the index of a function, `setters` those of properties, `classes` to the index of an inner class.
    """

    index: int
    module: int
    name: str
    qualname: str
    line: int
    outer: int
    bases: Node
    keywords: Node
    decorators: Node
    attributes: dict[str, tuple[Node | None, Node | None, int]]
    methods: dict[str, int]
    setters: dict[str, int]
    classes: dict[str, int]
    body: Node


@dataclass(slots=True)
class ModuleInfo:
    """A module; `bound` is filled by `Program.bindings`, with `stars`, its (base, level) of `import *`."""

    index: int
    path: str
    name: str
    is_package: bool
    is_test: bool
    lines: int
    body: bytes
    first_function: int
    first_class: int
    functions: int
    classes: int
    bound: dict[str, list[Node]] | None = None
    stars: list[tuple[str, int]] = field(default_factory=list)

    def statements(self) -> Node:
        return tuple(marshal.loads(self.body))


class Program:
    """Everything that was read, by index; filled once, then only read."""

    def __init__(self, sources: list[Source], name: str = "") -> None:
        """`name` is the folder's own name: where the folder is itself a package, imports begin with it."""
        self.modules: list[ModuleInfo] = []
        self.functions: list[FunctionInfo] = []
        self.classes: list[ClassInfo] = []
        self.by_name: dict[str, list[int]] = {}
        self.by_path: dict[str, int] = {}
        self._prefixes: set[str] | None = None
        self.emitted: set[str] = set()
        folders = {source.path.rpartition("/")[0] for source in sources if _is_init(source.path)}
        self._root = name if any(source.path == "__init__.py" for source in sources) else ""
        for source in sources:
            self.add(source, folders)

    def add(self, source: Source, packages: set[str]) -> None:
        functions, classes, body = source.lowered
        name, is_package = module_name(_from_root(source.path, packages))
        module = ModuleInfo(
            index=len(self.modules),
            path=source.path,
            name=name,
            is_package=is_package,
            is_test=source.is_test,
            lines=source.lines,
            body=body,
            first_function=len(self.functions),
            first_class=len(self.classes),
            functions=len(functions),
            classes=len(classes),
        )
        self.modules.append(module)
        if source.emitted:
            self.emitted.add(name.rpartition(".")[0] + ".")
        self.by_path[source.path] = module.index
        whole, _ = module_name(source.path)
        names = [name, whole]
        if self._root:
            names.append(f"{self._root}.{whole}".rstrip("."))
            module.name = names[-1]
        for known in dict.fromkeys(names):
            self.by_name.setdefault(known, []).append(module.index)
        first = module.first_function
        for name, qualname, line, owner, outer, *rest in functions:
            place = (len(self.functions), module.index, name, qualname, line)
            owner, outer = _moved(owner, module.first_class), _moved(outer, first)
            self.functions.append(FunctionInfo(*place, owner, outer, *rest))
        for name, qualname, line, outer, bases, keywords, decorators, found, methods, inner, body in classes:
            self.classes.append(
                ClassInfo(
                    index=len(self.classes),
                    module=module.index,
                    name=name,
                    qualname=qualname,
                    line=line,
                    outer=_moved(outer, first),
                    bases=bases,
                    keywords=keywords,
                    decorators=decorators,
                    attributes={n: (v, a, at) for n, v, a, at in found},
                    methods={n: i + first for n, i in methods if not _is_setter(functions[i])},
                    setters={n: i + first for n, i in methods if _is_setter(functions[i])},
                    classes={n: i + module.first_class for n, i in inner},
                    body=body,
                )
            )

    def bindings(self, module: ModuleInfo) -> dict[str, list[Node]]:
        if module.bound is None:
            module.bound = {}
            _bind(module.statements(), module.bound, module.stars)
            for kind, _, index in module.bound.pop("", []):
                if kind == "def":
                    function = self.functions[module.first_function + index]
                    module.bound.setdefault(function.name, []).append(("def", function.index))
                else:
                    owner = self.classes[module.first_class + index]
                    module.bound.setdefault(owner.name, []).append(("class", owner.index))
        return module.bound

    def find_module(self, dotted: str, importer: ModuleInfo) -> int | None:
        """
        The module that `import dotted` means in `importer`; None where it is not of the repository.

        Where several files have the name, the one that shares the longest path with the importer.
        """
        found = self.by_name.get(dotted)
        if not found:
            return None
        if len(found) == 1:
            return found[0]
        return max(found, key=lambda i: (shared(self.modules[i].path, importer.path), -i))

    def is_package_prefix(self, dotted: str) -> bool:
        if self._prefixes is None:
            self._prefixes = {
                name[:end] for name in self.by_name for end, sign in enumerate(name) if sign == "."
            }
        return dotted in self._prefixes

    def import_base(self, base: str, level: int, importer: ModuleInfo) -> str:
        return absolute(base, level, importer.name, importer.is_package)

    def production_functions(self) -> Iterator[FunctionInfo]:
        for function in self.functions:
            if not self.modules[function.module].is_test:
                yield function


def _moved(index: int, first: int) -> int:
    return index + first if index >= 0 else -1


def _is_setter(function: Node) -> bool:
    return any(d[0] == "attr" and d[3] in _PROPERTY_PARTS for d in function[6])


def _is_init(path: str) -> bool:
    return path.endswith("/__init__.py")


def _from_root(path: str, packages: set[str]) -> str:
    """
    The part of the path that starts at the outermost package around it.

    A folder without __init__ inside a package is one of its (namespace) packages.
    """
    parts = path.split("/")
    start = len(parts) - 1
    while start > 0 and "/".join(parts[:start]) in packages:
        start -= 1
    if start == len(parts) - 1:
        outer = (end for end in range(1, start) if "/".join(parts[:end]) in packages)
        start = next(outer, start + 1) - 1
    return "/".join(parts[start:])


def shared(one: str, other: str) -> int:
    count = 0
    for a, b in zip(one.split("/"), other.split("/"), strict=False):
        if a != b:
            break
        count += 1
    return count


def _bind(statements: Node, bindings: dict[str, list[Node]], stars: list[tuple[str, int]]) -> None:
    for statement in statements:
        kind = statement[0]
        if kind == "let":
            for target in statement[2]:
                _bind_target(target, statement[3], bindings)
        elif kind == "aug" and statement[2][0] == "name" and statement[2][2] in bindings:
            # `urlpatterns += […]` of Django
            bindings[statement[2][2]].append(("value", statement[3]))
        elif kind == "declare" and statement[2][0] == "name":
            bindings.setdefault(statement[2][2], []).append(("declared", statement[4], statement[3]))
        elif kind in ("def", "class"):
            bindings.setdefault("", []).append(statement)
        elif kind == "import" and statement[2]:
            bindings.setdefault(statement[2], []).append(("import", statement[3]))
        elif kind == "from" and statement[4] == "*":
            stars.append((statement[2], statement[3]))
        elif kind == "from":
            bindings.setdefault(statement[5], []).append(("from", *statement[2:5]))
        elif kind in ("if", "while"):
            _bind(statement[3] + statement[4], bindings, stars)
        elif kind == "for":
            _bind_target(statement[2], ("iterated", statement[3]), bindings)
            _bind(statement[4], bindings, stars)
        elif kind == "with":
            for value, target in statement[2]:
                _bind_target(target or NONE, value, bindings)
            _bind(statement[3], bindings, stars)
        elif kind == "try":
            _bind(sum(statement[3], statement[2]) + statement[4] + statement[5], bindings, stars)


def _bind_target(target: Node, value: Node, bindings: dict[str, list[Node]]) -> None:
    if target[0] == "name":
        bound = value if value[0] == "iterated" else ("value", value)
        bindings.setdefault(target[2], []).append(bound)
    elif target[0] == "seq":
        same = value[0] == "seq" and len(value[2]) == len(target[2])
        inner = value[1] if value[0] == "iterated" else value
        for position, part in enumerate(target[2]):
            _bind_target(part, value[2][position] if same else ("iterated", inner), bindings)
