"""`profile --otel`: OTLP JSON as the collector and the SDK write it, and what is none."""

from __future__ import annotations

import gzip
import json

import pytest

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.profile.measurements import load_sources

READ = load_sources()["otel"].read
GROUP = "GET /api/products/{product_id}"


def span(number, name, kind, start, end, parent="", **said):
    attributes = [
        {"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in said.items()
    ]
    times = {"startTimeUnixNano": str(int(start * 1e6)), "endTimeUnixNano": str(int(end * 1e6))}
    return {
        "traceId": "a" * 32,
        "spanId": f"{number:016x}",
        "parentSpanId": parent and f"{parent:016x}",
        "name": name,
        "kind": kind,
        **times,
        "attributes": attributes,
    }


def request(first=1, at=0.0, route="/api/products/<int:product_id>"):
    """40 ms: 10 + 10 in the database, 5 of them at once, an outside call of 12 and a Redis of 1, the rest its own."""
    sql = "SELECT name FROM products WHERE id = {}"
    return [
        span(first, f"GET {route}", 2, at, at + 40, http__method="GET", http__route=route),
        span(first + 1, "load", 1, at, at + 20, first),
        span(
            first + 2,
            "SELECT",
            3,
            at,
            at + 10,
            first + 1,
            db__system="postgresql",
            db__statement=sql.format(first),
        ),
        span(
            first + 3,
            "SELECT",
            "SPAN_KIND_CLIENT",
            at + 5,
            at + 15,
            first,
            db__system__name="postgresql",
            db__query__text=sql.format(7),
        ),
        span(first + 4, "GET", 3, at + 20, at + 32, first, server__address="rates.example"),
        span(first + 5, "GET", 3, at + 33, at + 34, first, db__system="redis", db__statement="GET ?"),
    ]


def document(spans):
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "x"}, "spans": spans}]}]}


def read(tmp_path, data, evidence):
    file = tmp_path / "traces.json"
    file.write_bytes(data)
    return READ(str(file), evidence)


DOCUMENTS = [document(request()), document(request(11, 100.0))]
LINES = "\n".join(map(json.dumps, DOCUMENTS)).encode()


@pytest.mark.parametrize(
    "data",
    [
        LINES,
        gzip.compress(LINES),
        json.dumps(DOCUMENTS).encode(),
        json.dumps(document(request() + request(11, 100.0)), indent=2).encode(),
    ],
    ids=["lines", "gzip", "list", "indented"],
)
def test_the_time_of_a_route_is_broken_down(tmp_path, data, evidence_of_shop):
    found = read(tmp_path, data, evidence_of_shop)
    (endpoint,) = found.endpoints
    assert endpoint.id == GROUP
    values = {name: figure.value for name, figure in endpoint.figures.items()}
    expected = {
        "latency_ms_p50": 40,
        "database_ms_p50": 15,
        "outside_ms_p50": 13,
        "own_ms_p50": 12,
        "statements_per_request": 2,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=0.01)
    assert endpoint.figures["latency_ms_p50"].n == 2
    (statement,) = found.observations
    assert (statement.name, statement.tables) == ("SELECT name FROM products WHERE id = ?", ("products",))
    assert statement.figures["calls"].value == 4
    assert GROUP in statement.endpoints
    assert found.notes == ()


@pytest.mark.parametrize(
    ("route", "group"),
    [("/api/products/{id}/", GROUP), ("/api/products/:id", GROUP), ("/elsewhere/{x}", "GET /elsewhere/{x}")],
)
def test_other_ways_to_write_a_route_are_the_codes(tmp_path, route, group, evidence_of_shop):
    assert (
        read(tmp_path, json.dumps(document(request(route=route))).encode(), evidence_of_shop).endpoints[0].id
        == group
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no spans"),
        (b"\x00\xff\x00" * 99, "holds no spans"),
        (b"{}", "holds no spans"),
        (b"[1, null]", "holds no spans"),
        (b'{"resourceSpans": [{"scopeSpans": 7}]}', "holds no spans"),
        (gzip.compress(LINES)[:-20], "no whole gzip"),
        (b"[" * 100_000, "holds no spans"),
    ],
    ids=["empty", "binary", "nothing", "other", "wrong", "truncated", "deep"],
)
def test_what_is_no_trace_is_one_line(tmp_path, data, said, evidence_of_shop):
    with pytest.raises(CacheStrategyError, match=said) as caught:
        read(tmp_path, data, evidence_of_shop)
    assert "\n" not in str(caught.value)


def test_bad_parts_are_counted_and_a_clock_that_goes_backwards_gives_no_negative_time(
    tmp_path, evidence_of_shop
):
    broken = {**request()[0], "startTimeUnixNano": "soon"}
    backwards = span(90, "GET /x", 2, 50, 40, http__request__method="GET", http__route="/x")
    text = json.dumps(document([*request(), broken, backwards, 7])) + '\n{"torn": \n'
    found = read(tmp_path, text.encode(), evidence_of_shop)
    assert "3 parts could not be read" in found.notes[0]
    assert {e.id: e.figures["latency_ms_p50"].value for e in found.endpoints}["GET /x"] == 0


def test_what_no_span_tells_is_said_and_not_invented(tmp_path, evidence_of_shop):
    found = read(tmp_path, json.dumps(document(request()[:2])).encode(), evidence_of_shop)
    assert set(found.endpoints[0].figures) == {"latency_ms_p50", "latency_ms_p95"}
    assert "no span of a database is in it" in found.notes[0]
