"""What holds for every web framework and every ORM of the profiler, found by listing their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from cache_strategy.profile import frameworks, orms, profile
from cache_strategy.profile.frameworks._base import Framework
from cache_strategy.profile.orms._base import Orm

KINDS = {
    "user", "session", "tenant", "locale", "role", "header", "cookie", "query", "body", "flag", "settings", "time",
    "random", "files", "environment", "path", "outside", "side", "plain",
}  # fmt: skip
FAMILIES = {
    frameworks.__file__: (Framework, frameworks.load_frameworks()),
    orms.__file__: (Orm, orms.load_orms()),
}
MEMBERS = [member for _, members in FAMILIES.values() for member in members]


def of(kind: type) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "member", [m for m in MEMBERS if isinstance(m, kind)], ids=lambda member: member.name
    )


@pytest.mark.parametrize("place", FAMILIES)
def test_every_file_of_a_family_is_a_member(place):
    kind, members = FAMILIES[place]
    folder = Path(place).parent
    stems = {p.stem for p in folder.iterdir() if not p.stem.startswith("_") and p.suffix in ("", ".py")}

    assert {member.name for member in members} == stems
    assert all(isinstance(member, kind) for member in members)


@of(object)
def test_it_names_the_packages_that_show_it_is_in_use(member):
    assert member.packages and all(name.isidentifier() for name in member.packages)


@of(object)
def test_it_is_silent_where_it_is_not_in_use(member, tmp_path):
    (tmp_path / "sums.py").write_text("def add(a, b):\n    a.save()\n    return a.query(b).all()\n")

    evidence = profile(tmp_path, jobs=1)
    assert member.name not in (*evidence.frameworks, *evidence.orms)
    assert (evidence.endpoints, evidence.tables, evidence.writers) == ((), (), ())


@of(Framework)
def test_it_finds_routes(member):
    assert member.routes is not None


@of(Framework)
def test_what_it_knows_of_paths_is_a_kind_of_the_model(member):
    assert {known.kind for known in member.known.values()} <= KINDS
    assert all(path.endswith("()") for path in member.structural)


@of(Framework)
def test_one_spelling_leads_to_one_spelling(member):
    for beginning, other in member.aliases.items():
        assert not other.startswith(beginning) or other == beginning


@of(Orm)
def test_it_can_tell_what_is_read(member):
    assert member.call is not None or member.method is not None


@of(Orm)
def test_the_spelling_it_prefers_is_its_own(member):
    if member.canonical is not None:
        for path in member.structural:
            assert member.canonical(path) == path
