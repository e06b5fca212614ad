"""The Cache Strategy Report: every part is there, every number says where it comes from, every command exists."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

SECTIONS = (
    *("Summary", "Entries", "Infrastructure", "Invalidation strategy", "Monitoring", "Impact", "The patch"),
    *("Rejected", "Not examined", "Next steps"),
)
SUMMARY = ("Opportunities", "Expected hit rate", "Expected improvement", "Infrastructure", "Proof")
OF_AN_ENTRY = (
    *("Answer time (median)", "of it in the database", "of it in the application", "request volume"),
    *(
        "reads per write",
        "Staleness that is tolerated",
        "Layer",
        "Time to live",
        "Key",
        "Depends on",
        "Warming",
    ),
    *(
        "Hit rate",
        "answer on a hit",
        "Answer on a miss",
        "Answer on average",
        "Invalidated by",
        "Why:",
        "Implementation:",
    ),
)
SOURCE = re.compile(r"^(measured|derived|assumed|confirmed|set in the contract|get it: `|prove it: |)")
UNKNOWN = "not known"


class Texts(HTMLParser):
    """Headings, and every attribute that could load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.loaded: list[str] = []
        self.scripts = 0
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.scripts += tag in ("script", "iframe", "object", "embed", "form")
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        if self._open in ("h1", "h2") and data.strip():
            self.headings.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


@pytest.fixture
def report(flask_shop, cache_strategy) -> str:
    assert cache_strategy("run", flask_shop).returncode == 0
    return (flask_shop / ".cache-strategy" / "report.md").read_text()


@pytest.fixture
def page(flask_shop, report) -> str:
    return (flask_shop / ".cache-strategy" / "report.html").read_text()


def entries_of(report: str) -> dict[str, str]:
    _, *parts = re.split(r"^### \d+\. ", report.split("\n## Infrastructure")[0], flags=re.MULTILINE)
    return {part.splitlines()[0]: part for part in parts}


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def test_both_forms_have_every_section_in_the_same_order(report, page):
    assert tuple(re.findall(r"^## (.+)$", report, re.MULTILINE)) == SECTIONS
    headings = [h for h in Texts(page).headings if h in SECTIONS]
    assert tuple(headings) == SECTIONS


def test_the_summary_has_every_line(report, page):
    summary = report.split("## Summary")[1].split("\n## ")[0]
    for name in SUMMARY:
        assert f"\n| {name} |" in summary
        assert f"<h3>{name}</h3>" in page


def test_every_entry_has_every_part(report):
    entries = entries_of(report)
    assert len(entries) == 8
    for name, text in entries.items():
        for part in OF_AN_ENTRY:
            if part == "Invalidated by" and name == "products-response":
                continue  # its own age is all that bounds it, and the report says so
            assert part.lower() in text.lower(), (name, part)
        assert text.splitlines()[2].startswith("`shop/"), "the function"
    assert "Invalidated by nothing in this repository" in entries["products-response"]
    assert "`shop/stock.py:restock` | products | tag (raw-sql)" in entries["featured"]
    assert "write-through (drops user_id=user_id)" in entries["user-profile"]
    assert "after a deployment: the keys of SELECT id FROM users" in entries["user-profile"]
    assert "Guarantees that its target cannot give" in entries["best-sellers"]


def test_an_entrys_implementation_is_its_own(report):
    entries = entries_of(report)
    assert "+@caches.category\n" in entries["category"]
    assert "caches.settings" not in entries["category"]
    assert "+    caches.settings.invalidate()" in entries["settings"]
    assert '+    caches.cache.invalidate("window")' in entries["featured"]
    assert "daily_sales = View(" in entries["daily-sales"]


def test_every_number_says_where_it_comes_from_or_how_to_get_it(report):
    tables = re.findall(r"^\| [^\n]* \| \| from \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", report, re.MULTILINE)
    assert len(tables) == 2 + 3 * 8
    for row in "".join(tables).splitlines():
        name, text, source = cells(row)
        assert SOURCE.match(source), row
        if text == UNKNOWN:
            assert source.startswith("get it: `cache-strategy "), row
        elif re.search(r"\d", text) and name not in ("Key", "Warming"):
            assert source, row


def test_every_table_is_whole(report):
    for table in re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE):
        assert len({len(cells(row)) for row in table.splitlines()}) == 1, table


def test_nothing_is_left_of_the_machinery(report, page):
    for text in (report, page):
        prose = re.sub(
            r"^```.*?^```$|<pre>.*?</pre>|<style>.*?</style>", "", text, flags=re.DOTALL | re.MULTILINE
        )
        assert not re.search(r"\bNone\b|\bnan\b|\{\{|\{%|Figure\(|\bTODO\b", prose)
    assert not re.search(r"\n\n\n\n", report)


def test_every_command_that_the_report_names_exists(report, cache_strategy):
    @cache
    def help_of(verb: str) -> str:
        return cache_strategy(verb, "--help").stdout

    named = set(re.findall(r"cache-strategy ([a-z]+)((?: (?:--?[a-z-]+|[A-Z]+))*)", report))
    assert {verb for verb, _ in named} >= {"run", "record", "verify", "emit"}
    for verb, rest in named:
        assert help_of(verb), verb
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in help_of(verb), (verb, option)


def test_the_page_needs_nothing_else(page):
    parsed = Texts(page)
    assert parsed.scripts == 0
    assert set(parsed.loaded) == {"data:,"}
    assert "url(" not in page
    assert "@import" not in page


def test_an_application_without_anything_to_cache_gets_a_report_too(tmp_path, cache_strategy):
    (tmp_path / "app.py").write_text(
        'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get("/")\ndef home():\n    return "hello"\n'
    )
    done = cache_strategy("run", tmp_path)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / ".cache-strategy" / "report.md").read_text()
    assert "Nothing here is worth a cache and safe to keep" in report
    assert "Not a git repository" in report


def test_a_person_s_words_and_names_stay_within_their_cells(flask_shop, cache_strategy):
    contract = flask_shop / "cache-strategy.yaml"
    hostile = "a | b `c` <b>d</b> *e*"
    text = contract.read_text().replace(
        "because: [an aggregate over all orders]", f"because: ['{hostile}']\n    note: '{hostile}'"
    )
    contract.write_text(text)
    assert cache_strategy("run", flask_shop).returncode == 0
    folder = flask_shop / ".cache-strategy"
    assert "Note: a | b `c` &lt;b>d&lt;/b> *e*" in (folder / "report.md").read_text()
    assert "<b>d</b>" not in (folder / "report.html").read_text()
    assert "Note: a | b `c` &lt;b&gt;d&lt;/b&gt; *e*" in (folder / "report.html").read_text()


def test_the_proof_goes_into_the_report(flask_shop, cache_strategy, redis_url, postgres_url):
    assert cache_strategy("run", flask_shop).returncode == 0
    assert cache_strategy("emit", flask_shop, "--apply").returncode == 0
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_catalog.py")
    servers = {"REDIS_URL": redis_url, "DATABASE_URL": postgres_url}
    verified = cache_strategy("verify", "--repo", flask_shop, "--", *command, env=servers)
    assert (flask_shop / ".cache-strategy" / "verdict.json").exists(), verified.stderr

    assert cache_strategy("report", flask_shop).returncode == 0

    report = (flask_shop / ".cache-strategy" / "report.md").read_text()
    category = entries_of(report)["category"]
    assert re.search(r"^Proven: \d+ hits recomputed, every one equal\.$", category, re.MULTILINE)
    assert re.search(r"\| Hits in the proof \| \d+ of \d+ reads \| measured: verify", category)
    assert re.search(r"\| Answer on a hit \| [\d.]+ ms \| derived: the fastest quarter", category)
    assert re.search(r"\| Answer on a miss \| [\d.]+ ms, and one store \| derived: ", category)
    assert re.search(r"\| Answer on average \| [\d.]+ ms \| (measured|derived): ", category)
    assert "Implementation: in force" in category
    impact = report.split("## Impact")[1].split("\n## ")[0]
    assert re.search(
        r"\| category \| answer time \(median\) \| [\d.]+ ms \(.*\) \| .* \| measured, n = ", impact
    )
    assert "Caches on, every hit recomputed: exit code 0" in impact
    assert re.search(
        r"\| Expected improvement \| [\d.]+ % fewer database statements \(.*\| measured: ", report
    )
    assert "never used it" in report, "an entry without a hit is untested and says why"
    page = (flask_shop / ".cache-strategy" / "report.html").read_text()
    assert '<span class="mark proven">proven</span>' in page
    assert Path(flask_shop / ".cache-strategy" / "report.html").stat().st_size < 400_000


def test_a_picture_shows_no_more_writers_than_an_eye_can_follow(flask_shop, cache_strategy):
    (flask_shop / "cache-strategy.yaml").unlink()
    writer = (
        "from .extensions import db\nfrom .models import Product\n\n\n"
        "def rename{n}(product_id, name):\n    db.session.get(Product, product_id).name = name\n    db.session.commit()\n"
    )
    for number in range(150):
        (flask_shop / "shop" / f"rename{number}.py").write_text(writer.format(n=number))
    assert cache_strategy("run", flask_shop).returncode == 0
    page = (flask_shop / ".cache-strategy" / "report.html").read_text()
    assert re.search(r"… and \d+ more writers, listed with the entries</text>", page)
    assert page.count('text-anchor="end"') < 60 + 30
    assert "more writers of its tables are not listed" in (flask_shop / "cache-strategy.yaml").read_text()
    assert cache_strategy("emit", flask_shop).returncode == 0


def test_a_report_of_another_commit_says_so(flask_shop, cache_strategy):
    assert cache_strategy("run", flask_shop).returncode == 0
    done = cache_strategy("report", flask_shop)
    assert (done.returncode, done.stderr) == (0, "")
    git = ("git", "-C", str(flask_shop), "-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "Another"], check=True)
    done = cache_strategy("report", flask_shop)
    assert done.returncode == 0
    assert re.fullmatch(
        r".*evidence\.json: describes commit \w{7}, the repository is at \w{7}\. .*\n", done.stderr
    )
