"""What Django itself does, in Python, and the settings of the project."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.lowering import Node, lower
from cache_strategy.profile.reading import Source
from cache_strategy.profile.values import ClassRef, FunctionRef, Mapping, Values, one
from cache_strategy.syntax.module import parse

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis
    from cache_strategy.profile.program import ModuleInfo

_ROOTS = ("django", "rest_framework")
_TELLING = (
    "INSTALLED_APPS",
    "MIDDLEWARE",
    "MIDDLEWARE_CLASSES",
    "ROOT_URLCONF",
    "AUTH_USER_MODEL",
    "REST_FRAMEWORK",
)


def start(analysis: "Analysis") -> None:
    """Where the repository uses Django: its own classes join the program, the settings are read."""
    if not any(_imports_django(analysis, module) for module in analysis.modules):
        return
    program = analysis.program
    library: dict[Any, Any] = analysis.notes.setdefault("library modules", {})
    for file in sorted((Path(__file__).parent / "library").glob("*.txt")):
        text = file.read_text(encoding="utf-8")
        path = f"<django>/{file.stem}.py"
        program.add(Source(path, text.count("\n"), True, lower(parse(text, path).tree)), set())
        module = program.modules[-1]
        library[module.index] = None
        prefixes = tuple(text.partition("\n")[0].lstrip("# ").split(", "))
        for index in range(module.first_class, module.first_class + module.classes):
            if program.classes[index].qualname == program.classes[index].name:
                analysis.library[program.classes[index].name] = (prefixes, one(ClassRef(index)))
        for index in range(module.first_function, module.first_function + module.functions):
            if program.functions[index].qualname == program.functions[index].name:
                analysis.library[program.functions[index].name] = (prefixes, one(FunctionRef(index)))
    analysis.notes["django"] = {"settings": {}, "nodes": {}}
    nodes = analysis.notes["django"]["nodes"]
    for module, name, node in _assigned(analysis):
        nodes.setdefault(name, []).append((module, node))
        if name not in ("INSTALLED_APPS", "MIDDLEWARE", "MIDDLEWARE_CLASSES"):
            analysis.notes["django"]["settings"].setdefault(name, evaluated(analysis, module, node))


def _imports_django(analysis: "Analysis", module: "ModuleInfo") -> bool:
    return any(
        binding[0] in ("import", "from") and binding[1].partition(".")[0] in _ROOTS
        for bound in analysis.program.bindings(module).values()
        for binding in bound
    )


def _assigned(analysis: "Analysis") -> Iterator[tuple["ModuleInfo", str, Node]]:
    """Every setting of every settings module, those nearest to the repository's root first."""
    for module in sorted(analysis.modules, key=lambda m: (m.path.count("/"), m.path)):
        if module.is_test:
            continue
        bound = analysis.program.bindings(module)
        if not bound.keys().isdisjoint(_TELLING):
            for name, bindings in bound.items():
                yield from ((module, name, b[1]) for b in bindings if name.isupper() and b[0] == "value")
        for index in range(module.first_class, module.first_class + module.classes):
            attributes = analysis.classes[index].attributes
            if not attributes.keys().isdisjoint(_TELLING):
                yield from (
                    (module, n, v) for n, (v, _, _) in attributes.items() if n.isupper() and v is not None
                )


def evaluated(analysis: "Analysis", module: "ModuleInfo", node: Node) -> Values:
    """What an expression at the top level of a module stands for."""
    return Frame(analysis, module, None, None, {}, Facts()).expression(node)


def names_in(analysis: "Analysis", setting: str) -> list[str]:
    """The texts that the assignments of a setting hold, in order."""
    found: list[str] = []
    queue = [node for _, node in analysis.notes["django"]["nodes"].get(setting, ())]
    for node in queue:
        if node[0] == "const" and isinstance(node[1], str):
            found.append(node[1])
        else:
            queue.extend(p for part in node for p in (part if isinstance(part, tuple) and part and isinstance(part[0], tuple) else (part,))
                         if isinstance(p, tuple) and p and isinstance(p[0], str))  # fmt: skip
    return list(dict.fromkeys(found))


def middleware(analysis: "Analysis") -> list[str]:
    """The dotted names of the middleware."""
    return names_in(analysis, "MIDDLEWARE") or names_in(analysis, "MIDDLEWARE_CLASSES")


def rest_default(analysis: "Analysis", name: str) -> list[str]:
    """The dotted names in one of REST_FRAMEWORK's settings."""
    from cache_strategy.profile.values import texts_in

    found: list[str] = []
    for value in analysis.notes["django"]["settings"].get("REST_FRAMEWORK", ()):
        if isinstance(value, Mapping):
            found = [t for key, values in value.fields if key == name for t in texts_in(values)]
    return found


def by_name(analysis: "Analysis", dotted: str) -> Values:
    """What a dotted name of a setting stands for."""
    base, _, name = dotted.rpartition(".")
    return analysis.imported_from(base, 0, name, analysis.modules[0])
