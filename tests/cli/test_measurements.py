"""Recordings and access logs: the figures of the report become measured, the hit rates foretold."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import ROOT, command, environment

from cache_strategy.cli import foretold, line
from cache_strategy.plan import plan


def section(report: str, entry: str) -> str:
    """The part of report.md about one entry."""
    return (
        re.split(rf"^### \d+\. {entry}$", report, flags=re.MULTILINE)[1].split("\n### ")[0].split("\n## ")[0]
    )


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {name}"))


def test_a_recorded_load_makes_the_figures_of_the_report_measured(flask_shop, cache_strategy):
    load = [sys.executable, "load.py", "300"]
    recorded = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "servers.py"), "--", *command("record", "--", *load)],
        cwd=flask_shop,
        env={**environment(), "SECRET_KEY": "test"},
        capture_output=True,
        text=True,
    )
    assert recorded.returncode == 0, recorded.stderr
    assert re.search(r"\d+ requests, \d+ writes in", recorded.stderr)
    done = cache_strategy("run", flask_shop)

    assert done.returncode == 0, done.stderr
    assert "Hits are foretold from" in done.stdout
    report = (flask_shop / ".cache-strategy" / "report.md").read_text()
    products = section(report, "product-list")
    assert "Now, GET /api/products" in products
    for name in (
        "Answer time (median)",
        "Of it in the database",
        "95 of 100",
        "Database statements",
        "Size of",
    ):
        assert re.search(r"\| \d[\d.,]* ?\w* \| measured: trace [\d-]+, n = \d+ \|", row(products, name)), (
            name
        )
    assert "measured: trace" in row(products, "Of it in the application"), (
        "of each request, not of the medians"
    )
    assert re.search(r"\d+ requests in the recording", row(products, "Request volume"))
    assert "--access-log" in row(products, "Request volume"), "a recorded load is no volume of production"
    assert re.search(
        r"\| [\d.,]+ : 1 \| measured: .*writes to categories, product_tags", row(products, "Reads per")
    )
    assert "derived: replay of" in row(products, "Hit rate")
    settings = row(section(report, "settings"), "Hit rate")
    assert float(re.search(r"\| (?:at least )?([\d.]+) %", settings)[1]) > 90, "one value for all pages"
    assert "derived: replay of" in row(report, "Expected hit rate")
    evidence = json.loads((flask_shop / ".cache-strategy" / "evidence.json").read_text())
    measured = {m["id"]: m["figures"] for m in evidence["measurements"]}
    assert "requests_per_hour" not in measured["GET /api/products"]
    assert measured["GET /api/products"]["latency_ms_p50"]["source"] == "measured"

    simulated = cache_strategy("simulate", flask_shop, "--ttl", "60")
    assert simulated.returncode == 0, simulated.stderr
    assert re.search(r"GET /api/products/\{product_id\} +1 min", simulated.stdout)


def test_the_hit_rates_that_are_foretold_are_those_that_the_proof_counts(
    flask_shop, cache_strategy, redis_url, postgres_url
):
    servers = {"REDIS_URL": redis_url, "DATABASE_URL": postgres_url, "SECRET_KEY": "test"}
    load = ("--", sys.executable, "load.py", "400")
    recorded = cache_strategy("record", "--repo", flask_shop, *load, env=servers)
    assert recorded.returncode == 0, recorded.stderr
    assert cache_strategy("run", flask_shop).returncode == 0
    assert cache_strategy("emit", flask_shop, "--apply").returncode == 0

    proof = cache_strategy("verify", "--repo", flask_shop, "--json", *load, env=servers)

    assert proof.returncode == 0, proof.stderr
    counted = {e["id"]: (e["after"] or {}).get("hits") for e in json.loads(proof.stdout)["entries"]}
    rows = json.loads((flask_shop / ".cache-strategy" / "forecast.json").read_text())["entries"]
    foretold = {row["group"]: row["hit_rate"] - row["stale_rate"] for row in rows}
    for entry in ("product-list", "settings", "featured"):  # of whole tables, and asked for by requests only
        assert counted[entry]["value"] / counted[entry]["n"] == pytest.approx(foretold[entry], abs=0.12), (
            entry
        )
    for entry in ("category", "user-profile"):  # of rows: a trace does not say which one was written
        assert counted[entry]["value"] / counted[entry]["n"] > foretold[entry] - 0.12, entry


@pytest.fixture
def access_log(tmp_path: Path) -> Path:
    """Two hours of reads, 20 % of them of one product, in nginx's combined format, packed."""
    chance = random.Random(7)
    lines = []
    for second in range(0, 7200, 4):
        path = chance.choice(
            [
                f"/api/products/{1 if chance.random() < 0.2 else chance.randrange(2, 500)}",
                f"/api/users/{chance.randrange(1, 50)}",
                f"/api/categories/{chance.randrange(1, 8)}",
                "/api/products?category=books",
            ]
        )
        clock = f"{9 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        lines.append(
            f'10.0.0.{chance.randrange(250)} - - [12/Mar/2025:{clock} +0000] "GET {path} HTTP/1.1" 200 '
            f'{chance.randrange(100, 900)} "-" "curl/8"\n'
        )
    file = tmp_path / "access.log.gz"
    file.write_bytes(gzip.compress("".join(lines).encode()))
    return file


def test_an_access_log_gives_volume_and_a_forecast(flask_shop, cache_strategy, access_log):
    done = cache_strategy("run", flask_shop, "--access-log", access_log)

    assert done.returncode == 0, done.stderr
    assert re.search(r"Hits are foretold from 1,800 requests \(access\.log\.gz", done.stdout)
    assert re.search(r"category +memory +1 day +hits <= \d", done.stdout)
    report = (flask_shop / ".cache-strategy" / "report.md").read_text()
    category = section(report, "category")
    assert re.search(
        r"\| 2\d\d requests/hour \| measured: .*access\.log\.gz.*, n = \d+ \|",
        row(category, "Request volume"),
    )
    assert "at most" in row(category, "Hit rate")
    assert "does not show writes" in row(category, "Hit rate")
    assert "not known" in row(category, "Answer time (median)"), "this log has no times"
    assert "cache-strategy record" in row(category, "Answer time (median)")
    forecast = json.loads((flask_shop / ".cache-strategy" / "forecast.json").read_text())
    assert forecast["requests"] == 1800
    assert {"category", "user-profile", "product-list"} <= {r["group"] for r in forecast["entries"]}

    again = cache_strategy("report", flask_shop)
    assert again.returncode == 0
    assert (flask_shop / ".cache-strategy" / "report.md").read_text() == report


def test_what_was_replayed_to_plan_by_is_not_replayed_again_and_gives_the_same(flask_shop, access_log):
    evidence, trace = line.measured_profile_of(flask_shop, [access_log], None, "")
    assert trace is not None
    replays = foretold.Replays()
    proposal = plan(evidence)
    foretold.forecast_to_plan_by(evidence, proposal, trace, replays)
    shorter = (replace(e, ttl_seconds=60) if e.id == "user-profile" else e for e in proposal.entries)
    contract = replace(proposal, entries=tuple(shorter))
    before = {name: set(cases) for name, cases in replays.outcomes.items()}
    forecast = foretold.forecast_of(evidence, contract, trace, replays=replays)
    assert {name: set(cases) for name, cases in replays.outcomes.items()} == before
    assert forecast == foretold.forecast_of(evidence, contract, trace)


def test_simulate_prints_the_forecast_of_a_log(flask_shop, cache_strategy, access_log):
    done = cache_strategy(
        "simulate", flask_shop, "--access-log", access_log, "--ttl", "60,3600", "--policy", "lru, fifo"
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "GET /api/categories/{category_id}" in line]
    assert len(rows) == 4
    assert all("unknown" in line for line in rows), "stale share"
    assert len(done.stdout.splitlines()) < 150


def test_a_load_that_no_probe_sees_is_said(flask_shop, cache_strategy):
    done = cache_strategy("record", "--repo", flask_shop, "--", sys.executable, "-I", "-c", "")
    assert done.returncode == 0
    assert "0 requests, 0 writes" in done.stderr
    assert "The probe ran in no process" in done.stderr
    again = cache_strategy("run", flask_shop)
    assert again.returncode == 0, again.stderr
    assert "holds no request, so it is not used" in again.stderr


def test_a_recorded_command_that_fails_is_a_failure(flask_shop, cache_strategy):
    done = cache_strategy(
        "record", "--repo", flask_shop, "--json", "--", sys.executable, "-c", "print('its own'); exit(7)"
    )
    assert done.returncode == 1
    assert "its own" in done.stderr, "stdout belongs to the JSON"
    assert json.loads(done.stdout)["exit_code"] == 7
    assert os.listdir(flask_shop / ".cache-strategy" / "traces")  # noqa: PTH208  # names, not paths
