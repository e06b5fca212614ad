"""The evidence of the FastAPI application, against what its database saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from cache_strategy.profile import profile

ROOMS = Path(__file__).parents[1] / "apps" / "fastapi_rooms"
_, _routes, _writers = (ROOMS / "truth.txt").read_text(encoding="utf-8").split("\n\n")
TRUTH = {line.split(" |")[0]: [part.split() for part in line.split("|")[1:]] for line in _routes.splitlines()}


@pytest.fixture(scope="module")
def rooms():
    return profile(ROOMS, jobs=1)


def test_every_route_is_found_once(rooms):
    assert sorted(e.id for e in rooms.endpoints) == sorted(TRUTH)
    assert rooms.unread == ()


@pytest.mark.parametrize("route", TRUTH)
def test_a_route_touches_what_its_database_saw_and_depends_on_its_context(rooms, route):
    (endpoint,) = [e for e in rooms.endpoints if e.id == route]
    reads, writes, context = TRUTH[route]

    assert set(endpoint.reads) - {word.strip("[]") for word in reads if word[0] == "["} == {
        word for word in reads if word[0] != "["
    }
    assert set(endpoint.writes) == set(writes)
    assert set(endpoint.context) == {*context, "header"}
    assert bool(endpoint.guards) == ("user" in context)


def test_every_writer_of_a_table_is_known(rooms):
    said = {(table, w.qualname) for w in rooms.writers for table in w.tables}

    for table, names in (line.split(": ") for line in _writers.splitlines()):
        assert {(table, name) for name in names.split()} <= said
    assert not any("?" in w.tables for w in rooms.writers)


def test_nothing_of_a_user_is_shared(rooms):
    endpoints = [c for c in rooms.candidates if c.kind == "endpoint"]

    assert {"list_rooms", "show_room", "busiest"} <= {c.qualname for c in endpoints}
    assert all(c.per_user or "user" not in TRUTH[c.endpoints[0]][2] for c in endpoints)
    (listed,) = [c for c in endpoints if c.qualname == "list_rooms"]
    assert {(k.name, k.source) for k in listed.key} == {(n, "query") for n in ("limit", "offset", "tag")}
