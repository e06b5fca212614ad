"""The evidence of the Django application, against what its database saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cache_strategy.profile import profile

PRESS = Path(__file__).parents[1] / "apps" / "django_press"
TRUTH = (PRESS / "truth.txt").read_text(encoding="utf-8").replace("…", "django_session people_member")
_, _routes, _writers = (part.splitlines() for part in TRUTH.split("\n\n"))
ROUTES = {line.split(" |")[0]: [part.split() for part in line.split("|")[1:]] for line in _routes}
WRITERS = {(line.partition(":")[0], name) for line in _writers for name in line.partition(":")[2].split()}


@pytest.fixture(scope="module")
def press():
    return profile(PRESS, jobs=1)


@pytest.mark.parametrize(("place", "attribute"), [(0, "reads"), (1, "writes")])
def test_tables_of_a_route_are_those_that_the_database_saw(press, place, attribute):
    found = {
        e.id: {table.removeprefix("articles_") for table in getattr(e, attribute)} for e in press.endpoints
    }
    said = {(route, table) for route, tables in found.items() for table in tables - {"press_editions"}}
    possible = {(route, word.strip("[]")) for route, parts in ROUTES.items() for word in parts[place]}
    seen = {(route, word) for route, parts in ROUTES.items() for word in parts[place] if word[0] != "["}

    assert found.keys() == ROUTES.keys()
    assert place or all("press_editions" in tables for tables in found.values())
    assert len(seen & said) / len(seen) >= 0.97, seen - said
    assert len(possible & said) / len(said) >= 0.97, said - possible


def test_every_context_of_a_route_is_known(press):
    missing = {e.id: {"header", *ROUTES[e.id][2]} - set(e.context) for e in press.endpoints}

    assert not any(missing.values()), missing


def test_every_writer_of_a_table_is_known(press):
    said = {(table.removeprefix("articles_"), w.qualname) for w in press.writers for table in w.tables}

    assert len(WRITERS & said) / len(WRITERS) >= 0.98, WRITERS - said
    assert not any("?" in w.tables for w in press.writers)


def test_nothing_of_a_user_is_shared(press):
    endpoints = [c for c in press.candidates if c.kind == "endpoint"]
    own = [c for c in endpoints if {"user", "session"} & set(ROUTES[c.endpoints[0]][2])]

    assert own
    assert all(c.per_user and "http" not in c.layers for c in own)


def test_what_it_is_built_with_is_told_once(press):
    assert press.built_with.split(", ").count("django") == 1


def test_caches_in_use_are_listed(press):
    caches = " ".join(press.application.existing_caches)
    used = ("cache_page(60)", "never_cache", "cache.get_or_set", "cached_property", "{% cache 500 cloud %}")

    assert press.unread == ()
    assert all(name in caches for name in used)


def test_a_page_whose_base_is_not_there_is_no_candidate_and_says_which(press, tmp_path):
    copy = Path(shutil.copytree(PRESS, tmp_path / "press"))
    (copy / "articles" / "templates" / "articles" / "base.html").unlink()
    whole = {c.qualname for c in press.candidates if c.kind == "endpoint" and not c.against}

    broken = profile(copy, jobs=1)

    endpoints = [c for c in broken.candidates if c.kind == "endpoint"]
    missing = {c.qualname for c in endpoints if "template articles/base.html" in c.against}
    assert whole & missing and not whole & missing & {c.qualname for c in endpoints if not c.against}


def test_a_view_answers_the_methods_that_it_names_and_no_others(tmp_path):
    copy = Path(shutil.copytree(PRESS, tmp_path / "press"))
    views = copy / "articles" / "views.py"
    named = 'class ArticleDelete(DeleteView):\n    http_method_names = ["post", "delete"]\n'
    views.write_text(views.read_text().replace("class ArticleDelete(DeleteView):\n", named))

    found = {e.method for e in profile(copy, jobs=1).endpoints if e.qualname == "ArticleDelete"}

    assert found == {"POST"}
