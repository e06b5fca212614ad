"""What Django itself does, in Python, and the settings of the project."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.profile import library
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.lowering import Node, lower
from cache_strategy.profile.reading import Source
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    FunctionRef,
    Mapping,
    Values,
    one,
    text_in,
    texts_in,
)
from cache_strategy.syntax.module import module_name, parse

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

_GENERICS = "Create List Retrieve Update Destroy ListCreate RetrieveUpdate RetrieveDestroy RetrieveUpdateDestroy".split()
_TELLING = set(
    "INSTALLED_APPS MIDDLEWARE MIDDLEWARE_CLASSES ROOT_URLCONF AUTH_USER_MODEL REST_FRAMEWORK".split()
)


def start(analysis: "Analysis") -> None:
    """Where the repository uses Django: its own classes join the program, the settings are read."""
    program = analysis.program
    bindings = [b for m in program.modules for bs in program.bindings(m).values() for b in bs]
    roots = {b[1].partition(".")[0] for b in bindings if b[0] in ("import", "from")}
    if roots.isdisjoint(("django", "rest_framework")):
        return
    for file in sorted((Path(__file__).parent / "library").glob("*.txt")):
        text = file.read_text(encoding="utf-8")
        for name in _GENERICS if file.stem == "rest" else ():
            bases = "".join(f"_{part}, {part}ModelMixin, " for part in re.findall("[A-Z][a-z]+", name))
            text += f"\n\nclass {name}APIView({bases}GenericAPIView):\n    pass\n"
        _add(analysis, file.stem, text)
    _name_from_the_project(analysis)
    nodes: dict[str, list[Node]] = {}
    values: dict[str, Values] = {}
    analysis.notes |= {"django": {"nodes": nodes, "settings": values}, "django models": {}}
    for module in sorted(analysis.modules, key=lambda m: (m.path.count("/"), m.path)):
        own = range(module.first_class, module.first_class + (0 if module.is_test else module.classes))
        found = [] if module.is_test else [(n, b) for n, bs in program.bindings(module).items() for b in bs]
        given = ({n for n, _ in found} & _TELLING and [(n, b[1]) for n, b in found if b[0] == "value"]) or []
        for attributes in (analysis.classes[i].attributes for i in own):
            given.extend((n, v[0]) for n, v in attributes.items() if v[0] and _TELLING & attributes.keys())
        for name, node in given:
            nodes.setdefault(name, []).append(node)
            if name in ("AUTH_USER_MODEL", "REST_FRAMEWORK", "SESSION_ENGINE", "USE_I18N"):
                frame = Frame(analysis, module, None, None, {}, Facts())
                values.setdefault(name, frame.expression(node))


def _name_from_the_project(analysis: "Analysis") -> None:
    """Modules are known too by the names that they have from the folder where the project is started."""
    paths = {module.path.replace("/settings/", "/settings.py/"): module for module in analysis.modules}
    starts = {path[: path.rindex("/") + 1] for path in paths if path.endswith(("/manage.py", "/settings.py"))}
    starts |= {path.partition("settings.py/")[0] for path in paths if "/settings.py/" in path}
    for start in sorted(starts, key=len):
        for module in (m for p, m in paths.items() if p.startswith(start) and not m.is_test):
            name, _ = module_name(module.path[len(start) :])
            top = name.partition(".")[0]
            known = analysis.program.by_name
            if (
                ("." in name or name == "urls")
                and name not in known
                and top not in library.PURE
                and not library.known(top)
            ):
                known[name] = [module.index]


def _add(analysis: "Analysis", name: str, text: str) -> None:
    program, path = analysis.program, f"<django>/{name}.py"
    program.add(Source(path, text.count("\n"), True, lower(parse(text, path).tree)), set())
    module = program.modules[-1]
    analysis.notes.setdefault("library modules", {})[module.index] = None
    prefixes = tuple(text.partition("\n")[0].lstrip("# ").split(", "))
    for info in program.classes[module.first_class :]:
        analysis.library[info.qualname] = (prefixes, one(ClassRef(info.index)))
    for function in program.functions[module.first_function :]:
        analysis.library[function.qualname] = (prefixes, one(FunctionRef(function.index)))


def names_in(analysis: "Analysis", *settings: str) -> list[str]:
    """The texts that the assignments of settings hold."""
    kept = analysis.notes.setdefault("names in settings", {})
    if settings in kept:
        return [*kept[settings]]
    found: dict[str, None] = {}
    queue: list[object] = [analysis.notes["django"]["nodes"].get(name, ()) for name in settings]
    for node in queue:
        if isinstance(node, list | tuple):
            if node[:1] == ("const",) and isinstance(node[1], str):
                found[node[1]] = None
            queue.extend(node)
    kept[settings] = found
    return list(found)


def middleware(analysis: "Analysis") -> list[str]:
    return names_in(analysis, "MIDDLEWARE", "MIDDLEWARE_CLASSES")


def text(analysis: "Analysis", name: str) -> str:
    return text_in(analysis.notes["django"]["settings"].get(name, NOTHING)) or ""


def rest_default(analysis: "Analysis", name: str) -> list[str]:
    """The dotted names in one of REST_FRAMEWORK's settings."""
    fields = [
        f
        for v in analysis.notes["django"]["settings"].get("REST_FRAMEWORK", ())
        if isinstance(v, Mapping)
        for f in v.fields
    ]
    return [dotted for key, values in fields if key == name for dotted in texts_in(values)]


def by_name(analysis: "Analysis", dotted: str) -> Values:
    """What a dotted name stands for."""
    base, _, name = dotted.rpartition(".")
    return analysis.imported_from(base, 0, name, analysis.modules[0])
