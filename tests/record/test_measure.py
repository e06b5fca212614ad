"""A trace to measurements, and what a trace does not know."""

from dataclasses import replace

import pytest

from cache_strategy.model.trace import Access, Trace, Write
from cache_strategy.record import measure

GROUP = "GET /a"


def trace(*accesses: Access, writes: tuple[Write, ...] = (), seconds: float = 3600) -> Trace:
    return Trace(accesses=accesses, writes=writes, seconds=seconds, source="load")


def figures(found: Trace, volume: bool = False, **options: object) -> dict[str, float]:
    (measured,) = measure(found, volume=volume, **options)
    assert all(m.source == "measured" and "load" in m.where for m in measured.figures.values())
    return {name: m.value for name, m in measured.figures.items()}


def answer(time_s: float, digest: str, user: str = "", key: str = "1", **more: object) -> Access:
    return Access(time_s=time_s, group=GROUP, key=key, user=user, digest=digest, status=200, **more)


def test_latency_statements_and_sizes_are_summed_up():
    found = figures(
        trace(
            *(
                answer(n, "a", duration_ms=float(n), database_ms=n / 2, statements=n, size_bytes=100)
                for n in range(1, 101)
            )
        )
    )
    assert found["latency_ms_p50"] == 50.5
    assert found["latency_ms_p95"] == 95
    assert found["database_ms_p50"] == 25.25
    assert found["statements_per_request"] == 50.5
    assert found["answer_bytes"] == 100


def test_what_a_trace_does_not_know_is_absent_and_not_zero():
    assert figures(trace(Access(time_s=1, group=GROUP, key="1"))) == {}


@pytest.mark.parametrize(
    ("name", "answers", "share"),
    [
        ("change_share", [("a",), ("a",), ("b",), ("x", "", "2"), ("a", "u")], 0.5),
        ("change_share", [("a",), ("error page",), ("a",)], 0),
        ("same_for_all_users_share", [("a", "u"), ("a", "v"), ("a", "w")], 1),
        ("same_for_all_users_share", [("a", "u"), ("b", "v"), ("a", "u")], 0),
    ],
)
def test_answers_are_compared_with_those_to_the_same_key(name, answers, share):
    """`change_share` with those to the same user, the other with those to other users."""
    accesses = [answer(n, *what) for n, what in enumerate(answers)]
    accesses = [replace(a, status=500) if a.digest == "error page" else a for a in accesses]
    assert figures(trace(*accesses))[name] == share


def test_the_volume_of_a_test_suite_is_no_volume():
    found = trace(answer(1, "a"), writes=(Write(time_s=2, tables=("products",)),))
    assert "requests_per_hour" not in figures(found)


def test_volume_and_writes_per_hour_come_from_the_length_of_the_trace():
    writes = (Write(time_s=2, tables=("products",)), Write(time_s=3, tables=("users",)))
    found = trace(answer(1, "a"), answer(2, "a"), writes=writes, seconds=1800)
    assert figures(found, volume=True, tables_of={GROUP: frozenset({"products"})}) == {
        "requests_per_hour": 4,
        "writes_per_hour": 2,
        "change_share": 0,
    }


def test_writes_are_not_counted_where_a_trace_has_none_or_a_table_is_unknown():
    log = trace(answer(1, "a"))
    assert "writes_per_hour" not in figures(log, volume=True, tables_of={GROUP: frozenset({"products"})})
    found = trace(answer(1, "a"), writes=(Write(time_s=2, tables=("products",)),))
    assert "writes_per_hour" not in figures(
        found, volume=True, tables_of={GROUP: frozenset({"products", "?"})}
    )
