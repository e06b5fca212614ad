"""Every target of the folder, on the example application: what it writes is whole, formatted, stable, and inside."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cache_strategy.emit import emit
from cache_strategy.emit.apply import apply
from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets._base import TARGETS
from cache_strategy.model.change import Change
from cache_strategy.model.contract import Contract
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence
from cache_strategy.plan.document import read
from cache_strategy.profile import profile
from cache_strategy.siblings import load_siblings

load_siblings("cache_strategy.emit.targets")
NAMES = sorted(TARGETS)
SHOP = Path(__file__).resolve().parents[1] / "apps" / "flask_shop"
# The emitted files have the line length of this repository, ruff's defaults otherwise.
FORMAT = ("--isolated", "--line-length", "110", "--target-version", "py38")


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return profile(SHOP)


@pytest.fixture
def contract(flask_shop: Path) -> Contract:
    """The example application's own contract, which asks for everything that can be emitted."""
    return read(flask_shop / "cache-strategy.yaml")


Changes = Callable[[str], tuple[Change, ...]]


@pytest.fixture
def changes(flask_shop: Path, contract: Contract, evidence: Evidence) -> Changes:
    """What one target alone does to the example application as it is now."""

    def of(name: str) -> tuple[Change, ...]:
        draft = Draft(flask_shop)
        TARGETS[name].emit(contract, evidence, draft)
        return draft.changes()

    return of


def formatted(text: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "ruff", "format", *FORMAT, "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_every_target_makes_whole_formatted_changes_inside_and_writes_none(changes, flask_shop, name):
    before = files_of(flask_shop.parent)
    made = changes(name)
    assert made
    for change in made:
        assert change.after.strip() and change.after.endswith("\n"), change.path
        assert change.after != change.before, change.path
        assert change.why.endswith("."), change.path
        assert change.path == os.path.normpath(change.path).replace(os.sep, "/")
        assert not change.path.startswith(("/", ".."))
        if change.path.endswith(".py"):
            compile(change.after, change.path, "exec")
            if change.before is None:
                assert formatted(change.after) == change.after, change.path
    assert files_of(flask_shop.parent) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_second_time_there_is_nothing_to_do(changes, flask_shop, name):
    apply(changes(name), flask_shop)
    assert changes(name) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_package_path_that_leads_outside_is_refused(flask_shop, contract, evidence, name):
    outside = dataclasses.replace(contract.application, package_path="../elsewhere")
    draft = Draft(flask_shop)
    try:
        TARGETS[name].emit(dataclasses.replace(contract, application=outside), evidence, draft)
    except CacheStrategyError as error:
        assert "outside" in str(error)
    assert [change.path for change in draft.changes() if change.path.startswith("..")] == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_asked_for_and_nothing_is_written(flask_shop, contract, evidence, name):
    nothing = dataclasses.replace(
        contract,
        entries=(),
        infrastructure=dataclasses.replace(contract.infrastructure, cdn=(), static=None),
    )
    draft = Draft(flask_shop)
    TARGETS[name].emit(nothing, evidence, draft)
    assert draft.changes() == ()


def test_all_together_leave_nothing_out_and_nothing_to_do(flask_shop, contract, evidence):
    changes = emit(contract, evidence, flask_shop)
    assert changes.withheld == ()
    served = {entry for change in changes.changes for entry in change.entries}
    assert served == {entry.id for entry in contract.entries}
    apply(changes.changes, flask_shop)
    assert emit(contract, profile(flask_shop), flask_shop).changes == ()


def test_every_entry_of_flask_caching_says_what_it_cannot_guarantee(flask_shop, contract, evidence):
    limits = emit(contract, evidence, flask_shop).limits or {}
    assert set(limits) == {entry.id for entry in contract.entries if entry.emit == "flask-caching"}
    for sentences in limits.values():
        assert len(sentences) >= 2
        assert not [sentence for sentence in sentences if "\n" in sentence or sentence.endswith(".")]


def test_an_application_of_another_framework_is_left_alone_and_told_so(flask_shop, contract, evidence):
    other = dataclasses.replace(contract.application, framework="sanic")
    changes = emit(dataclasses.replace(contract, application=other), evidence, flask_shop)
    assert changes.changes == ()
    assert {item.entry for item in changes.withheld} == {entry.id for entry in contract.entries}
    assert "sanic application" in changes.withheld[0].reason


def test_where_no_entry_can_be_wired_nothing_is_written(flask_shop, contract, evidence):
    entries = tuple(dataclasses.replace(e, target="shop/views.py:gone") for e in contract.entries)
    changes = emit(dataclasses.replace(contract, entries=entries), evidence, flask_shop)
    assert changes.changes == ()
    assert {item.entry for item in changes.withheld} == {entry.id for entry in entries}


@pytest.mark.parametrize("framework", ["django", "fastapi"])
def test_what_a_framework_cannot_wire_is_refused_with_the_reason(flask_shop, contract, evidence, framework):
    application = dataclasses.replace(contract.application, framework=framework)
    changes = emit(dataclasses.replace(contract, application=application), evidence, flask_shop)
    reasons = {item.entry: item.reason for item in changes.withheld}
    assert "materialized views" in reasons["daily-sales"]
    assert "how: event" in reasons["user-profile"]
