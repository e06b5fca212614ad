"""report.html in a real browser: no error, no network, nothing that a hostile repository could run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from browser import dom_of, picture_of

OWNED = "document.title='owned'"
HOSTILE_FOLDER = f"<img src=x onerror={OWNED}>"
HOSTILE_MODULE = (f'"><script>{OWNED}<', "script>.py")  # a path with </script> in it
HOSTILE_TABLE = f"<svg onload={OWNED}>"
APPLICATION = f'''\
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
app = Flask(__name__)


class Item(db.Model):
    __tablename__ = "{HOSTILE_TABLE}"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String)


@app.get("/<b onclick={OWNED}>/<int:item_id>")
def show(item_id):
    return load(item_id)


def load(item_id):
    item = db.session.get(Item, item_id)
    return {{"id": item.id, "name": item.name}}


def rename(item_id, name):
    db.session.get(Item, item_id).name = name
    db.session.commit()
'''


@pytest.fixture
def page(flask_shop, cache_strategy) -> Path:
    assert cache_strategy("run", flask_shop).returncode == 0
    return flask_shop / ".cache-strategy" / "report.html"


def test_the_browser_has_nothing_to_complain_about(page, tmp_path):
    dom, console = dom_of(page, tmp_path / "profile")
    assert console == []
    assert dom.count("<details") == 8
    assert dom.count("<svg") == 2
    assert "Cache Strategy Report: flask_shop" in dom


def test_a_hostile_repository_runs_nothing_in_the_page(tmp_path, cache_strategy):
    repository = tmp_path / HOSTILE_FOLDER
    repository.mkdir()
    (repository / "app.py").write_text(APPLICATION)
    folder, name = HOSTILE_MODULE
    (repository / folder).mkdir()
    (repository / folder / name).write_text("def (\n")
    (repository / f"{OWNED};<script>.py").write_text("def (\n")
    done = cache_strategy("run", repository)
    assert done.returncode == 0, done.stderr
    page = repository / ".cache-strategy" / "report.html"
    text = page.read_text()
    assert "&lt;svg onload" in text, "the table's name stands in the page"
    # Without the policy that forbids scripts: the escaping alone has to hold.
    policy = re.search(r"<meta http-equiv=.Content-Security-Policy.*\n", text)
    assert policy
    bare = tmp_path / "bare.html"
    bare.write_text(text.replace(policy[0], ""))

    for file in (page, bare):
        dom, console = dom_of(file, tmp_path / "profile")
        assert console == []
        assert "<title>owned" not in dom
        assert "<script" not in dom
        assert "<img" not in dom
        assert not re.search(r"<[^>]+ on(error|load|click)=", dom)


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_sticks_out_of_the_window(page, tmp_path, width):
    """What is wider than the window scrolls within its own box."""
    text = page.read_text().replace("<details>", "<details open>")
    policy = re.search(r"<meta http-equiv=.Content-Security-Policy.*\n", text)
    assert policy
    probe = (
        "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    )
    file = tmp_path / "measured.html"
    file.write_text(text.replace(policy[0], "").replace("</body>", probe))
    dom, _ = dom_of(file, tmp_path / "profile", f"--window-size={width},1000")
    found = re.search(r"<title>(\d+) of (\d+)</title>", dom)
    assert found
    assert int(found[1]) <= int(found[2])


def test_dark_and_light_differ(page, tmp_path):
    light = picture_of(page, tmp_path / "light.png", tmp_path / "profile", width=800)
    dark = picture_of(page, tmp_path / "dark.png", tmp_path / "dark", "--force-dark-mode", width=800)
    assert len({light, dark}) == 2
    assert os.path.getsize(tmp_path / "light.png") > 20_000  # noqa: PTH202 - an empty page takes 5,000
