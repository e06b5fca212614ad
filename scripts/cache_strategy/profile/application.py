"""How the application is put together: package, factory, database object, requirements, caches already in use."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.model.evidence import Application
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.library import CACHES
from cache_strategy.profile.program import FunctionInfo, ModuleInfo
from cache_strategy.profile.values import External, Made, Value, text_in

if TYPE_CHECKING:
    from cache_strategy.profile.frameworks._base import Route

_APPLICATIONS = frozenset({"flask.Flask()", "quart.Quart()", "fastapi.FastAPI()"})
_DATABASES = frozenset({"flask_sqlalchemy.SQLAlchemy()"})
_SESSIONS = frozenset({"sqlalchemy.Session()"})
_FACTORY_NAMES = ("create_app", "make_app", "app_factory", "build_app", "create_application")
_REQUIREMENTS = (
    "requirements.txt", "requirements/prod.txt", "requirements/production.txt", "requirements/base.txt",
    "requirements/common.txt", "requirements/requirements.txt", "pyproject.toml", "Pipfile", "setup.cfg", "setup.py",
)  # fmt: skip


def application_of(analysis: Analysis, routes: "list[Route]", repo: Path) -> Application | None:
    factories, instances = _made(analysis)
    if not factories and not instances and not routes:
        return None
    factory = _best_factory(analysis, factories)
    module = _main_module(analysis, routes, factory, instances)
    package, path = _package_of(analysis, module)
    database, session = _database(analysis, module)
    return Application(
        package=package,
        package_path=path,
        factory="" if factory is None else f"{analysis.modules[factory.module].name}:{factory.name}",
        instance=_best_instance(instances, module),
        database=database,
        session=session,
        requirements=requirements_of(repo),
        existing_caches=existing_caches(analysis),
        static_folder=static_folder(repo, path, [v for v, _, _ in instances] + [v for v, _ in factories]),
    )


def _made(analysis: Analysis) -> tuple[list[tuple[Made, FunctionInfo]], list[tuple[Made, ModuleInfo, str]]]:
    factories = {
        (value, context.function.index): (value, context.function)
        for context in analysis.contexts
        if context.function.owner < 0 and context.function.outer < 0
        for value in context.returns
        if isinstance(value, Made) and value.path in _APPLICATIONS
    }
    instances = [
        (value, module, name)
        for module, name, value in _objects(analysis)
        if isinstance(value, Made) and value.path in _APPLICATIONS
    ]
    return list(factories.values()), instances


def _objects(analysis: Analysis) -> Iterator[tuple[ModuleInfo, str, Value]]:
    for module in analysis.modules:
        for name, bound in () if module.is_test else analysis.program.bindings(module).items():
            if any(b[0] in ("value", "declared") for b in bound):
                for value in analysis.global_value(module, name) or ():
                    yield module, name, value


def _best_factory(analysis: Analysis, factories: list[tuple[Made, FunctionInfo]]) -> FunctionInfo | None:
    def order(function: FunctionInfo) -> tuple[int, int, str]:
        names = [*_FACTORY_NAMES, function.name]
        path = analysis.modules[function.module].path
        return names.index(function.name), path.count("/"), path

    return min((function for _, function in factories), key=order, default=None)


def _best_instance(instances: list[tuple[Made, ModuleInfo, str]], module: ModuleInfo) -> str:
    def order(item: tuple[Made, ModuleInfo, str]) -> tuple[bool, bool, int, str]:
        _, of, name = item
        return of.index != module.index, name not in ("app", "application"), of.path.count("/"), of.path

    return next((f"{of.name}:{name}" for _, of, name in sorted(instances, key=order)), "")


def _main_module(
    analysis: Analysis,
    routes: "list[Route]",
    factory: FunctionInfo | None,
    instances: list[tuple[Made, ModuleInfo, str]],
) -> ModuleInfo:
    modules = analysis.modules
    if factory is not None:
        return modules[factory.module]
    counts = Counter(analysis.functions[route.function].module for route in routes)
    with_package = [m for _, m, _ in instances if "." in m.name or m.is_package]
    if with_package:
        return with_package[0]
    if counts:
        return modules[max(counts, key=lambda i: (counts[i], -i))]
    return instances[0][1]


def _package_of(analysis: Analysis, module: ModuleInfo) -> tuple[str, str]:
    """(import name, folder) of the outermost package around a module; ("", "") for modules beside each other."""
    if "." not in module.name and not module.is_package:
        return "", module.path.rpartition("/")[0]
    package = module.name.partition(".")[0]
    depth = len(module.name.split(".")) - (0 if module.is_package else 1)
    folder = module.path.split("/")[:-1]
    return package, "/".join(folder[: len(folder) - depth + 1])


def _database(analysis: Analysis, main: ModuleInfo) -> tuple[str, str]:
    objects: list[tuple[ModuleInfo, str]] = []
    sessions: list[tuple[ModuleInfo, str]] = []
    for module, name, value in _objects(analysis):
        if isinstance(value, Made) and value.path in _DATABASES:
            objects.append((module, name))
        elif isinstance(value, External) and value.path in _SESSIONS:
            sessions.append((module, name))
    package = main.name.partition(".")[0]
    for found, is_session in ((objects, False), (sessions, True)):
        if found:
            module, name = min(
                found, key=lambda item: (not item[0].name.startswith(package), item[0].path, item[1] != "db")
            )
            return f"{module.name}:{name}", name if is_session else f"{name}.session"
    return "", ""


def requirements_of(repo: Path) -> tuple[str, ...]:
    below = [f"requirements/{path.name}" for path in sorted((repo / "requirements").glob("*.txt"))]
    beside = [path.name for path in sorted(repo.glob("requirements*.txt"))]
    return tuple(dict.fromkeys([*(n for n in _REQUIREMENTS if (repo / n).is_file()), *below, *beside]))


def existing_caches(analysis: Analysis) -> tuple[str, ...]:
    found: set[tuple[str, int, str]] = {*analysis.notes.get("caches", ())}
    facts = [(context.function.module, context.facts) for context in analysis.contexts]
    for index, of in [*facts, *analysis.module_facts.items()]:
        if not analysis.modules[index].is_test:
            found.update((analysis.modules[index].path, line, text) for line, text in of.caches)
    for function in analysis.program.production_functions():
        decoration = analysis.decorations.get(function.index)
        path = analysis.modules[function.module].path
        for external, text in decoration.externals if decoration is not None else ():
            if external.startswith(CACHES):
                found.add((path, function.line, f"@{text}"))
    return tuple(f"{path}:{line} {what}" for path, line, what in sorted(found))


def static_folder(repo: Path, package_path: str, applications: list[Made]) -> str:
    names = [text_in(made.keyword("static_folder")) for made in applications]
    for name in dict.fromkeys([*(n for n in names if n), "static"]):
        for base in dict.fromkeys([package_path, ""]):
            folder = f"{base}/{name}".strip("/")
            if ".." not in folder.split("/") and (repo / folder).is_dir():
                return folder
    return ""
