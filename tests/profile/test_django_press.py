"""The evidence of the Django application, against what its database saw."""

from __future__ import annotations

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


def sure(words):
    return {word for word in words if word[0] != "["}


def every(words):
    return {word.strip("[]") for word in words}


@pytest.mark.parametrize(
    ("place", "attribute", "always"), [(0, "reads", {"press_editions"}), (1, "writes", set())]
)
def test_tables_of_a_route_are_those_that_the_database_saw(press, place, attribute, always):
    found = {e.id: set(getattr(e, attribute)) for e in press.endpoints}

    assert found.keys() == ROUTES.keys()
    seen = {(route, table) for route, parts in ROUTES.items() for table in sure(parts[place]) | always}
    possible = {(route, table) for route, parts in ROUTES.items() for table in every(parts[place]) | always}
    said = {(route, table) for route, tables in found.items() for table in tables}
    assert len(seen & said) / len(seen) >= 0.97, seen - said
    assert len(possible & said) / len(said) >= 0.97, said - possible


def test_every_context_of_a_route_is_known(press):
    found = {e.id: set(e.context) for e in press.endpoints}

    assert not {
        (route, kind) for route, parts in ROUTES.items() for kind in {*parts[2], "header"} - found[route]
    }


def test_every_writer_of_a_table_is_known(press):
    said = {(table, w.qualname) for w in press.writers for table in w.tables}

    assert len(WRITERS & said) / len(WRITERS) >= 0.98, WRITERS - said
    assert not any("?" in w.tables for w in press.writers)


def test_nothing_of_a_user_is_shared(press):
    own = [
        c
        for c in press.candidates
        if c.kind == "endpoint" and {"user", "session"} & set(ROUTES[c.endpoints[0]][2])
    ]

    assert own
    assert all(c.per_user and "http" not in c.layers for c in own)


def test_caches_in_use_are_listed(press):
    caches = " ".join(press.application.existing_caches)

    assert press.unread == ()
    for name in (
        "cache_page(60)",
        "never_cache",
        "cache.get_or_set",
        "cached_property",
        "{% cache 500 cloud %}",
    ):
        assert name in caches
