"""What holds for every ORM of the profiler, found by listing its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cache_strategy.profile import orms, profile
from cache_strategy.profile.orms._base import Orm

ORMS = orms.load_orms()


@pytest.fixture(params=ORMS, ids=lambda orm: orm.name)
def orm(request: pytest.FixtureRequest) -> Orm:
    found = request.param
    assert isinstance(found, Orm)
    return found


def test_every_file_of_the_family_is_an_orm():
    folder = Path(orms.__file__).parent
    stems = {p.stem for p in folder.iterdir() if not p.stem.startswith("_") and p.suffix in ("", ".py")}

    assert {o.name for o in ORMS} == stems


def test_it_names_the_packages_that_show_it_is_in_use(orm):
    assert orm.packages and all(name.isidentifier() for name in orm.packages)


def test_it_can_tell_what_is_read(orm):
    assert orm.call is not None or orm.method is not None


def test_the_spelling_it_prefers_is_its_own(orm):
    if orm.canonical is not None:
        for path in orm.structural:
            assert orm.canonical(path) == path


def test_it_is_silent_where_it_is_not_in_use(orm, tmp_path):
    (tmp_path / "sums.py").write_text("def add(a, b):\n    a.save()\n    return a.query(b).all()\n")

    evidence = profile(tmp_path, jobs=1)
    assert orm.name not in evidence.orms
    assert (evidence.tables, evidence.writers) == ((), ())
