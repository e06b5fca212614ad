"""The locks: in step with pyproject.toml, with one another, and good for any package index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from world import ROOT, load

LOCK = load(ROOT / "tests" / "lock")


def lines_of(lock: Path) -> list[str]:
    text = lock.read_text().replace("\\\n", " ")
    text = text.replace(
        "-r requirements.lock", (lock.parent / "requirements.lock").read_text().replace("\\\n", " ")
    )
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pinned(lock: Path) -> dict[str, str]:
    """Name to version; each must be exact."""
    lines = lines_of(lock)
    assert all(re.match(r"[a-z0-9.-]+==[0-9]\S*( |$)", line) for line in lines)
    return {line.split("==")[0]: line.split("==")[1].split()[0] for line in lines}


@pytest.mark.parametrize("name", ["requirements.lock", "engine.lock", "postgres.lock"])
def test_what_users_install_is_known_by_its_hash(name):
    lines = lines_of(ROOT / "scripts" / name)

    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", line) for line in lines)


@pytest.mark.parametrize(("lock", "groups"), LOCK.LOCKS.items(), ids=lambda value: getattr(value, "name", ""))
def test_a_lock_answers_what_pyproject_asks_for(lock, groups):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = list(project["project"]["dependencies"])
    known = {**project["project"]["optional-dependencies"], **project["dependency-groups"]}
    asked += [requirement for group in groups for requirement in known[group]]
    versions = pinned(lock)

    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])
    assert lock.read_text().startswith(LOCK.header(groups)), "write the locks again: python3 tests/lock"


def test_the_tests_run_on_what_users_get():
    users, *extras, tests = (pinned(lock) for lock in LOCK.LOCKS)

    assert all(users.items() <= extra.items() <= tests.items() for extra in extras)


@pytest.mark.parametrize("lock", LOCK.LOCKS, ids=lambda lock: lock.parent.name)
def test_a_lock_names_no_address(lock):
    assert not re.search(r"://|--(extra-)?index|--find-links|@ ", lock.read_text())
