"""`verify` on a real application with the emitted files, a real Redis and a real test suite."""

import os
import signal
import sys
from xml.etree import ElementTree

import pytest
from small_shop import NOTHING, PYTEST, READ, RENAME, UNCHECKED, entry, suite

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.verdict import EntryVerdict, Mismatch, Run, Verdict, Visits
from cache_strategy.verify import junit, private_redis


def test_a_cache_that_every_write_invalidates_is_proven(shop):
    verdict = shop.verify(entry(), command=PYTEST)
    found = shop.only_entry(verdict)
    assert (verdict.ok, found.verdict, found.mismatches) == (True, "proven", ())
    assert found.hits >= 2
    assert [(run.mode, run.exit_code) for run in verdict.runs] == [("off", 0), ("on", 0), ("oracle", 0)]
    assert all("1 passed" in run.summary for run in verdict.runs)


def test_a_write_that_does_not_invalidate_is_refuted_with_key_write_and_writer(shop):
    shop.watches("{}")
    shop.test_suite(UNCHECKED)
    verdict = shop.verify(entry())
    found = shop.only_entry(verdict)
    assert (verdict.ok, found.verdict) == (False, "refuted")
    mismatch = found.mismatches[0]
    source = (shop.folder / "shop.py").read_text().splitlines()
    line = source.index("    db.session.get(Product, product_id).name = name") + 2
    assert (mismatch.entry, mismatch.key) == ("product", "product_id=1")
    assert mismatch.write.startswith("UPDATE products at ")
    assert mismatch.writer == f"shop.py:{line} rename"
    assert ("old" in mismatch.served, "new" in mismatch.origin) == (True, True)
    assert "No invalidation of products followed" in mismatch.reason


KEPT = """    from caching.flask_http import cached_endpoint
    from caching.sqlalchemy_statements import keep
    from caching.statements import Statements

    def shown(product_id):
        return {"name": db.session.get(Product, product_id).name}

    watcher = watch(cache, {"products": "id"})
    statements = keep(watcher, Statements(cache, watcher.tables, watcher.columns, True))
    app.get("/shown/<int:product_id>")(cached_endpoint(product_entry, statements=statements)(shown))
    cache.bump = lambda *_, **__: 0
"""


def test_rows_that_are_kept_though_they_were_written_refute_the_entry_and_name_their_statement(shop):
    """Two callers share a statement's rows; the second one's differ from the database, by a write that was not told."""
    place = shop.folder / "shop.py"
    source = place.read_text()
    place.write_text(source[: source.index("    watch(cache, ")] + KEPT + "    return app\n")
    one, other = (f'client.get("/shown/1?who={who}")' for who in "ab")
    shop.test_suite(suite(one, RENAME, other))
    found = shop.only_entry(shop.verify(entry(staleness_bound_seconds=0)))
    assert found.verdict == "refuted"
    mismatch = next(m for m in found.mismatches if "SELECT products" in m.key)
    assert ("old" in mismatch.served, "new" in mismatch.origin) == (True, True)
    assert mismatch.write.startswith("UPDATE products at ")
    assert mismatch.writer.endswith(" rename")
    assert "No invalidation of products followed" in mismatch.reason


def test_a_suite_that_only_fails_with_caches_on_is_said_and_explained(shop):
    shop.watches("{}")
    verdict = shop.verify(entry(), command=PYTEST)
    assert [run.exit_code for run in verdict.runs] == [0, 1, 0]
    assert "passes with caches off and fails with caches on" in verdict.notes[0]
    assert "test_a_change_is_seen" in verdict.runs[1].summary
    assert shop.only_entry(verdict).mismatches[0].writer.endswith(" rename")
    spared = shop.verify(entry(), fail_fast=True)
    assert [run.exit_code for run in spared.runs] == [0, 1]
    assert (spared.notes[0], shop.only_entry(spared).verdict) == (verdict.notes[0], "untested")


def test_a_verdict_is_a_junit_report(shop):
    mismatch = Mismatch(entry="b", key="k\x00", served="<1>", origin="2", write="UPDATE t", writer="a.py:3 f")
    verdicts = (
        EntryVerdict(id="a", verdict="proven", hits=3),
        EntryVerdict(id="b", verdict="refuted", hits=1, mismatches=(mismatch,)),
        EntryVerdict(id="c", verdict="untested", hits=0, hint="ask twice"),
    )
    runs = (
        Run(mode="off", exit_code=0, seconds=1.5),
        Run(mode="on", exit_code=2, seconds=1, summary="FAILED x"),
    )
    visits = Visits(
        visitors=("anonymous", "visitor 1"), pages=2, compared=8, wavering=0, differences=("GET /me",)
    )
    said = Verdict(ok=False, command=("x",), entries=verdicts, runs=runs, visits=visits)
    suite = ElementTree.fromstring(junit(said))
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["6", "3", "1"]
    found = {case.get("name"): [child.tag for child in case] for case in suite}
    entries = {"a": [], "b": ["failure"], "c": ["skipped"]}
    assert found == {"off": [], "on": ["failure"], **entries, "anonymous, visitor 1": ["failure"]}
    assert "served <1>" in (suite.findtext("testcase/failure[@message='']") or "")


def test_a_suite_that_fails_without_caches_proves_nothing_and_is_said_first(shop):
    shop.test_suite("def test_it():\n    assert False\n")
    verdict = shop.verify(entry())
    assert not verdict.ok
    assert "fails with caches off (exit code 1)" in verdict.notes[0]
    assert [run.mode for run in verdict.runs] == ["off"]
    assert shop.only_entry(verdict).verdict == "untested"


def test_an_entry_without_a_hit_is_untested_and_names_what_would_test_it(shop):
    shop.test_suite(suite(READ))
    verdict = shop.verify(entry(), entry("greeting", ()))
    assert not verdict.ok
    assert [(e.id, e.verdict, e.hits) for e in verdict.entries] == [
        ("product", "untested", 0),
        ("greeting", "untested", 0),
    ]
    assert "GET /products/{product_id} twice" in verdict.entries[0].hint
    assert "never used" in verdict.entries[1].hint


def test_a_key_that_misses_the_user_is_refuted_without_any_write(shop):
    shop.test_suite(
        suite(
            "clients = [app.test_client(), app.test_client()]",
            'for n, client in enumerate(clients): client.post(f"/login/{n}")',
            'for client in clients * 2: client.get("/greeting")',
        )
    )
    found = shop.only_entry(shop.verify(entry("greeting", (), staleness_bound_seconds=3600)))
    assert found.verdict == "refuted"
    assert found.mismatches[0].write == ""
    assert "misses an input" in found.mismatches[0].reason
    assert ("hello 0" in found.mismatches[0].served, "hello 1" in found.mismatches[0].origin) == (True, True)


def test_a_table_that_the_contract_forgets_is_named(shop):
    shop.test_suite(suite(READ, 'client.put("/category", json={"name": "other"})', READ))
    mismatch = shop.only_entry(shop.verify(entry())).mismatches[0]
    assert mismatch.writer.endswith(" rename_category")
    assert "categories was, and is not among" in mismatch.reason


def test_a_value_that_is_stale_within_its_bound_is_a_note(shop):
    shop.watches("{}")
    shop.test_suite(UNCHECKED)
    verdict = shop.verify(entry(staleness_bound_seconds=3600))
    assert (verdict.ok, shop.only_entry(verdict).verdict) == (True, "proven")
    assert "stale within the bound of 3600 s" in " ".join(verdict.notes)


def test_before_and_after_are_measured_from_the_requests_that_used_the_entry(shop):
    shop.test_suite(suite(f"for _ in range(20): {READ}"))
    found = shop.only_entry(shop.verify(entry()))
    assert found.before["statements_per_request"].value == 2
    assert found.after["statements_per_request"].value == 0.1
    assert found.after["hits"].value == 19
    assert found.before["latency_ms_p50"].n == 20
    assert found.before["latency_ms_p25"].value <= found.before["latency_ms_p75"].value
    assert "GET /products/{product_id}" in found.before["latency_ms_p50"].where


def test_only_the_entries_that_are_asked_for_are_judged(shop):
    verdict = shop.verify(entry(), entry("greeting", ()), only=("product",), command=NOTHING)
    assert [e.id for e in verdict.entries] == ["product"]
    with pytest.raises(CacheStrategyError, match="--only other: is not an entry"):
        shop.verify(entry(), only=("other",))


def test_a_command_that_uses_no_cache_is_said_and_each_run_is_named(shop):
    said: list[str] = []
    verdict = shop.verify(entry(), progress=said.append, command=NOTHING)
    assert not verdict.ok
    assert any("No cache was used" in note for note in verdict.notes)
    words = ["caches off", "caches on", "caches on, every hit recomputed"]
    assert [line.split(" (")[0] for line in said] == words


def test_no_journal_with_values_in_clear_is_left_behind(shop):
    shop.verify(entry())
    left = [path.name for path in (shop.folder / "work").rglob("*") if path.is_file()]
    assert left == ["output.txt"] * 3


@pytest.mark.parametrize("password", ["secret", "se/cret", "s@e?cret"])
def test_without_a_redis_there_is_one_clear_line(shop, password):
    with pytest.raises(CacheStrategyError, match="does not answer as a Redis") as error:
        shop.verify(entry(), redis_url=f"redis://:{password}@127.0.0.1:1/0")
    assert "cret" not in str(error.value)
    assert "redis://127.0.0.1:1/0: " in str(error.value)


def test_a_command_that_is_interrupted_is_not_judged(shop):
    code = f"import os, signal; os.kill(os.getppid(), {int(signal.SIGINT)}); signal.pause()"
    with pytest.raises(KeyboardInterrupt):
        shop.verify(entry(), command=(sys.executable, "-c", code))


def test_a_private_redis_answers_and_ends(shop):
    import redis

    with private_redis() as url:
        client = redis.Redis.from_url(url)
        process_id = client.info("server")["process_id"]
        assert client.dbsize() == 0
        client.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
