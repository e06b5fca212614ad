"""A trace to measurements, and what a trace does not know."""

import pytest

from cache_strategy.model.trace import Access, Call, Trace, Write
from cache_strategy.record import measure
from cache_strategy.simulate.columns import columns_of

GROUP = "GET /a"
WRITES = (Write(time_s=2, tables=("products",)), Write(time_s=3, tables=("users",)))


def figures(
    *accesses: Access, writes: tuple[Write, ...] = (), volume: bool = False, tables: str = "products"
):
    trace = Trace(accesses=accesses, writes=writes, seconds=1800, source="load")
    tables_of = {GROUP: frozenset(tables.split())}
    (measured,) = measure(trace, volume=volume, tables_of=tables_of)
    assert all(m.source == "measured" and "load" in m.where for m in measured.figures.values())
    return {name: m.value for name, m in measured.figures.items()}


def answer(
    time_s: float, digest: str = "", user: str = "", key: str = "1", status: int = 200, **more: object
) -> Access:
    return Access(time_s=time_s, group=GROUP, key=key, user=user, digest=digest, status=status, **more)


def test_latency_statements_and_sizes_are_summed_up_in_rows_and_in_columns():
    rows = [
        answer(n, "a", duration_ms=float(n), database_ms=n / 2, statements=n, size_bytes=100)
        for n in range(1, 101)
    ]
    found = figures(*rows)
    assert (found["database_ms_p50"], found["statements_per_request"]) == (25.25, 50.5)
    known = {"latency_ms_p50": 50.5, "latency_ms_p95": 95, "answer_bytes": 100}
    (columns,) = measure(Trace(accesses=columns_of(rows)), volume=False)
    for figure in (found, {name: m.value for name, m in columns.figures.items()}):
        assert known.items() <= figure.items()


def test_what_a_trace_does_not_know_is_absent_and_not_zero():
    assert figures(Access(time_s=1, group=GROUP, key="1")) == {}


@pytest.mark.parametrize(
    ("name", "answers", "share"),
    [
        ("change_share", [("a",), ("a",), ("b",), ("x", "", "2"), ("a", "u")], 0.5),
        ("change_share", [("a",), ("error page", "", "1", 500), ("a",)], 0),
        ("same_for_all_users_share", [("a", "u"), ("a", "v"), ("a", "w")], 1),
        ("same_for_all_users_share", [("a", "u"), ("b", "v"), ("a", "u")], 0),
        ("differs_between_users_share", [("a", "u"), ("b", "v"), ("a", "w"), ("a", "u")], 0.5),
        ("unexplained_change_share", [("a",), ("a",), ("b",), ("a", "", "2")], 0.5),
    ],
)
def test_answers_are_compared_with_those_to_the_same_key(name, answers, share):
    """`change_share` with those to the same user, the other with those to other users."""
    assert figures(*(answer(n, *what) for n, what in enumerate(answers)))[name] == share


def test_a_change_that_a_write_explains_is_no_difference_between_users():
    changed = [answer(10, "a", "u"), answer(20, "b", "v"), answer(30, "a", "u")]
    assert figures(*changed)["differs_between_users_share"] == 1
    for time_s in (25, 30.5):  # between them, and committed after the transaction itself had seen it
        written = (Write(time_s=time_s, tables=("products",)),)
        assert not {"unexplained_change_share", "differs_between_users_share"} & set(
            figures(*changed, writes=written)
        )
        assert figures(*changed, writes=written, tables="stock")["differs_between_users_share"] == 1


def test_processes_with_databases_of_their_own_are_not_compared():
    apart = [answer(n, digest, user, process=n % 2) for n, (digest, user) in enumerate(["au", "bv", "au"])]
    assert not {"differs_between_users_share", "same_for_all_users_share"} & set(figures(*apart))


def test_time_is_broken_down_and_functions_are_measured_by_their_arguments():
    access = answer(
        1,
        duration_ms=40.0,
        database_ms=15.0,
        outside_ms=13.0,
        queries=(("read", "a,b", 2, 3.0),),
        cookies=("s",),
    )
    calls = tuple(
        Call(time_s=n, function="a.py:f", key=key, user=user, digest=digest, duration_ms=2.0)
        for n, (key, user, digest) in enumerate(["1ux", "1vy", "1ux", "2ux"])
    )
    endpoint, function = measure(Trace(accesses=(access,), calls=calls, source="load"), volume=False)
    assert {name: m.value for name, m in endpoint.figures.items()}["own_ms_p50"] == 12
    assert (endpoint.reads, endpoint.writes, endpoint.cookies) == (("a", "b"), (), ("s",))
    assert function.id == "a.py:f"
    values = {name: m.value for name, m in function.figures.items()}
    assert (values["distinct_arguments"], values["call_ms_p50"], values["differs_between_users_share"]) == (
        2,
        2,
        1,
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"writes": WRITES}, {}),
        ({"writes": WRITES, "volume": True}, {"requests_per_hour": 4, "writes_per_hour": 2}),
        ({"volume": True}, {"requests_per_hour": 4}),
        ({"writes": WRITES, "volume": True, "tables": "products ?"}, {"requests_per_hour": 4}),
    ],
    ids=["a test suite's is no volume", "of the tables read", "no writes in the trace", "an unknown table"],
)
def test_volume_comes_from_the_length_of_a_trace_of_production(options, found):
    assert figures(answer(1), answer(2), **options) == found
