"""Django: an application among INSTALLED_APPS, an address for the metrics, decorators next to views, their methods and classes."""

import posixpath
import re
from dataclasses import replace
from functools import partial
from typing import Any

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits import add_import, add_to_list
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.emit.targets._base import render
from cache_strategy.emit.targets.runtime.code import ALIAS, EntryCode, finders_of
from cache_strategy.emit.targets.runtime.wiring import Wiring, endpoint_of, import_entries
from cache_strategy.model.contract import Contract, Entry
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence

SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""")
APPS = re.compile(r"^INSTALLED_APPS\s*(?::[^=\n]*)?=(?!=)", re.M)
STAR = re.compile(r"^from (\.*[\w.]*) import \*", re.M)
ROOT_URLS = re.compile(r"""^ROOT_URLCONF\s*=\s*["']([\w.]+)["']""", re.M)
METRICS = "The metrics of the caches."


class InDjango(Wiring):
    files = ("sql_text.py", "django_sql.py", "django_events.py", "django_http.py")
    keeps = "django_statements"
    declared = "django"

    def placed(self, contract: Contract, draft: Draft) -> Contract:
        return placed(contract, draft)

    def refusal(self, entry: Entry, contract: Contract, evidence: Evidence) -> str:
        if entry.kind == "view":
            return "materialized views are read through SQLAlchemy's sessions only; keep the function that reads the query."
        if entry.emit != "runtime":
            return f"{entry.emit} is for applications of Flask; write emit: runtime."
        if any(i.how in ("write-through", "tag") for i in entry.invalidated_by):
            return "Django's commits stand in no function; write how: event, which sees every statement."
        names = (entry.target, *(f"{entry.target}.{method}" for method in ("get", "list", "retrieve")))
        if any(f.is_async for f in evidence.functions if f"{f.path}:{f.qualname}" in names):
            return (
                "it is async; its database work runs in other threads, where open transactions are not seen."
            )
        return ""

    def values(self, codes: list[EntryCode], contract: Contract, evidence: Evidence) -> dict[str, Any]:
        names = ["metrics_view"]
        endpoints = [code for code in codes if code.entry.kind == "endpoint"]
        if any("http" in code.entry.layers for code in endpoints):
            names.append("http_headers")
        if any(code.keeps for code in endpoints):
            names.append("cached_endpoint")
        functions = {f"{f.path}:{f.qualname}" for f in evidence.functions}
        classes = [code for code in endpoints if code.entry.target not in functions]
        return {
            "http_names": sorted(names),
            "actions": {c.name: action_of(c.entry, evidence) for c in classes},
            "finders": sorted({found for code in codes for found in finders_of(code.entry)}),
        }

    def write_application(
        self, codes: list[EntryCode], contract: Contract, evidence: Evidence, draft: Draft
    ) -> None:
        application, ids = contract.application, tuple(code.entry.id for code in codes)
        package, folder = application.package, posixpath.join(application.package_path, "caching")
        if not package:
            raise CannotEdit("the application is no package; put its modules into one.")
        root = _root_of(contract, draft)
        settings, text = _settings_of(root, draft)
        configuration = f'"{package}.caching.apps.CachingConfig"'
        edit = partial(add_to_list.apply, name="INSTALLED_APPS", element=configuration)
        draft.edit(settings, edit, "The caches hear of the writes of every process.", ids)
        values = {"package": package, "label": package.replace(".", "_") + "_caching"}
        draft.write(
            f"{folder}/apps.py",
            render(__file__, "apps.py.j2", **values),
            "The caches as an application.",
            ids,
        )
        warmed = [code for code in codes if code.entry.warming]
        if warmed:
            _write_command(folder, root, warmed, ids, draft)
        try:
            _write_metrics(root, text, contract, ids, draft)
        except CacheStrategyError as error:
            draft.withhold("metrics", f"{error} Add caching.entries.metrics to the addresses by hand.")


def placed(contract: Contract, draft: Draft) -> Contract:
    """The contract of applications that lie beside each other with the caches in the package of their settings."""
    if contract.application.package:
        return contract
    for script in (
        "manage.py",
        *(p.relative_to(draft.repo).as_posix() for p in sorted(draft.repo.glob("*/manage.py"))),
    ):
        match = SETTINGS.search(draft.text(script) or "")
        package = match[1].split(".")[0] if match and "." in match[1] else ""
        path = posixpath.join(posixpath.dirname(script), package)
        if package and draft.text(f"{path}/__init__.py") is not None:
            return replace(
                contract, application=replace(contract.application, package=package, package_path=path)
            )
    return contract


def action_of(entry: Entry, evidence: Evidence) -> str:
    """What of a class of views answers where it has it, else its `get`."""
    own = endpoint_of(entry, evidence)[0]
    return "retrieve" if all(e.route.rstrip("/").endswith("}") for e in own) else "list"


def _root_of(contract: Contract, draft: Draft) -> str:
    """The folder from which modules are imported, "" for the repository's own."""
    package = contract.application.package.replace(".", "/")
    return contract.application.package_path.removesuffix(package).rstrip("/")


def _settings_of(root: str, draft: Draft) -> tuple[str, str]:
    """The file that assigns INSTALLED_APPS, and all settings files together."""
    scripts = [posixpath.join(root, "manage.py"), "manage.py"]
    scripts += [p.relative_to(draft.repo).as_posix() for p in sorted(draft.repo.glob("*/wsgi.py"))]
    for script in scripts:
        match = SETTINGS.search(draft.text(script) or "")
        if match:
            break
    else:
        raise CannotEdit(
            "no manage.py or wsgi.py names DJANGO_SETTINGS_MODULE; its INSTALLED_APPS could not be found."
        )
    waiting, seen = [_module_file(match[1], "", root, draft)], dict[str, str]()
    while waiting:
        path = waiting.pop()
        text = draft.text(path) if path and path not in seen else None
        if text is not None:
            seen[path] = text
            waiting += [_module_file(name, path, root, draft) for name in STAR.findall(text)]
    if not any(
        APPS.search(text) for text in seen.values()
    ):  # the environment names one of the package's modules
        folder = (draft.repo / next(iter(seen), "")).parent
        beside = (path.relative_to(draft.repo).as_posix() for path in sorted(folder.glob("*.py")))
        known = (
            {path: draft.text(path) or "" for path in beside} if folder.name in match[1].split(".") else {}
        )
        assigning = [path for path, text in known.items() if APPS.search(text)]
        seen.update({path: known[path] for path in assigning if len(assigning) == 1})
    holders = [path for path, text in seen.items() if APPS.search(text)]
    if not holders:
        raise CannotEdit(f"{match[1]}: assigns no INSTALLED_APPS, which must hold the caches.")
    return holders[-1], "\n".join(seen.values())


def _module_file(module: str, importer: str, root: str, draft: Draft) -> str:
    """The file of a module, of a relative name as seen from its importer; "" where there is none."""
    dots = len(module) - len(module.lstrip("."))
    base = root
    if dots:
        base = posixpath.normpath(posixpath.join(posixpath.dirname(importer), *[".."] * (dots - 1)))
    stem = posixpath.join(base, module.lstrip(".").replace(".", "/")).rstrip("/")
    return next((p for p in (f"{stem}.py", f"{stem}/__init__.py") if draft.text(p) is not None), "")


def _write_metrics(root: str, settings: str, contract: Contract, ids: tuple[str, ...], draft: Draft) -> None:
    match = ROOT_URLS.search(settings)
    urls = _module_file(match[1], "", root, draft) if match else ""
    if not urls:
        raise CannotEdit("the settings name no ROOT_URLCONF whose file is here.")
    route = contract.infrastructure.metrics_route.strip("/")
    element = f'path("{route}", {ALIAS}.metrics)'
    before = draft.text(urls) or ""
    draft.edit(
        urls, partial(add_to_list.apply, name="urlpatterns", element=element, is_first=True), METRICS, ids
    )
    if not re.search(r"^from django\.urls import .*\bpath\b", before, re.M) and "    path,\n" not in before:
        draft.edit(urls, partial(add_import.apply, module="django.urls", name="path"), METRICS, ids)
    import_entries(urls, contract, ids, draft)


def _write_command(
    folder: str, root: str, warmed: list[EntryCode], ids: tuple[str, ...], draft: Draft
) -> None:
    """`manage.py cache_warm`."""
    targets = []
    for code in warmed:
        path, _, qualname = code.entry.target.rpartition(":")
        module = path.removeprefix(f"{root}/" if root else "").removesuffix(".py").replace("/", ".")
        targets.append((code, module.removesuffix(".__init__"), qualname))
    why = "Fills entries before the first reader comes."
    for name in ("management/__init__.py", "management/commands/__init__.py"):
        draft.write(f"{folder}/{name}", "", why, ids)
    text = render(__file__, "cache_warm.py.j2", targets=targets)
    draft.write(f"{folder}/management/commands/cache_warm.py", text, why, ids)


wiring = InDjango("django")
