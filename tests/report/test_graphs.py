"""Pictures of a forecast: in the page, as files, for who cannot see them, and in a real browser."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browser import dom_of, picture_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """What `run` leaves of the shop and a log of six hours."""
    folder = tmp_path_factory.mktemp("graphs")
    shop = folder / "shop"
    shutil.copytree(Path(__file__).parents[1] / "apps" / "flask_shop", shop)
    lines = []
    for n in range(4000):
        second = n * 5
        path = (f"/api/products/{n * n % 97}", "/api/products?category=1", f"/api/users/{n % 31}", "/")[n % 4]
        verb = "PUT" if n % 400 == 2 else "GET"
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        lines.append(
            f'10.0.0.1 - - [10/Oct/2025:{clock} +0000] "{verb} {path} HTTP/1.1" 200 512 "-" "x" 0.0{n % 90 + 10}\n'
        )
    (folder / "access.log").write_text("".join(lines))
    command = [
        sys.executable,
        "-m",
        "cache_strategy",
        "run",
        str(shop),
        "--access-log",
        str(folder / "access.log"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return shop / ".cache-strategy"


def graphs_in(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r'<svg class="graph".*?</svg>', page, re.S)]


def test_every_picture_says_in_words_what_it_shows(work):
    graphs = graphs_in((work / "report.html").read_text())
    titles = [graph.findtext(f"{SVG}title") or "" for graph in graphs]
    words = [graph.findtext(f"{SVG}desc") or "" for graph in graphs]
    for expected in (
        "hits and stale answers over the time to live",
        "Misses over the memory",
        "Requests that",
        "Time of",
    ):
        assert any(expected in title for title in titles), expected
    assert all(re.search(r"\d+\.\d %", text) for text in words)
    names = [graph.get("aria-labelledby") for graph in graphs]
    assert len(set(names)) == len(names)
    assert any("Without invalidation" in text for text in words), "the log's own PUT requests are writes"


def test_markdown_links_to_files_that_need_nothing_else(work):
    links = re.findall(r"!\[(.+)\]\(pictures/(.+\.svg)\)", (work / "report.md").read_text())
    assert len(links) == len(graphs_in((work / "report.html").read_text())) >= 5
    for words, name in links:
        text = (work / "pictures" / name).read_text()
        ElementTree.fromstring(text)
        assert not re.search(r"href|url\(|<script|<image", text)
        assert "prefers-color-scheme" in text
        assert len(words) > 40


def test_before_and_after_are_the_forecasts_own_figures(work):
    text = (work / "pictures" / "requests.svg").read_text()
    shown = re.search(r"GET /api/products: ([\d,]+) → ([\d,]+)", text)
    assert shown
    assert shown[1] == "1,000"
    assert int(shown[2].replace(",", "")) < 1000


def test_a_browser_shows_them_narrow_and_wide_light_and_dark(work, tmp_path):
    page = work / "report.html"
    dom, console = dom_of(page, tmp_path / "profile")
    assert console == []
    assert dom.count('<svg class="graph"') >= 5
    file = work / "pictures" / "requests.svg"
    light = picture_of(file, tmp_path / "light.png", tmp_path / "a", width=400, height=500)
    dark = picture_of(file, tmp_path / "dark.png", tmp_path / "b", "--force-dark-mode", width=400, height=500)
    assert len({light, dark}) == 2
    # No text of a picture reaches over its edge, and the page is not wider than the window.
    text = page.read_text()
    policy = re.search(r"<meta http-equiv=.Content-Security-Policy.*\n", text)
    assert policy
    probe = (
        "<script>const out = [...document.querySelectorAll('svg.graph text')].filter(t => {"
        "const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();"
        "return a.right > b.right + 1 || a.left < b.left - 1}).map(t => t.textContent);"
        "document.title = document.documentElement.scrollWidth + ' of ' + innerWidth + ': ' + out.join()</script></body>"
    )
    bare = tmp_path / "bare.html"
    bare.write_text(text.replace(policy[0], "").replace("</body>", probe))
    dom, _ = dom_of(bare, tmp_path / "profile", "--window-size=400,1000")
    found = re.search(r"<title>(\d+) of (\d+): (.*?)</title>", dom)
    assert found
    assert int(found[1]) <= int(found[2])
    assert found[3] == ""
