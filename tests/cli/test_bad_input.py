"""Bad input: one clear line, exit code 2 or 1, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import PLAIN_APPLICATION, as_ordinary_user, check_refused, contents

ON_A_REPOSITORY = [("run",), ("profile",), ("plan",), ("simulate",), ("emit",), ("report",)]
WITH_A_COMMAND = [("verify", "--repo"), ("record", "--repo")]
OBEYING = ["run", "emit", "report", "verify"]


def ask(cache_strategy, verb: tuple[str, ...], path: Path, **options):
    end = ("--", sys.executable, "-c", "") if verb[-1] == "--repo" else ()
    return cache_strategy(*verb, path, *end, **options)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "app.py").write_text(PLAIN_APPLICATION)
    return folder


# --- the repository


@pytest.mark.parametrize("verb", ON_A_REPOSITORY + WITH_A_COMMAND, ids=lambda verb: verb[0])
def test_a_path_that_is_not_there_is_named(cache_strategy, tmp_path, verb):
    check_refused(ask(cache_strategy, verb, tmp_path / "nowhere"), "nowhere: is not there")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ON_A_REPOSITORY + WITH_A_COMMAND, ids=lambda verb: verb[0])
def test_a_file_in_place_of_a_folder_is_named(cache_strategy, tmp_path, verb):
    file = tmp_path / "app.py"
    file.write_text("x = 1\n")
    check_refused(ask(cache_strategy, verb, file), "app.py: is a file")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("verb", ["run", "profile", "plan", "emit", "report", "simulate"])
def test_an_empty_folder_stays_empty(cache_strategy, tmp_path, verb):
    check_refused(cache_strategy(verb, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_python_file_is_told_what_is_needed(cache_strategy, tmp_path):
    (tmp_path / "README.md").write_text("# Nothing\n")
    check_refused(cache_strategy("run", tmp_path), "no Python file")


def test_python_without_a_web_framework_is_told_what_was_looked_for(cache_strategy, tmp_path):
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    check_refused(cache_strategy("run", tmp_path), "no web application", "flask")
    assert contents(tmp_path) == {"sums.py": b"def add(a, b):\n    return a + b\n"}


def test_files_that_cannot_be_read_are_named_and_the_run_goes_on(cache_strategy, application):
    (application / "folder.py").mkdir()
    (application / "dangling.py").symlink_to("nowhere.py")
    (application / "outside.py").symlink_to(sys.executable)
    os.mkfifo(application / "pipe.py")
    (application / "unparsable.py").write_text("def (:\n")
    (application / "binary.py").write_bytes(b"\xff\xfe\x00")
    (application / "latin.py").write_bytes(b'name = "\xe9"\n')
    (application / "endless.py").symlink_to("endless.py")

    done = cache_strategy("run", application)
    unread = json.loads(cache_strategy("profile", application, "--json").stdout)["unread"]

    assert done.returncode == 0, done.stderr
    assert "load" in done.stdout
    named = {item["path"] for item in unread}
    assert named == {
        *("dangling.py", "outside.py", "pipe.py", "unparsable.py"),
        *("binary.py", "latin.py", "endless.py"),
    }
    assert all(item["reason"] for item in unread)
    report = (application / ".cache-strategy" / "report.md").read_text()
    assert all(name in done.stdout and f"`{name}`" in report for name in named)


def test_a_file_without_permission_to_read_is_named_and_the_run_goes_on(application):
    secret = application / "secret.py"
    secret.write_text("x = 1\n")
    secret.chmod(0)
    closed = application / "closed"
    closed.mkdir(mode=0)
    done = as_ordinary_user("profile", application, "--json")
    closed.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert {item["path"] for item in json.loads(done.stdout)["unread"]} == {"secret.py", "closed"}


def test_a_loop_of_links_ends(cache_strategy, application):
    (application / "here").symlink_to(".")
    (application / "up").symlink_to("..")
    (application / "a").symlink_to("b")
    (application / "b").symlink_to("a")
    done = cache_strategy("profile", application, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == 1
    assert cache_strategy("lint", application).returncode == 0


def test_names_that_are_not_utf_8_are_printed_escaped(cache_strategy, application, tmp_path):
    name = b"na\xefve"
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))  # noqa: PTH118 - bytes
    application.rename(folder)
    (folder / os.fsdecode(name + b".py")).write_text("def (:\n")

    done = cache_strategy("run", folder)
    told = cache_strategy("run", folder, "--json")
    profiled = json.loads(cache_strategy("profile", folder, "--json").stdout)

    assert done.returncode == 0, done.stderr
    assert r"na\xefve.py" in done.stdout
    assert json.loads(told.stdout)["unread"] == 1
    assert [item["path"] for item in profiled["unread"]] == [r"na\xefve.py"]
    for file in ("report.md", "report.html"):
        assert r"na\xefve" in (folder / ".cache-strategy" / file).read_text(encoding="utf-8")


# --- where nothing can be written


@pytest.mark.parametrize("verb", ["run", "profile", "plan", "emit", "report"])
def test_a_read_only_repository_gets_one_line(flask_shop, verb):
    flask_shop.chmod(0o555)
    before = contents(flask_shop)
    done = as_ordinary_user(verb, flask_shop)
    flask_shop.chmod(0o755)
    check_refused(done, "read-only")
    assert contents(flask_shop) == before


@pytest.mark.parametrize("verb", ["run", "emit", "verify"])
def test_a_file_where_the_work_folder_should_be_stays(cache_strategy, flask_shop, verb):
    (flask_shop / ".cache-strategy").write_text("mine\n")
    done = ask(cache_strategy, (verb, "--repo") if verb == "verify" else (verb,), flask_shop)
    check_refused(done, ".cache-strategy: is a file")
    assert (flask_shop / ".cache-strategy").read_text() == "mine\n"


def test_apply_into_a_read_only_folder_changes_nothing(cache_strategy, flask_shop):
    assert cache_strategy("emit", flask_shop).returncode == 0
    before = contents(flask_shop)
    (flask_shop / "shop").chmod(0o555)
    done = as_ordinary_user("emit", flask_shop, "--apply")
    (flask_shop / "shop").chmod(0o755)
    check_refused(done, "cannot be written", "nothing was changed")
    assert contents(flask_shop) == before
    check_refused(cache_strategy("emit", flask_shop, "--revert"), "nothing to take back", code=1)


def test_the_runtime_is_not_written_over_a_file_that_differs(cache_strategy, tmp_path):
    file = tmp_path / "caching.py"
    file.write_text("mine = 1\n")
    check_refused(cache_strategy("emit", "--runtime", file), "caching.py", "not overwritten", code=1)
    check_refused(cache_strategy("emit", "--runtime", tmp_path), "is a folder")
    assert file.read_text() == "mine = 1\n"


# --- the contract


@pytest.mark.parametrize("verb", OBEYING)
@pytest.mark.parametrize(
    ("wrong", "right", "line_of", "words"),
    [
        ("ttl_seconds: 300", "ttl_secs: 300", "ttl_secs: 300", "is not a field"),
        ("ttl_seconds: 300", 'ttl_seconds: "5m"', 'ttl_seconds: "5m"', "not a whole number"),
        ("layers: [redis]", "layers: [disk]", "layers: [disk]", "not one of memory, redis"),
        ("id: user-profile", "id: category", "id: category", "is there twice"),
        (
            "target: shop/accounts.py:get",
            "target: ../other/accounts.py:get",
            "../other",
            "leads outside the repository",
        ),
        ("target: shop/accounts.py:get", "target: /etc/passwd:get", "/etc/passwd", "leads outside"),
        ("package_path: shop", "package_path: ../shop", "package_path", "leads outside"),
        ("entries:\n", "entries: {\n", "", "is not YAML"),
    ],
    ids=["field", "type", "layer", "id", "outside", "absolute", "package", "yaml"],
)
def test_a_wrong_contract_is_refused_at_its_line(
    cache_strategy, flask_shop, verb, wrong, right, line_of, words
):
    assert cache_strategy("profile", flask_shop).returncode == 0
    contract = flask_shop / "cache-strategy.yaml"
    text = contract.read_text()
    assert wrong in text
    contract.write_text(text.replace(wrong, right, 1))
    before = contents(flask_shop)

    done = ask(cache_strategy, (verb, "--repo") if verb == "verify" else (verb,), flask_shop)

    check_refused(done, words)
    named = re.match(r"cache-strategy\.yaml:(\d+): ", done.stderr)
    assert named, done.stderr
    if line_of:
        number = [i for i, row in enumerate(contract.read_text().splitlines(), 1) if line_of in row][-1]
        assert int(named[1]) == number, done.stderr
    assert contents(flask_shop) == before


def test_lint_finds_a_wrong_contract_at_its_line(cache_strategy, flask_shop):
    contract = flask_shop / "cache-strategy.yaml"
    contract.write_text(contract.read_text().replace("ttl_seconds: 300", "ttl_secs: 300", 1))
    number = next(i for i, row in enumerate(contract.read_text().splitlines(), 1) if "ttl_secs" in row)
    done = cache_strategy("lint", flask_shop, "--json")
    found = [f for f in json.loads(done.stdout)["findings"] if f["name"] == "invalid-contract"]
    assert done.returncode == 1
    assert [(f["path"], f["line"], f["severity"]) for f in found] == [
        ("cache-strategy.yaml", number, "error")
    ]
    assert cache_strategy("lint", flask_shop, "--format", "sarif").returncode == 1
    assert cache_strategy("explain", "invalid-contract").stdout.startswith("CS002 invalid-contract")


@pytest.mark.parametrize("verb", ["emit", "verify"])
def test_without_a_contract_the_command_that_makes_one_is_named(cache_strategy, flask_shop, verb):
    (flask_shop / "cache-strategy.yaml").unlink()
    done = ask(cache_strategy, (verb, "--repo") if verb == "verify" else (verb,), flask_shop)
    check_refused(done, "cache-strategy.yaml: is not there", f"cache-strategy run {flask_shop}")


@pytest.mark.parametrize("verb", ["run", "plan", "emit"])
def test_a_contract_that_is_no_text_is_left_alone(cache_strategy, flask_shop, verb):
    contract = flask_shop / "cache-strategy.yaml"
    contract.write_bytes(b"\xff\xfe\x00\x01")
    check_refused(cache_strategy(verb, flask_shop), "cache-strategy.yaml", "cannot be read")
    assert contract.read_bytes() == b"\xff\xfe\x00\x01"
    contract.unlink()
    contract.mkdir()
    check_refused(cache_strategy(verb, flask_shop), "cache-strategy.yaml", "cannot be read")


def test_a_second_run_leaves_an_edited_contract_as_it_is_and_proposes_beside_it(cache_strategy, flask_shop):
    contract, proposal = flask_shop / "cache-strategy.yaml", flask_shop / "cache-strategy.new.yaml"
    contract.unlink()
    assert cache_strategy("run", flask_shop).returncode == 0
    made = contract.read_bytes()
    assert cache_strategy("run", flask_shop).returncode == 0
    assert contract.read_bytes() == made
    assert not proposal.exists()
    edited = made.replace(b"ttl_seconds: 300", b"ttl_seconds: 301 # ours\r", 1)
    assert edited != made
    contract.write_bytes(edited)

    done = cache_strategy("run", flask_shop)

    assert done.returncode == 0, done.stderr
    assert contract.read_bytes() == edited
    assert proposal.read_bytes() == made
    assert "stays as it is" in done.stderr


def test_a_target_behind_a_link_out_of_the_repository_is_never_written(cache_strategy, flask_shop, tmp_path):
    outside = tmp_path / "outside"
    (flask_shop / "shop").rename(outside)
    (flask_shop / "shop").symlink_to(outside)
    before = contents(outside)
    done = cache_strategy("emit", flask_shop, "--apply")
    assert "shop/catalog.py: leads outside the repository" in done.stderr
    assert contents(outside) == before


# --- traces and options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("simulate", "--ttl", "abc", "--access-log", "x.log"),
            "--ttl: 'abc' is not a list of whole numbers",
        ),
        (("simulate", "--ttl", "0", "--access-log", "x.log"), "not above zero"),
        (("simulate", "--capacity", "1k", "--access-log", "x.log"), "--capacity: '1k'"),
        (("simulate", "--access-log", "x.log"), "x.log: cannot be read"),
        (("simulate", "--trace", "x"), "x: is not a folder"),
        (("simulate",), "no trace was given"),
        (("run", "--access-log", "x.log"), "x.log: cannot be read"),
        (("run", "--trace", "x"), "x: is not a folder"),
        (("emit", "--target", "memcached"), "--target: 'memcached'"),
        (("lint", "nowhere"), "nowhere: no such file or folder"),
        (("lint", "--format", "xml"), "--format xml"),
        (("lint", "--diff", "no-such-revision"), "no-such-revision: no such revision"),
        (("explain", "no-such-rule"), "no-such-rule: no such rule; there are"),
        (("verify", "--only", "nothing", "--", "true"), "--only nothing"),
        (("verify", "--", "no-such-program"), "no-such-program: cannot be started"),
        (("verify",), "Missing argument"),
        (("record", "--", "no-such-program"), "no-such-program: cannot be started"),
        (("hookify", "scan", "nowhere"), "nowhere: is not there"),
        (("hookify", "list", "--project", "nowhere"), "nowhere"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("run", "--frobnicate"), "No such option"),
        (("run", ".", "again"), "unexpected extra argument"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_gets_one_line(cache_strategy, flask_shop, redis_url, arguments, words):
    before = contents(flask_shop)
    done = cache_strategy(*arguments, cwd=flask_shop, env={"REDIS_URL": redis_url})
    check_refused(done, words)
    assert contents(flask_shop) == before


def test_a_log_that_is_none_is_told_the_formats(cache_strategy, application):
    log = application / "access.log"
    log.write_text("this is no log\n" * 3)
    check_refused(cache_strategy("run", application, "--access-log", log), "access.log", "no known format")
    log.write_bytes(b"")
    check_refused(cache_strategy("run", application, "--access-log", log), "has no requests")


def test_evidence_that_is_torn_is_made_again(cache_strategy, flask_shop):
    assert cache_strategy("profile", flask_shop).returncode == 0
    evidence = flask_shop / ".cache-strategy" / "evidence.json"
    evidence.write_text(evidence.read_text()[:1000])
    check_refused(
        cache_strategy("report", flask_shop), "evidence.json: cannot be read", "cache-strategy profile"
    )
    assert cache_strategy("run", flask_shop).returncode == 0
    assert cache_strategy("report", flask_shop).returncode == 0


def test_a_mistake_of_ours_is_one_line_too(flask_shop):
    code = (
        "import sys; from cache_strategy.cli.terminal import run_app\n"
        "def broken(**_): raise ValueError('two\\nlines')\n"
        "sys.exit(run_app(lambda: broken))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "ValueError: two lines" in done.stderr
