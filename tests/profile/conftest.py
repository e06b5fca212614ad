"""A small blog that tests add their views to, and the door to the profiler."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cache_strategy.model.evidence import Candidate, Endpoint, Evidence, Function
from cache_strategy.profile import profile

MODELS = """
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()

post_tags = db.Table(
    "post_tags",
    db.Column("post_id", db.ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True),
    db.Column("tag_id", db.ForeignKey("tags.id"), primary_key=True),
)


class Author(db.Model):
    __tablename__ = "authors"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80))


class Post(db.Model):
    __tablename__ = "posts"
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(80))
    author_id = db.Column(db.ForeignKey("authors.id"))
    author = db.relationship("Author", backref="posts")
    tags = db.relationship("Tag", secondary=post_tags, backref=db.backref("posts", lazy="dynamic"))
    comments = db.relationship("Comment", backref="post", lazy="dynamic", cascade="all, delete-orphan")

    @property
    def byline(self):
        return "by " + self.author.name


class Tag(db.Model):
    __tablename__ = "tags"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80))


class Comment(db.Model):
    __tablename__ = "comments"
    id = db.Column(db.Integer, primary_key=True)
    post_id = db.Column(db.ForeignKey("posts.id"))
    text = db.Column(db.Text)
"""

APPLICATION = """
from flask import Flask

from .models import db
from .views import bp


def create_app():
    app = Flask(__name__)
    db.init_app(app)
    app.register_blueprint(bp)
    return app
"""

VIEWS = """
from flask import Blueprint, abort, g, jsonify, redirect, render_template, request, session
from sqlalchemy import delete, func, insert, select, text, update

from .models import Author, Comment, Post, Tag, db, post_tags

bp = Blueprint("blog", __name__)
"""


class Seen:
    """An evidence, and what it holds by name."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def __getattr__(self, name: str) -> Any:
        return getattr(self.evidence, name)

    def endpoint(self, name: str) -> Endpoint:
        return next(e for e in self.evidence.endpoints if e.id == name)

    def function(self, name: str) -> Function:
        return next(f for f in self.evidence.functions if f.qualname == name)

    def candidate(self, name: str) -> Candidate:
        (found,) = [c for c in self.evidence.candidates if c.qualname == name]
        return found


@pytest.fixture
def profiled(tmp_path: Path) -> Callable[[Mapping[str, str]], Seen]:
    """What is seen of a repository made of these files."""

    def run(files: Mapping[str, str]) -> Seen:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(content), encoding="utf-8")
        seen = Seen(profile(tmp_path, jobs=1))
        assert not [u for u in seen.unread if "could not be followed" in u.reason]
        return seen

    return run


@pytest.fixture
def blog(profiled: Callable[[Mapping[str, str]], Seen]) -> Callable[..., Seen]:
    """What is seen of the blog with these views; further files by name."""

    def run(views: str = "", files: Mapping[str, str] | None = None) -> Seen:
        views = VIEWS + textwrap.dedent(views)
        blog = {"blog/__init__.py": APPLICATION, "blog/models.py": MODELS, "blog/views.py": views}
        return profiled(blog | (files or {}))

    return run
