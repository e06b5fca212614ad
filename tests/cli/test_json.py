"""
The JSON that others rely on, schema 1: the promised fields, of the promised kinds, and no others than those listed here.

In a shape a name after `+` is a field that came on top of the promise, one before `?` may be absent.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import contents

TRANSCRIPT = Path(__file__).resolve().parents[1] / "hookify" / "transcripts" / "caching.jsonl"
LOG_LINE = '10.0.0.{host} - - [12/Mar/2025:10:{minute:02}:{second:02} +0000] "GET /api/products/{item} HTTP/1.1" 200 512 "-" "curl"\n'

INT, TEXT, NUMBER, BOOL = int, str, float, bool
UNREAD = [{"path": TEXT, "reason": TEXT}]
WRITER = {"path": TEXT, "line": INT, "qualname": TEXT, "tables": [TEXT], "how": TEXT}
ANY = object()

PROFILE = {
    "schema": INT,
    "repo": TEXT,
    "commit": TEXT,
    "frameworks": [TEXT],
    "orms": [TEXT],
    "files": INT,
    "lines": INT,
    "seconds": NUMBER,
    "unread": UNREAD,
    "endpoints": [
        {
            "id": TEXT,
            "method": TEXT,
            "route": TEXT,
            "path": TEXT,
            "line": INT,
            "qualname": TEXT,
            "reads": [TEXT],
            "writes": [TEXT],
            "context": [TEXT],
            "+guards": [TEXT],
        }
    ],
    "candidates": [
        {
            "rank": INT,
            "path": TEXT,
            "line": INT,
            "qualname": TEXT,
            "kind": {"endpoint", "function", "template", "query", "static"},
            "layers": [{"memory", "redis", "http", "matview"}],
            "key": [{"name": TEXT, "source": TEXT, "+expression": TEXT}],
            "per_user": BOOL,
            "ttl_seconds": (INT, None),
            "reads": [TEXT],
            "writers": [WRITER],
            "score": NUMBER,
            "because": [TEXT],
            "+endpoints": [TEXT],
            "+rows": [{"table": TEXT, "key": TEXT}],
            "+returns": TEXT,
            "+sql": TEXT,
            "+more_writers": INT,
            "+against": TEXT,
        }
    ],
    "rejected": [{"path": TEXT, "line": INT, "qualname": TEXT, "reason": TEXT}],
    "+tables": ANY,
    "+writers": [WRITER],
    "+application": ANY,
    "+measurements": ANY,
    "+observations": [
        {
            "kind": TEXT,
            "name": TEXT,
            "figures": ANY,
            "tables": [TEXT],
            "endpoints": [TEXT],
            "functions": [TEXT],
            "notes": [TEXT],
        }
    ],
    "+contradictions": [{"target": TEXT, "static": TEXT, "measured": TEXT, "consequence": TEXT}],
    "+source_notes": [TEXT],
}
LINT = {
    "schema": INT,
    "findings": [
        {
            "rule": TEXT,
            "name": TEXT,
            "severity": {"error", "warning", "info"},
            "path": TEXT,
            "line": INT,
            "column": INT,
            "end_line": INT,
            "message": TEXT,
            "fix": TEXT,
        }
    ],
    "unread": UNREAD,
}
SIMULATE = {
    "schema": INT,
    "requests": INT,
    "keys": INT,
    "rows": [
        {
            "group": TEXT,
            "ttl_seconds": (INT, None),
            "capacity_bytes": (INT, None),
            "policy": TEXT,
            "hit_rate": NUMBER,
            "stale_rate": (NUMBER, None),
            "origin_requests": INT,
            "memory_bytes": (INT, None),
            "error": (NUMBER, None),
            "+requests": INT,
            "+keys": INT,
            "+invalidation": TEXT,
            "+byte_hit_rate": (NUMBER, None),
            "+stale_age_s": (NUMBER, None),
            "+origin_peak": (INT, None),
            "+origin_busy_s": (NUMBER, None),
            "+cold_start": [[NUMBER]],
            "+warm_keys": (INT, None),
            "+warm_requests": (INT, None),
            "+warm_first": [TEXT],
            "+warm_seconds": (NUMBER, None),
            "+stampede_requests": (INT, None),
            "+stampede_peak": (INT, None),
            "+sampling_error": (NUMBER, None),
        }
    ],
    "+source": TEXT,
    "+seconds": (NUMBER, None),
    "+notes": [TEXT],
    "+curves": [ANY],
    "+sizes": [ANY],
    "+choices": [ANY],
    "+redis": ANY,
    "+loads": [ANY],
}
PROPOSE = {
    "schema": INT,
    "transcripts": INT,
    "records": INT,
    "proposals": [
        {
            "name": TEXT,
            "event": TEXT,
            "action": TEXT,
            "pattern?": TEXT,
            "check?": TEXT,
            "message": TEXT,
            "incidents": [{"file": TEXT, "line": INT, "quote": TEXT}],
            "backtest": {
                "tool_calls": INT,
                "fired": INT,
                "fired_on_incidents": INT,
                "+wrongly_stopped": [{"file": TEXT, "line": INT, "quote": TEXT}],
            },
            "files?": TEXT,
            "because?": TEXT,
            "examples?": ANY,
        }
    ],
    "+without_rule": ANY,
    "+unread": UNREAD,
    "+bad_lines": INT,
}
MEASUREMENT = {"value": NUMBER, "unit": TEXT, "source": {"measured"}, "where": TEXT, "n": (INT, None)}
VERIFY = {
    "schema": INT,
    "entries": [
        {
            "id": TEXT,
            "verdict": {"proven", "refuted", "untested"},
            "hits": INT,
            "mismatches": ANY,
            "before": (ANY, None),
            "after": (ANY, None),
            "+hint": TEXT,
        }
    ],
    "+ok": BOOL,
    "+command": [TEXT],
    "+notes": [TEXT],
    "+runs": ANY,
    "+comparisons": [ANY],
    "+visits": ANY,
}


def check(shape: Any, data: Any, where: str = "") -> None:
    if shape is ANY:
        return
    if isinstance(shape, tuple):
        if data is not None:
            check(shape[0], data, where)
    elif isinstance(shape, dict):
        assert isinstance(data, dict), where
        names = {name.strip("+?"): name for name in shape}
        absent = {plain for plain, name in names.items() if name.endswith("?")}
        assert set(data) | absent == set(names) | absent, (where, set(data) ^ set(names))
        for name, value in data.items():
            check(shape[names[name]], value, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(data, list), where
        for number, item in enumerate(data):
            check(shape[0], item, f"{where}[{number}]")
    elif isinstance(shape, set):
        assert data in shape, (where, data)
    elif shape is NUMBER:
        assert isinstance(data, int | float) and not isinstance(data, bool), (where, data)
    else:
        assert type(data) is shape, (where, data)


def answer(done) -> Any:
    """The JSON on stdout, which holds nothing else."""
    assert done.stderr == "", done.stderr
    assert done.stdout.count("\n") == 1 or done.stdout.startswith("{\n")
    return json.loads(done.stdout)


def test_profile(cache_strategy, flask_shop):
    (flask_shop / "broken.py").write_text("def (\n")
    data = answer(cache_strategy("profile", flask_shop, "--json"))
    check(PROFILE, data)
    assert (data["schema"], data["repo"], len(data["commit"])) == (1, "flask_shop", 40)
    assert [item["path"] for item in data["unread"]] == ["broken.py"]
    assert [c["rank"] for c in data["candidates"]] == list(range(1, len(data["candidates"]) + 1))
    endpoint = next(e for e in data["endpoints"] if e["id"] == "GET /api/users/{user_id}")
    assert (endpoint["method"], endpoint["route"]) == ("GET", "/api/users/{user_id}")
    assert {"users", "orders"} <= set(endpoint["reads"])


@pytest.mark.parametrize("cwd", [".", "flask_shop", "flask_shop/shop"])
def test_paths_start_at_the_repository_wherever_the_command_is_started(
    cache_strategy, flask_shop, tmp_path, cwd
):
    path = {".": "flask_shop", "flask_shop": ".", "flask_shop/shop": ".."}[cwd]
    data = answer(cache_strategy("profile", path, "--json", cwd=tmp_path / cwd))
    places = [*data["endpoints"], *data["candidates"], *data["rejected"], *data["writers"]]
    places += [writer for candidate in data["candidates"] for writer in candidate["writers"]]
    assert len(places) > 50
    for place in places:
        assert "\\" not in place["path"]
        assert (flask_shop / place["path"]).exists(), place["path"]
        if place["path"].endswith(".py") and "<" not in place["qualname"]:
            line = (flask_shop / place["path"]).read_text().splitlines()[place["line"] - 1]
            name = place["qualname"].rpartition(".")[2]
            assert name in line or line.startswith("@"), (place, line)


def test_lint(cache_strategy, flask_shop, tmp_path):
    (flask_shop / "shop" / "greeting.py").write_text(
        "from flask_login import current_user\n\nfrom shop.extensions import cache\n\n\n"
        '@cache.cached(timeout=300)\ndef greeting():\n    return {"name": current_user.name}\n'
    )
    (flask_shop / "broken.py").write_text("def (\n")
    for path, cwd in (("flask_shop", tmp_path), (".", flask_shop), (flask_shop, Path.cwd())):
        done = cache_strategy("lint", path, "--json", cwd=cwd)
        data = answer(done)
        check(LINT, data)
        assert done.returncode == 1
        assert {f["path"] for f in data["findings"]} == {"shop/greeting.py"}
        assert [u["path"] for u in data["unread"]] == ["broken.py"]


def test_simulate_says_null_for_what_a_log_does_not_show(cache_strategy, flask_shop):
    log = flask_shop / "access.log"
    log.write_text(
        "".join(
            LOG_LINE.format(host=n % 7, minute=n // 60, second=n % 60, item=1 + n % 5) for n in range(600)
        )
    )
    data = answer(cache_strategy("simulate", flask_shop, "--access-log", log, "--ttl", "60,300", "--json"))
    check(SIMULATE, data)
    assert {(row["group"], row["ttl_seconds"]) for row in data["rows"]} == {
        ("GET /api/products/{product_id}", 60),
        ("GET /api/products/{product_id}", 300),
    }
    assert all(row["stale_rate"] is None for row in data["rows"])
    assert all(0 < row["hit_rate"] < 1 and row["capacity_bytes"] is None for row in data["rows"])
    assert data["requests"] == 600


def test_hookify_propose(cache_strategy, tmp_path):
    done = cache_strategy("hookify", "propose", TRANSCRIPT, "--json", cwd=tmp_path)
    data = answer(done)
    check(PROPOSE, data)
    assert data["proposals"]
    assert all(("pattern" in p) != ("check" in p) for p in data["proposals"])
    assert list(tmp_path.iterdir()) == []


def test_verify(cache_strategy, flask_shop, redis_url, postgres_url):
    assert cache_strategy("emit", flask_shop, "--apply").returncode == 0
    pytest_command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_accounts.py",
    )
    servers = {"REDIS_URL": redis_url, "DATABASE_URL": postgres_url}
    done = cache_strategy("verify", "--repo", flask_shop, "--json", "--", *pytest_command, env=servers)
    data = json.loads(done.stdout)
    check(VERIFY, data)
    judged = [e for e in data["entries"] if e["verdict"] == "proven"]
    assert judged, data
    for entry in judged:
        for figures in (entry["before"], entry["after"]):
            for measurement in figures.values():
                check(MEASUREMENT, measurement)
    assert done.stderr.splitlines() == data["notes"]


@pytest.mark.parametrize("verb", ["run", "plan", "report", "emit"])
def test_the_other_verbs_print_one_object_too(cache_strategy, flask_shop, verb):
    assert cache_strategy("profile", flask_shop).returncode == 0
    before = contents(flask_shop)
    done = cache_strategy(verb, flask_shop, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == 1
    after = contents(flask_shop)
    assert {name for name in after if after[name] != before.get(name)} <= {"cache-strategy.new.yaml"}


def test_what_writes_says_in_json_what_it_wrote(cache_strategy, flask_shop, tmp_path):
    applied = json.loads(cache_strategy("emit", flask_shop, "--apply", "--json").stdout)
    assert applied["applied"] is True
    written = {change["path"] for change in applied["changes"]}
    assert "shop/caching/runtime.py" in written
    assert (
        set(json.loads(cache_strategy("emit", flask_shop, "--revert", "--json").stdout)["reverted"])
        == written
    )
    file = tmp_path / "caching.py"
    assert json.loads(cache_strategy("emit", "--runtime", file, "--json").stdout)["written"] == str(file)
    assert file.read_text().startswith('"""')


def test_explain(cache_strategy):
    page = json.loads(cache_strategy("explain", "cache-wipe-command", "--json").stdout)
    assert (page["rule"], page["name"], page["severity"]) == ("CS301", "cache-wipe-command", "error")
    assert page["page"] == cache_strategy("explain", "CS301").stdout.rstrip("\n")


@pytest.mark.parametrize("verb", ["scan", "list", "check"])
def test_hookify_prints_one_object(cache_strategy, tmp_path, verb):
    given = (TRANSCRIPT,) if verb == "scan" else ()
    done = cache_strategy("hookify", verb, *given, "--json", cwd=tmp_path)
    assert answer(done)["schema"] == 1
    assert done.returncode == 0
