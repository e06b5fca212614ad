"""The whole line on the example application: run, emit, its own tests with the caches on, the proof, and its refutation."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def tracked(repository: Path) -> dict[str, bytes]:
    """Every file of the repository but ours and git's."""
    return {
        path.relative_to(repository).as_posix(): path.read_bytes()
        for path in sorted(repository.rglob("*"))
        if path.is_file() and not {".git", ".cache-strategy", "__pycache__"} & set(path.parts)
    }


@pytest.fixture
def servers(redis_url, postgres_url):
    return {"REDIS_URL": redis_url, "DATABASE_URL": postgres_url}


def test_run_gives_evidence_a_contract_and_a_report_and_touches_nothing_else(flask_shop, cache_strategy):
    (flask_shop / "cache-strategy.yaml").unlink()
    before = tracked(flask_shop)
    done = cache_strategy("run", flask_shop)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) < 150
    after = tracked(flask_shop)
    assert {name for name in after if after[name] != before.get(name)} == {"cache-strategy.yaml"}
    for name in ("evidence.json", "report.md", "report.html", ".gitignore"):
        assert (flask_shop / ".cache-strategy" / name).stat().st_size
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=flask_shop, capture_output=True, text=True, check=True
    )
    assert "cache-strategy/" not in status.stdout, "the work folder ignores itself"


def test_the_contract_that_plan_makes_can_be_applied_and_the_shops_own_tests_pass(
    flask_shop, cache_strategy, servers
):
    (flask_shop / "cache-strategy.yaml").unlink()
    assert cache_strategy("run", flask_shop).returncode == 0
    done = cache_strategy("emit", flask_shop, "--apply")
    assert done.returncode == 0, done.stderr
    tests = subprocess.run(
        PYTEST, cwd=flask_shop, env={**os.environ, **servers}, capture_output=True, text=True
    )
    assert tests.returncode == 0, tests.stdout


def test_emit_prints_a_patch_that_git_takes_and_writes_nothing(flask_shop, cache_strategy):
    before = tracked(flask_shop)
    done = cache_strategy("emit", flask_shop)
    assert done.returncode == 0, done.stderr
    assert tracked(flask_shop) == before
    subprocess.run(["git", "apply", "--check", "-"], cwd=flask_shop, input=done.stdout.encode(), check=True)
    assert (flask_shop / ".cache-strategy/changes.patch").read_text() == done.stdout


def test_apply_is_idempotent_and_revert_gives_back_every_byte(flask_shop, cache_strategy):
    before = tracked(flask_shop)
    assert cache_strategy("emit", flask_shop, "--apply").returncode == 0
    applied = tracked(flask_shop)
    assert applied != before
    again = cache_strategy("emit", flask_shop, "--apply")
    assert "Nothing to change" in again.stderr
    assert tracked(flask_shop) == applied
    assert cache_strategy("emit", flask_shop, "--revert").returncode == 0
    assert tracked(flask_shop) == before
    refused = cache_strategy("emit", flask_shop, "--revert")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)


def test_the_proof_holds_and_falls_with_one_generated_invalidation(flask_shop, cache_strategy, servers):
    assert cache_strategy("emit", flask_shop, "--apply").returncode == 0
    done = cache_strategy(
        "verify", "--repo", flask_shop, "--json", "--", *PYTEST, env=servers, cwd=flask_shop
    )
    verdict = json.loads(done.stdout)
    words = {entry["id"]: entry["verdict"] for entry in verdict["entries"]}
    assert done.returncode == 0, (done.stderr, words)
    assert [run["exit_code"] for run in verdict["runs"]] == [0, 0, 0], (
        "the shop's own tests pass with the caches on"
    )
    kept = {"category", "user-profile", "product-list", "featured", "settings", "daily-sales"}
    assert {words[entry] for entry in kept} == {"proven"}, words
    assert all(entry["hits"] for entry in verdict["entries"] if entry["id"] in kept)

    entries = flask_shop / "shop/caching/entries.py"
    text = entries.read_text()
    entries.write_text(re.sub(r'        "products": "id",\n', "", text, count=1))
    assert entries.read_text() != text
    done = cache_strategy(
        "verify",
        "--repo",
        flask_shop,
        "--json",
        "--",
        *PYTEST,
        "tests/test_freshness.py",
        env=servers,
        cwd=flask_shop,
    )
    assert done.returncode == 1, done.stderr
    refuted = {
        e["id"]: e["mismatches"] for e in json.loads(done.stdout)["entries"] if e["verdict"] == "refuted"
    }
    assert {"product-list", "featured", "category"} <= set(refuted)
    named = [m for m in refuted["product-list"] if m["writer"]]
    assert any("update_product" in m["writer"] or "change" in m["writer"] for m in named), named[:3]
    assert all("products" in m["write"] for m in named)
    assert all(m["key"].startswith("category=") for m in named)
    assert any(re.match(r"shop/\w+\.py:\d+ ", m["writer"]) for m in named)


READER = """
import sys
from shop import create_app, catalog
from shop.caching import entries as caches
app = create_app({"SECRET_KEY": "test"})
for line in sys.stdin:
    with app.app_context():
        product = catalog.list_products()[0]
        category = catalog.get_category(1)
    hits = caches.cache.metrics()
    print(product["name"], category["name"], int(hits["product-list"]["hits"]), int(hits["category"]["hits"]), flush=True)
"""


def test_a_committed_write_is_seen_by_the_next_read_of_another_process(flask_shop, cache_strategy, servers):
    assert cache_strategy("emit", flask_shop, "--apply").returncode == 0
    env = {**os.environ, **servers}

    def write(code: str) -> None:
        source = f"from shop import create_app, catalog, demo\nfrom shop.extensions import db\napp = create_app({{}})\nwith app.app_context():\n    {code}"
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=flask_shop, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    write("db.create_all(); demo.fill(users=2, products=3, orders=2)")
    reader = subprocess.Popen(
        [sys.executable, "-c", READER],
        cwd=flask_shop,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin
    assert reader.stdout

    def read() -> list[str]:
        reader.stdin.write("\n")
        reader.stdin.flush()
        return reader.stdout.readline().rstrip("\n").rsplit(" ", 2)

    try:
        read()
        read()
        assert int(read()[1]) > 0, "the process serves from its cache"
        for number in range(5):
            write(f"catalog.update_product(1, {{'name': 'A new name {number}'}})")
            assert f"A new name {number}" in read()[0]
            write(f"catalog.update_category(1, {{'name': 'Category {number}'}})")
            assert f"Category {number}" in read()[0]
    finally:
        reader.stdin.close()
        reader.wait(20)
