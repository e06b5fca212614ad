"""What is proposed, in which order, and what must not be cached."""

from __future__ import annotations

import pytest


def names(evidence):
    return [c.qualname for c in evidence.candidates]


def reason(evidence, qualname):
    return next(r.reason for r in evidence.rejected if r.qualname == qualname)


def test_helpers_are_ranked_among_the_endpoints_by_what_they_cost(blog):
    evidence = blog(
        """
def busiest_authors():
    query = db.session.query(Author.name, func.count(Post.id)).join(Post).group_by(Author.name)
    return [{"name": name, "posts": count} for name, count in query]

def tag_name(tag_id):
    return db.session.get(Tag, tag_id).name

@bp.get("/authors")
def authors():
    return jsonify(busiest_authors())

@bp.get("/tags/<int:tag_id>")
def tag(tag_id):
    return jsonify(tag_name(tag_id))
"""
    )

    assert names(evidence)[0] == "busiest_authors"
    assert {"busiest_authors", "tag_name", "authors", "tag"} == set(names(evidence))
    assert [c.rank for c in evidence.candidates] == [1, 2, 3, 4]
    best = evidence.candidates[0]
    assert best.endpoints == ("GET /authors",) and best.returns == "plain"
    assert any("aggregate" in sentence for sentence in best.because)
    assert [(k.name, k.source) for k in evidence.candidates[names(evidence).index("tag")].key] == [
        ("tag_id", "path")
    ]


@pytest.mark.parametrize(
    ("views", "qualname", "word"),
    [
        ("def work():\n    db.session.add(Tag())\n    return Tag.query.count()", "work", "writes tags"),
        ("def work():\n    return Post.query.all()", "work", "rows of posts"),
        ("def work():\n    return {'posts': Post.query.all()}", "work", "rows of posts"),
        ("def work():\n    return Post.query.filter_by(id=1)", "work", "read later"),
        ("def work():\n    return (p.title for p in Post.query)", "work", "read later"),
        ("import time\ndef work():\n    return Post.query.count(), time.time()", "work", "the time"),
        ("import random\ndef work():\n    return random.choice([p.id for p in Post.query])", "work", "chance"),
        ("def has_permission(name):\n    return Tag.query.filter_by(name=name).count()", "has_permission", "who may"),
        ("def work():\n    return Post.query.filter_by(author_id=session['me']).count()", "work", "make it a parameter"),
        ("def work():\n    return Tag.query.filter_by(name=request.json['name']).count()", "work", "body"),
        ("def work(post: Post):\n    return [t.name for t in post.tags]", "work", "a row of posts as post"),
        ("@bp.post('/x')\ndef work():\n    return jsonify(Tag.query.count())", "work", "POST"),
        ("@bp.get('/x')\ndef work():\n    db.session.delete(Tag.query.first())\n    return ''", "work", "writes"),
        ("@bp.get('/x')\ndef work():\n    return jsonify(dict(session), Tag.query.count())", "work", "session"),
        ("from flask import flash\n@bp.get('/x')\ndef work():\n    flash('x')\n    return str(Tag.query.count())", "work", "flash"),
    ],
)  # fmt: skip
def test_what_must_not_be_cached_is_rejected_with_its_reason(blog, views, qualname, word):
    evidence = blog(views)

    assert qualname not in names(evidence)
    assert word in reason(evidence, qualname)


def test_rows_are_rejected_with_the_endpoint_that_could_be_cached(blog):
    evidence = blog(
        """
def recent():
    return Post.query.limit(5).all()

@bp.get("/recent")
def shown():
    return jsonify([p.title for p in recent()])
"""
    )

    assert "GET /recent" in reason(evidence, "recent")
    assert "shown" in names(evidence)


def test_an_aggregate_in_sql_without_parameters_may_be_a_view(blog):
    evidence = blog(
        """
def totals():
    rows = db.session.execute(text("SELECT author_id, COUNT(*) AS n FROM posts GROUP BY author_id"))
    return [{"author": row.author_id, "n": row.n} for row in rows]

def totals_of(author):
    rows = db.session.execute(
        text("SELECT COUNT(*) AS n FROM posts WHERE author_id = :author"), {"author": author}
    )
    return [row.n for row in rows]
"""
    )

    queries = [c for c in evidence.candidates if c.kind == "query"]
    assert [(c.qualname, c.layers, c.reads, c.key) for c in queries] == [
        ("totals", ("matview",), ("posts",), ())
    ]
    assert queries[0].sql.startswith("SELECT author_id")


def test_nothing_that_depends_on_a_user_is_shared(blog):
    evidence = blog(
        """
from flask_jwt_extended import current_user, jwt_required

@bp.get("/public")
def public():
    return jsonify(Tag.query.count())

@bp.get("/guarded")
@jwt_required()
def guarded():
    return jsonify(Tag.query.count())

@bp.get("/personal")
def personal():
    return jsonify(Post.query.filter_by(author_id=current_user.id).count())
"""
    )

    shared = {c.qualname: ("http" in c.layers, c.per_user) for c in evidence.candidates}
    assert shared == {"public": (True, False), "guarded": (False, True), "personal": (False, True)}
    for candidate in evidence.candidates:
        if candidate.per_user:
            assert any(k.expression == "flask_jwt_extended.get_jwt_identity()" for k in candidate.key)


def test_work_for_another_system_ranks_high_without_tables(blog):
    evidence = blog(
        """
import requests

def exchange_rates():
    return requests.get("https://example.org/rates").json()

def tag_name(tag_id):
    return db.session.get(Tag, tag_id).name
"""
    )

    assert names(evidence) == ["exchange_rates", "tag_name"]
    assert evidence.candidates[0].reads == ()


def test_static_files_are_the_last_candidate(blog):
    evidence = blog("def tags():\n    return Tag.query.count()\n", {"blog/static/site.css": "p {}"})

    assert [(c.kind, c.path) for c in evidence.candidates][-1] == ("static", "blog/static")
