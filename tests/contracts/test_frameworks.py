"""What holds for every web framework of the profiler, found by listing its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cache_strategy.profile import frameworks, profile
from cache_strategy.profile.frameworks._base import Framework

FRAMEWORKS = frameworks.load_frameworks()
KINDS = {
    "user", "session", "tenant", "locale", "role", "header", "cookie", "query", "body", "flag", "settings", "time",
    "random", "files", "environment", "path", "outside", "side", "plain",
}  # fmt: skip


@pytest.fixture(params=FRAMEWORKS, ids=lambda framework: framework.name)
def framework(request: pytest.FixtureRequest) -> Framework:
    found = request.param
    assert isinstance(found, Framework)
    return found


def test_every_file_of_the_family_is_a_framework():
    folder = Path(frameworks.__file__).parent
    stems = {p.stem for p in folder.iterdir() if not p.stem.startswith("_") and p.suffix in ("", ".py")}

    assert {f.name for f in FRAMEWORKS} == stems


def test_it_names_the_packages_that_show_it_is_in_use(framework):
    assert framework.packages and all(name.isidentifier() for name in framework.packages)


def test_it_finds_routes(framework):
    assert framework.routes is not None


def test_what_it_knows_of_paths_is_a_kind_of_the_model(framework):
    assert {known.kind for known in framework.known.values()} <= KINDS
    assert all(path.endswith("()") for path in framework.structural)


def test_one_spelling_leads_to_one_spelling(framework):
    for beginning, other in framework.aliases.items():
        assert not other.startswith(beginning) or other == beginning


def test_it_is_silent_where_it_is_not_in_use(framework, tmp_path):
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return a + b\n")

    evidence = profile(tmp_path, jobs=1)
    assert framework.name not in evidence.frameworks
    assert evidence.endpoints == ()
