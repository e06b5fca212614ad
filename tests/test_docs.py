"""
README.md against the program: what it shows is what comes out, every verb and every rule is in it.

Parts between `<!-- generated: NAME -->` and `<!-- end -->` are made by the functions below; `pytest tests/test_docs.py
--update-golden` writes them anew. Times and counts that differ from run to run are not compared.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cache_strategy.cli import invalid_contract

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PART = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SECONDS = re.compile(r"\b\d+\.\d+ ?s\b")
NUMBER = re.compile(r"\d+(\.\d+)?")
LINKS = re.compile(r"\[[^]]+\]\(([^)#]+)\)")
Generator = Callable[["pytest.FixtureRequest"], str]
GENERATORS: dict[str, Generator] = {}


def generator(function: Generator) -> Generator:
    GENERATORS[function.__name__] = function
    return function


def block(command: str, output: str, kind: str = "console") -> str:
    return f"```{kind}\n$ {command}\n{output.rstrip()}\n```\n"


@generator
def run(request: pytest.FixtureRequest) -> str:
    tree = request.getfixturevalue("tmp_path") / "tree"
    shop = tree / "tests" / "apps" / "flask_shop"
    shop.parent.mkdir(parents=True)
    shutil.copytree(request.getfixturevalue("flask_shop"), shop)
    done = request.getfixturevalue("cache_strategy")("run", "tests/apps/flask_shop", cwd=tree)
    assert done.returncode == 0, done.stderr
    return block("scripts/cache-strategy run tests/apps/flask_shop", done.stdout)


@generator
def patch(request: pytest.FixtureRequest) -> str:
    done = request.getfixturevalue("cache_strategy")("emit", request.getfixturevalue("flask_shop"))
    assert done.returncode == 0, done.stderr
    of_file = done.stdout.split("diff --git a/shop/accounts.py")[1].split("diff --git")[0]
    return f"```diff\n{of_file[of_file.index('--- a/') :].rstrip()}\n```\n"


@generator
def proof(request: pytest.FixtureRequest) -> str:
    shop, cache_strategy = map(request.getfixturevalue, ("flask_shop", "cache_strategy"))
    assert cache_strategy("emit", shop, "--apply").returncode == 0
    entries = shop / "shop" / "caching" / "entries.py"
    text = entries.read_text()
    entries.write_text(text.replace('        "products": "id",\n', ""))
    assert entries.read_text() != text
    tests = ("pytest", "-q", "-p", "no:cacheprovider", "tests/test_catalog.py", "-k", "price_change")
    servers = {
        "REDIS_URL": request.getfixturevalue("redis_url"),
        "DATABASE_URL": request.getfixturevalue("postgres_url"),
    }
    done = cache_strategy(
        *("verify", "--repo", shop, "--only", "product-list", "--", sys.executable, "-m", *tests), env=servers
    )
    assert done.returncode == 1 and "refuted" in done.stdout, done.stdout + done.stderr
    return block(
        "cache-strategy verify --repo flask_shop --only product-list -- pytest tests/test_catalog.py -k price_change",
        done.stdout,
    )


@generator
def hookify(request: pytest.FixtureRequest) -> str:
    done = request.getfixturevalue("cache_strategy")(
        "hookify", "propose", "tests/hookify/transcripts/caching.jsonl", cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return block("cache-strategy hookify propose tests/hookify/transcripts/caching.jsonl", done.stdout)


@generator
def guard(request: pytest.FixtureRequest) -> str:
    command = "redis-cli -h cache.internal FLUSHALL"
    event = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": command}}
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "hooks" / "guard.py")],
        input=json.dumps({**event, "cwd": str(request.getfixturevalue("tmp_path"))}),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)["hookSpecificOutput"]
    assert said["permissionDecision"] == "deny"
    return block(command, said["permissionDecisionReason"])


class ContractRule:
    """The linter's own rule, in the form of the others."""

    code, name, severity = invalid_contract.CODE, invalid_contract.NAME, invalid_contract.SEVERITY
    page = invalid_contract.page()


@generator
def rules(request: pytest.FixtureRequest) -> str:
    from cache_strategy.rules import all_rules

    rows = ["| rule | | severity | flags |", "|---|---|---|---|"]
    for rule in sorted([*all_rules(), ContractRule], key=lambda rule: rule.code):
        what = " ".join(rule.page.split("What it does\n")[1].split("\n\n")[0].split())
        first = (
            re.split(r"(?<=[.;]) (?=[A-Z])", what)[0].rstrip(".").removeprefix("Flags ").replace("|", "\\|")
        )
        rows.append(f"| `{rule.name}` | {rule.code} | {rule.severity} | {first} |")
    return "\n".join(rows) + "\n"


@generator
def verbs(request: pytest.FixtureRequest) -> str:
    rows = ["| verb | does | options |", "|---|---|---|"]
    for verb in verbs_of(request.getfixturevalue("cache_strategy")):
        text = request.getfixturevalue("cache_strategy")(*verb, "--help").stdout
        usage, _, rest = text.partition("\n\n")
        arguments = re.sub(r"^Usage: cache-strategy|\[OPTIONS\]|^ *", "", " ".join(usage.split()))
        arguments = re.sub(r"[{}]|\.\.\.$|\[(?=\[)|(?<=\])\]", "", " ".join(arguments.split()))
        what = re.split(r"\n\n(?:Arguments|Options):", rest)[0]
        first = " ".join(what.split("\n\n")[0].split())
        options = [o for o in re.findall(r"^  (--[a-z-]+)", rest, re.MULTILINE) if o != "--help"]
        rows.append(
            f"| `{arguments}` | {first} | {', '.join(f'`{o}`' for o in options)} |".replace("\\|", "|")
        )
    return "\n".join(rows) + "\n"


def verbs_of(cache_strategy) -> list[tuple[str, ...]]:
    """Every verb of --help, those of a group after its name."""

    def listed(*group: str) -> list[str]:
        text = cache_strategy(*group, "--help").stdout
        return re.findall(r"^  ([a-z]+)(?:  |$)", text.split("Commands:")[-1], re.MULTILINE)

    return [
        verb
        for name in listed()
        for verb in ([(name, inner) for inner in listed(name)] if name == "hookify" else [(name,)])
    ]


def comparable(name: str, text: str) -> str:
    """Without times; and a test runner says more of a failure where CI is set."""
    text = re.sub(r"(FAILED \S+).*", r"\1", SECONDS.sub("N s", text))
    return NUMBER.sub("N", text) if name == "proof" else text


@pytest.mark.parametrize("name", [match[2] for match in PART.finditer(README.read_text(encoding="utf-8"))])
def test_what_the_readme_shows_is_what_comes_out(request, name):
    made = GENERATORS[name](request)
    text = README.read_text(encoding="utf-8")
    shown = next(match[3] for match in PART.finditer(text) if match[2] == name)
    if comparable(name, made) != comparable(name, shown) and request.config.getoption("--update-golden"):
        README.write_text(
            text.replace(f"<!-- generated: {name} -->\n{shown}", f"<!-- generated: {name} -->\n{made}")
        )
        return
    assert comparable(name, shown) == comparable(name, made), (
        "write it: pytest tests/test_docs.py --update-golden"
    )


def test_every_generated_part_is_in_the_readme():
    assert {match[2] for match in PART.finditer(README.read_text(encoding="utf-8"))} == set(GENERATORS)


def test_every_verb_and_every_command_is_documented(cache_strategy):
    text = README.read_text(encoding="utf-8")
    for verb in verbs_of(cache_strategy):
        assert re.search(rf"`{' '.join(verb)}\b", text), verb
    for command in ("cache-strategy", "hookify"):
        assert f"\n## /{command}\n" in text


def test_the_first_screen_says_what_it_is_what_it_never_does_and_how_to_install_it():
    screen = README.read_text(encoding="utf-8").splitlines()[:60]
    text = "\n".join(screen)
    assert len(screen[2]) < 160
    assert "It will never" in text
    assert "$ scripts/cache-strategy run tests/apps/flask_shop" in text
    assert "/plugin install optimize@cc-plugins" in text


def test_the_two_commands_are_there_and_can_be_started():
    text = README.read_text(encoding="utf-8")
    for command in ("scripts/cache-strategy run tests/apps/flask_shop", "python3 tests/run"):
        assert re.search(rf"^    {re.escape(command)} +#", text, re.MULTILINE), command
    assert (ROOT / "tests" / "apps" / "flask_shop").is_dir()
    for script in ("scripts/cache-strategy", "tests/run"):
        assert (ROOT / script).read_text().startswith("#!/usr/bin/env python3\n")


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", "scripts/README.md", "tests/README.md", "bench/README.md"]
)
def test_links_lead_to_files_and_no_host_or_machine_is_named(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in LINKS.findall(text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
    assert not re.search(
        r"https?://|/home/|/root/|/tmp/|/work/|localhost:\d|\b\d+\.\d+\.\d+\.\d+(?<!127\.0\.0\.1)\b", text
    )


def test_the_limits_are_numbered_and_each_has_its_reason():
    text = README.read_text(encoding="utf-8").split("## What it does not catch")[1].split("\n## ")[0]
    items = re.findall(r"^(\d+)\. (.+?)(?=^\d+\. |\Z)", text, re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in items] == list(range(1, len(items) + 1))
    assert all(item.startswith("**") and len(item.split()) > 15 for _, item in items)


def test_the_changelog_names_the_version_of_the_plugin():
    version = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text())["version"]
    assert re.search(rf"^## {re.escape(version)}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_changelog_knows_every_verb(cache_strategy):
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for verb in verbs_of(cache_strategy):
        assert all(word in text for word in verb), verb
