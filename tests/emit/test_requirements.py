"""The requirement of the emitted code: in the file that declares the framework, and what it leaves to be done."""

import pytest

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import require
from cache_strategy.model.contract import Contract, ContractApplication, Infrastructure

PROJECT = '[project]\nname = "app"\ndependencies = ["fastapi"]\n'


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"backend/pyproject.toml": PROJECT}, []),
        ({"backend/pyproject.toml": PROJECT, "backend/uv.lock": ""}, ["backend/uv.lock"]),
        ({"backend/pyproject.toml": PROJECT, "pyproject.toml": "[tool.uv]\n", "uv.lock": ""}, ["uv.lock"]),
        ({"backend/pyproject.toml": PROJECT.replace('"]', '", "redis>=5.0"]'), "uv.lock": ""}, []),
    ],
)
def test_a_lock_beside_or_above_is_said_to_need_making_anew(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    draft = Draft(tmp_path)
    names = {"factory": "", "instance": "", "database": "", "session": ""}
    application = ContractApplication(
        framework="fastapi",
        package="app",
        package_path="backend/app",
        requirements=("pyproject.toml",),
        **names,
    )
    contract = Contract(application=application, infrastructure=Infrastructure(), entries=())

    require("redis>=5.0", "asks Redis", (), contract, draft, beside="fastapi")

    assert '"redis>=5.0"' in draft.text("backend/pyproject.toml")
    assert [item.reason.partition(":")[0] for item in draft.withheld] == said
