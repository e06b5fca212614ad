"""A round takes over from the one before it what would come out the same, and evaluates what would not."""

from dataclasses import replace
from pathlib import Path

import pytest

from cache_strategy.model.evidence import Evidence
from cache_strategy.profile import profile
from cache_strategy.profile.memory import Memory

APPS = Path(__file__).resolve().parents[1] / "apps"
# `titles` reads what a function that stands below it stores: the first round does not know it yet.
LATE = """
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
db = SQLAlchemy(app)

class Book(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String)
    pages = db.relationship("Page")

class Page(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    book_id = db.Column(db.ForeignKey("book.id"))

def count():
    return Book.query.count()

@app.get("/pages")
def pages():
    return {"n": len(list(g.book.pages)), "all": count()}

@app.before_request
def load():
    g.book = Book.query.first()
"""
# Whoever begins at the top of the file asks for the last link through more calls than are followed at once.
LINKS = 130
CHAIN = (
    LATE
    + "".join(f"\ndef link{n}(book):\n    return link{n + 1}(book)\n" for n in range(LINKS))
    + f"""
def link{LINKS}(book):
    db.session.add(Page(book_id=book.id))
    return book.pages

@app.get("/far")
def far():
    return {{"n": len(link0(g.book))}}

@app.get("/near")
def near():
    return {{"n": len(link{LINKS}(g.book))}}
"""
)


@pytest.fixture
def recalled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Of what was asked to be recalled: the function, and whether it was."""
    answers: list[tuple[str, bool]] = []
    recall = Memory.recall

    def noted(memory: Memory, context: object, key: object) -> bool:
        found = recall(memory, context, key)  # type: ignore[arg-type]  # as it was called
        answers.append((context.function.name, found))  # type: ignore[attr-defined]  # as above
        return found

    monkeypatch.setattr(Memory, "recall", noted)
    return answers


def without_memory(repo: Path) -> Evidence:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Memory, "recall", lambda *_: False)
        return replace(profile(repo), seconds=0)


@pytest.mark.parametrize("app", ["flask_shop", "django_press", "fastapi_rooms", "late", "chain"])
def test_the_evidence_is_that_of_evaluating_everything_again(app: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text({"late": LATE, "chain": CHAIN}.get(app, ""))
    repo = tmp_path if app in ("late", "chain") else APPS / app
    assert replace(profile(repo), seconds=0) == without_memory(repo)


def test_only_what_saw_something_else_is_evaluated_again(
    tmp_path: Path, recalled: list[tuple[str, bool]]
) -> None:
    (tmp_path / "app.py").write_text(LATE)
    (endpoint,) = profile(tmp_path).endpoints
    assert endpoint.reads == ("book", "page")
    again = recalled[recalled.index(("count", True)) :]
    assert dict(reversed(again))["pages"] is False


def test_a_chain_of_calls_too_long_stays_unknown_only_where_it_was_cut(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CHAIN)
    found = profile(tmp_path)
    functions = {f.qualname: f.effects for f in found.functions}
    assert {name for name, f in functions.items() if f.writes} >= {f"link{n}" for n in range(LINKS + 1)}
    unknown = {e.qualname: functions[e.qualname].unknown for e in found.endpoints}
    assert [text for text in unknown["far"] if "the chain of calls is too long" in text]
    assert not unknown["near"] and not functions[f"link{LINKS}"].unknown
    assert {e.qualname: e.writes for e in found.endpoints if e.writes} == {
        "far": ("page",),
        "near": ("page",),
    }
    assert all(c.against for c in found.candidates if c.qualname in ("far", "near", "link0"))
