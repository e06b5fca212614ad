"""Visitors side by side on a real server, and runs that take turns."""

import signal
import socket
import sys

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from hypothesis import given
from hypothesis import strategies as st
from small_shop import READ, entry, suite

from cache_strategy.verify import Tour, pages_in
from cache_strategy.verify.blocks import interval_of, order_of

SERVER = "import shop; shop.create_app().run(port={port})"


def cookie_of(user_id: int) -> str:
    """What a browser sends after that user has logged in."""
    app = Flask("x")
    app.secret_key = "of the test"
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return f"Cookie: session={serializer.dumps({'user_id': user_id})}"


@pytest.fixture
def visit(shop):
    """Proves the shop's caches by visits to these pages of a server of its own."""

    def go(*paths: str, entries=(), server: str = SERVER, **options):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        tour = Tour(url=f"http://127.0.0.1:{port}", paths=paths, headers=(cookie_of(1), cookie_of(2)))
        return shop.verify(
            *entries, command=(sys.executable, "-c", server.format(port=port)), tour=tour, **options
        )

    return go


def test_a_page_that_gives_one_user_the_answer_of_another_is_named_with_both(visit):
    verdict = visit("/greeting", entries=[entry("greeting", ())])

    assert (verdict.ok, verdict.visits.visitors) == (False, ("anonymous", "visitor 1", "visitor 2"))
    assert (
        "GET /greeting, caches on: visitor 1 got the answer of anonymous: the key misses what tells them apart."
        in verdict.visits.differences
    )


def test_pages_that_are_the_same_with_caches_prove_their_entry_and_leave_no_answer_behind(visit, shop):
    verdict = visit("/products/1", entries=[entry()])

    assert (verdict.ok, verdict.visits.differences, verdict.visits.wavering) == (True, (), 0)
    assert verdict.visits.compared == 2 * 3 * 2  # runs with caches, visitors, turns
    assert [(e.id, e.verdict) for e in verdict.entries] == [("product", "proven")]
    left = {path.name for path in (shop.folder / "work").rglob("*") if path.is_file()}
    assert left == {"output.txt"}


def test_neither_runs_in_turns_nor_an_interruption_leave_sessions_or_answers_behind(visit, shop):
    visit("/greeting", entries=[entry()], pairs=1)
    above = "int(open('/proc/%d/stat' % os.getppid()).read().split()[3])"
    stop = f"import os, signal; os.kill({above}, {int(signal.SIGINT)}); signal.pause()"
    with pytest.raises(KeyboardInterrupt):
        visit("/greeting", entries=[entry()], server=stop)

    kept = [path for path in (shop.folder / "work").rglob("*") if path.is_file()]
    assert kept and {path.name for path in kept} == {"output.txt"}
    assert not any(cookie_of(1).encode() in path.read_bytes() for path in kept)


def test_a_page_that_changes_by_itself_is_counted_and_not_compared(visit, shop):
    source = (shop.folder / "shop.py").read_text()
    clock = 'import time\n\n    @app.get("/clock")\n    def clock():\n        return str(time.time_ns())\n\n    with app'
    (shop.folder / "shop.py").write_text(source.replace("with app", clock, 1))

    verdict = visit("/clock", "/products/1", entries=[entry()])

    assert (verdict.ok, verdict.visits.wavering, verdict.visits.differences) == (True, 3, ())


def test_an_answer_of_ones_own_that_any_proxy_may_keep_is_named(visit, shop):
    source = (shop.folder / "shop.py").read_text()
    kept = "{'Cache-Control': 'public, max-age=60'} if os.environ['CACHE_MODE'] == 'on' else {}"
    own = f'@app.get("/own")\n    def own():\n        return request.headers.get("Cookie", ""), {kept}\n\n    with app'
    (shop.folder / "shop.py").write_text(source.replace("with app", own, 1))

    (found, *_) = visit("/own", entries=[entry()]).visits.differences

    assert "a cache between server and users may share them" in found and "max-age=60" in found


def test_a_server_that_ends_before_it_answers_proves_nothing(visit):
    verdict = visit("/products/1", entries=[entry()], server="raise SystemExit(3)")

    assert (verdict.ok, verdict.runs[0].exit_code) == (False, 2)
    assert "the server ended with exit code 3 before it answered" in verdict.runs[0].summary


def test_pages_come_from_a_log_or_a_list_the_most_frequent_first():
    lines = [
        '1.2.3.4 - - [23/Nov/2026:10:00:00 +0000] "GET /a?b=1 HTTP/1.1" 200 12',
        '1.2.3.4 - - [23/Nov/2026:10:00:00 +0000] "POST /a HTTP/1.1" 200 12',
        "/b",
        "GET /b",
        "",
    ]

    assert pages_in(lines, 10) == (("/b", "/a?b=1"), 1)
    assert pages_in(lines, 1) == (("/b",), 1)


def test_runs_that_take_turns_tell_what_the_caches_save_and_how_surely(shop):
    shop.test_suite(suite(f"for _ in range(20): {READ}"))

    verdict = shop.verify(entry(), pairs=2)

    found = {c.name: c for c in verdict.comparisons}
    assert found["statements_per_request"].before > found["statements_per_request"].after
    assert (found["statements_per_request"].ratio, found["statements_per_request"].effect) == (0.05, 1)
    assert {"seconds", "cpu_seconds", "cpu_ms_per_request"} <= found.keys()
    assert all(c.low <= c.ratio <= c.high and c.pairs == 2 and c.confidence == 0.5 for c in found.values())
    assert shop.only_entry(verdict).before["latency_ms_p50"].n == 60
    assert [run.mode for run in verdict.runs] == ["off", "on", "oracle"]


def test_neither_side_always_runs_first():
    assert order_of(3) == [("off", "on"), ("on", "off"), ("off", "on")]


@pytest.mark.parametrize(
    ("count", "left_out", "confidence"), [(1, 0, 0), (5, 0, 0.9375), (6, 0, 0.96875), (20, 5, 0.9586)]
)
def test_the_interval_is_the_narrowest_that_is_sure_enough(count, left_out, confidence):
    assert interval_of(count) == (left_out, pytest.approx(confidence, abs=1e-4))


@given(st.integers(min_value=6, max_value=200))
def test_no_interval_promises_less_than_it_should(count):
    left_out, confidence = interval_of(count)
    assert 0.95 <= confidence <= 1 and left_out < count / 2
