"""Where a Django application keeps its settings, and where the caches of one without a package go."""

import pytest

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.edits._base import CannotEdit
from cache_strategy.emit.targets.runtime.in_django import _settings_of, placed
from cache_strategy.model.contract import Contract, ContractApplication, Infrastructure

MANAGE = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")\n'
APPS = "INSTALLED_APPS = []\n"
LAYOUTS = {
    "one file": (
        "",
        {"manage.py": MANAGE.format("press.settings"), "press/settings.py": APPS},
        "press/settings.py",
    ),
    "a base file": (
        "",
        {
            "manage.py": MANAGE.format("press.settings.local"),
            "press/settings/local.py": "from .base import *\nDEBUG = True\n",
            "press/settings/base.py": APPS,
        },
        "press/settings/base.py",
    ),
    "a package that gathers": (
        "",
        {
            "manage.py": MANAGE.format("press.settings"),
            "press/settings/__init__.py": "from press.settings.apps import *\n",
            "press/settings/apps.py": APPS,
        },
        "press/settings/apps.py",
    ),
    "a package whose module the environment names": (
        "",
        {
            "manage.py": MANAGE.format("press.settings"),
            "press/settings/__init__.py": "",
            "press/settings/base.py": APPS,
            "press/settings/local.py": "from .base import *\nINSTALLED_APPS += ['debug_toolbar']\n",
        },
        "press/settings/base.py",
    ),
    "below a folder": (
        "src",
        {"src/manage.py": MANAGE.format("press.settings"), "src/press/settings.py": APPS},
        "src/press/settings.py",
    ),
    "only a server's file": (
        "",
        {"press/wsgi.py": MANAGE.format("press.settings"), "press/settings.py": APPS},
        "press/settings.py",
    ),
}


def repository(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Draft(folder)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_settings_that_name_the_applications_are_found(tmp_path, name):
    root, files, expected = LAYOUTS[name]
    assert _settings_of(root, repository(tmp_path, files))[0] == expected


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"manage.py": MANAGE.format("press.settings")},
        {"manage.py": MANAGE.format("s"), "s.py": "DEBUG = 1\n"},
    ],
)
def test_settings_that_are_not_found_are_an_error(tmp_path, files):
    with pytest.raises(CannotEdit, match="INSTALLED_APPS"):
        _settings_of("", repository(tmp_path, files))


@pytest.mark.parametrize("folder", ["", "src/"])
def test_caches_of_applications_beside_each_other_go_to_the_package_of_the_settings(tmp_path, folder):
    names = dict.fromkeys(("factory", "instance", "database", "session"), "")
    bare = ContractApplication(framework="django", package="", package_path="games", **names)
    contract = Contract(application=bare, infrastructure=Infrastructure(), entries=())
    files = {f"{folder}manage.py": MANAGE.format("site.settings"), f"{folder}site/__init__.py": ""}
    application = placed(contract, repository(tmp_path, files)).application
    assert (application.package, application.package_path) == ("site", f"{folder}site")
    assert placed(contract, repository(tmp_path / "empty", {"x": ""})).application == bare
