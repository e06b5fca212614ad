"""A second run uses what the first one kept, and finds exactly what a run without it finds."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cache_strategy.model.document import to_data
from cache_strategy.profile import evidence as making
from cache_strategy.profile import profile

FILES = {
    "shop/__init__.py": "",
    "shop/models.py": '''
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Item(db.Model):
    __tablename__ = "items"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80))


class Order(db.Model):
    __tablename__ = "orders"
    id = db.Column(db.Integer, primary_key=True)
    item_id = db.Column(db.ForeignKey("items.id"))
    item = db.relationship(Item)
''',
    "shop/helpers.py": '''
from functools import lru_cache

from shop.models import Item, Order, db


class Report:
    """Rows for a page."""

    def rows(self):
        return Item.query.all()


def total(item):
    return db.session.execute("SELECT count(*) FROM orders WHERE item_id = :i", {"i": item}).scalar()


@lru_cache(maxsize=10)
def names():
    return [item.name for item in Item.query]
''',
    "shop/views.py": '''
from flask import Flask, render_template, request, session

from shop import helpers
from shop.models import Order, db

app = Flask(__name__)


@app.get("/items/<int:item>")
def item(item):
    if "user" not in session:
        return "", 403
    return render_template("item.html", rows=helpers.Report().rows(), total=helpers.total(item))


@app.post("/orders")
def order():
    db.session.add(Order(item_id=request.form["item"]))
    db.session.commit()
    return {"names": helpers.names()}
''',
    "shop/templates/item.html": "{% for row in rows %}{{ row.name }}{% endfor %}{{ total }}",
    "tests/test_views.py": "from shop.views import app\n\n\ndef test(): app.test_client()\n",
}  # fmt: skip


def change(name: str, old: str, new: str) -> Callable[[Path], object]:
    def run(repo: Path) -> None:
        text = (repo / name).read_text()
        assert old in text
        (repo / name).write_text(text.replace(old, new, 1))

    return run


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda repo: (repo / name).write_text(text)


# What is done, and whether the kept evidence still holds.
EDITS: dict[str, tuple[Callable[[Path], object], bool]] = {
    "nothing": (lambda repo: None, True),
    "touched": (lambda repo: os.utime(repo / "shop/views.py", (1, 1)), True),
    "a comment above": (change("shop/views.py", "\napp =", "\n# this is it\napp ="), True),
    "a docstring": (change("shop/helpers.py", "Rows for a page.", "Rows\n    of a\n    page."), True),
    "layout": (change("shop/helpers.py", "lru_cache(maxsize=10)", "lru_cache(\n    maxsize=10,\n)"), True),
    "lines apart": (change("shop/helpers.py", "\n\n@lru", "\n\n\n\n@lru"), True),
    "two lines made one": (change("shop/views.py", 'session:\n        return', "session: return"), False),
    "a statement less": (change("shop/views.py", '    db.session.commit()', ""), False),
    "order of lines": (change("shop/views.py", "from flask", "from os import path\nfrom flask"), False),
    "True instead of 1": (change("shop/helpers.py", "maxsize=10", "maxsize=True"), False),
    "a callee": (change("shop/helpers.py", "Item.query.all()", "Order.query.all()"), False),
    "SQL": (change("shop/helpers.py", "FROM orders", "FROM invoices"), False),
    "a column": (change("shop/models.py", '"items"', '"things"'), False),
    "a subclass elsewhere": (write("shop/more.py", "from shop.helpers import Report\nclass Own(Report):\n def rows(self): return open('x')\n"), False),
    "a module renamed": (lambda repo: (repo / "shop/helpers.py").rename(repo / "shop/tools.py"), False),
    "a module deleted": (lambda repo: (repo / "shop/helpers.py").unlink(), False),
    "a template": (change("shop/templates/item.html", "{{ total }}", "{{ session.name }}"), False),
    "a template added": (write("shop/templates/other.html", "x"), False),
    "a syntax error": (change("shop/views.py", "def order", "def ("), False),
    "a syntax error mended": (change("shop/views.py", "def order():", "def order() :"), True),
    "a test": (change("tests/test_views.py", "test_client", "test_cli_runner"), False),
    "requirements": (write("requirements.txt", "flask\n"), False),
    "a commit": (write(".git/HEAD", "0123456789012345678901234567890123456789\n"), True),
}  # fmt: skip


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "repo" / ".git").mkdir()
    return tmp_path / "repo"


def seen(repo: Path, kept: Path | None) -> object:
    return {**to_data(profile(repo, jobs=1, kept=kept)), "seconds": 0}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with each evidence that is made and not found."""
    calls: list[object] = []
    make = making._evidence
    monkeypatch.setattr(making, "_evidence", lambda *given: calls.append(given) or make(*given))
    return calls


@pytest.mark.parametrize("name", EDITS)
def test_after_an_edit_both_say_the_same(name, repo, tmp_path, made):
    """Kept evidence is used only where it is what would be made; then every line in it is where it is now."""
    edit, holds = EDITS[name]
    seen(repo, tmp_path / "kept")
    edit(repo)
    made.clear()

    again = seen(repo, tmp_path / "kept")
    assert (not made) == holds
    assert again == seen(repo, None)
    assert seen(repo, tmp_path / "kept") == again


def damaged(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    {
        "cut": lambda kept: [damaged(p, p.read_bytes()[:-7]) for p in kept.iterdir()],
        "emptied": lambda kept: [damaged(p, b"") for p in kept.iterdir()],
        "garbage": lambda kept: [damaged(p, os.urandom(500)) for p in kept.iterdir()],
        "one bit": lambda kept: [damaged(p, p.read_bytes()[:-9] + b"\0" + p.read_bytes()[-8:]) for p in kept.iterdir()],
        "of another version": lambda kept: [damaged(p, b"x" * 32 + p.read_bytes()[32:]) for p in kept.iterdir()],
        "a link": lambda kept: [(p.rename(p.with_suffix(".x")), p.symlink_to(p.with_suffix(".x"))) for p in [*kept.iterdir()]],
        "a folder": lambda kept: [(p.unlink(), p.mkdir()) for p in [*kept.iterdir()]],
        "open to others": lambda kept: kept.chmod(0o777),
        "a file in its place": lambda kept: (shutil.rmtree(kept), kept.write_text("")),
        "gone": shutil.rmtree,
    }.items(),
    ids=lambda pair: pair[0],
)  # fmt: skip
def test_what_is_damaged_is_as_if_it_were_not_there(damage, repo, tmp_path, made):
    first = seen(repo, tmp_path / "kept")
    damage[1](tmp_path / "kept")
    made.clear()

    assert seen(repo, tmp_path / "kept") == first
    assert made


def test_runs_at_the_same_time_do_not_disturb_each_other(repo, tmp_path):
    expected = seen(repo, None)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(seen(repo, tmp_path / "kept"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [expected] * 4
    assert sorted(p.suffix for p in (tmp_path / "kept").iterdir()) == [".evidence", ".sources"]


def test_what_is_kept_is_bounded_and_private(repo, tmp_path, monkeypatch):
    from cache_strategy.profile import kept

    monkeypatch.setattr(kept, "_MOST_REPOSITORIES", 2)
    for number in range(4):
        shutil.copytree(repo, tmp_path / f"repo{number}")
        seen(tmp_path / f"repo{number}", tmp_path / "kept")

    names = [*(tmp_path / "kept").iterdir()]
    assert len(names) == 4
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in names} == {0o600}


def test_a_place_that_cannot_be_written_is_no_error(repo):
    assert seen(repo, Path("/dev/null/kept")) == seen(repo, None)
