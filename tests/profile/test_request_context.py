"""What an answer depends on besides its arguments."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("body", "kind", "name"),
    [
        ("request.args.get('page', 1)", "query", "page"),
        ("request.args['page']", "query", "page"),
        ("dict(request.args)", "query", ""),
        ("request.headers['X-Plan']", "header", "X-Plan"),
        ("request.headers.get('Accept-Language')", "header", "Accept-Language"),
        ("request.cookies.get('theme')", "cookie", "theme"),
        ("request.get_json()['x']", "body", ""),
        ("request.form['name']", "body", "name"),
        ("session['cart']", "session", "cart"),
        ("session.get('cart')", "session", "cart"),
        ("__import__('datetime')", None, None),
        ("datetime.utcnow()", "time", ""),
        ("random.choice([1, 2])", "random", ""),
        ("uuid4().hex", "random", ""),
        ("os.environ['HOME']", "environment", "HOME"),
        ("os.getenv('HOME')", "environment", "HOME"),
        ("open('x.txt').read()", "files", ""),
        ("current_app.config['LIMIT']", "settings", "LIMIT"),
        ("get_locale()", "locale", ""),
        ("current_user.name", "user", ""),
        ("get_jwt_identity()", "user", ""),
    ],
)
def test_context_is_found_where_it_is_read(blog, body, kind, name):
    evidence = blog(
        f"""
import os, random
from datetime import datetime
from uuid import uuid4
from flask import current_app
from flask_babel import get_locale
from flask_jwt_extended import get_jwt_identity
from flask_login import current_user

def work():
    return {body}
"""
    )
    if kind is None:
        assert not any(f.effects.context for f in evidence.functions)
        return

    (read,) = evidence.function("work").effects.context
    assert (read.kind, read.name) == (kind, name)
    assert (read.path, read.line > 0) == ("blog/views.py", True)


def test_context_of_a_callee_is_context_of_its_callers(blog):
    evidence = blog(
        """
def page_number():
    return int(request.args.get("page", 1))

def titles():
    return [p.title for p in Post.query.limit(page_number())]
"""
    )

    (read,) = evidence.function("titles").effects.context
    assert (read.kind, read.name, read.expression) == ("query", "page", 'request.args.get("page", 1)')


def test_a_parameter_of_the_name_of_a_context_is_no_context(blog):
    evidence = blog("def work(session, request):\n    session['a'] = 1\n    return Post.query.count()\n")

    assert evidence.function("work").effects.context == ()


def test_the_user_of_flask_login_is_a_row_of_its_loader(blog):
    evidence = blog(
        """
from flask_login import LoginManager, current_user, login_required
manager = LoginManager()

@manager.user_loader
def load(key):
    return db.session.get(Author, int(key))

@bp.get("/mine")
@login_required
def mine():
    return jsonify([post.title for post in current_user.posts])
"""
    )

    mine = evidence.endpoint("GET /mine")
    assert (mine.reads, mine.context, mine.guards) == (("authors", "posts"), ("user",), ("@login_required",))
    candidate = evidence.candidate("mine")
    assert candidate.per_user
    assert [(k.source, k.expression) for k in candidate.key] == [
        ("user", "flask_login.current_user.get_id()")
    ]


def test_what_the_application_keeps_in_a_proxy_is_followed(blog):
    evidence = blog(
        """
from werkzeug.local import LocalProxy

def find_author():
    return Author.query.get(session["author_id"])

reader = LocalProxy(find_author)

def titles():
    return [post.title for post in reader.posts]
"""
    )

    effects = evidence.function("titles").effects
    assert effects.reads == ("authors", "posts")
    assert [(c.kind, c.name) for c in effects.context] == [("session", "author_id")]


@pytest.mark.parametrize(
    ("body", "outside", "side_effect"),
    [
        ("requests.get('https://example.org').json()", "requests.get", None),
        ("requests.post('https://example.org')", "requests.post", "requests.post"),
        ("httpx.Client().get('https://example.org')", "httpx.Client().get", None),
        ("mail.send(None)", None, "flask_mail.Mail().send"),
        ("flash('hello')", None, "flask.flash"),
        ("session.clear()", None, "session write"),
        ("notify.delay(1)", None, "task notify"),
        ("os.remove('x')", None, "os.remove"),
        ("open('x', 'w').write('y')", None, "builtins.open"),
    ],
)
def test_calls_that_leave_the_process_are_told_from_those_that_change_something(
    blog, body, outside, side_effect
):
    evidence = blog(
        f"""
import httpx, os, requests
from celery import Celery
from flask import flash
from flask_mail import Mail

mail = Mail()
celery = Celery()

@celery.task
def notify(key):
    Tag.query.delete()

def work():
    return {body}
"""
    )

    effects = evidence.function("work").effects
    assert effects.outside == ((outside,) if outside else ())
    assert effects.side_effects == ((side_effect,) if side_effect else ())
    assert effects.writes == ()


def test_a_call_that_cannot_be_followed_is_named(blog):
    evidence = blog(
        "import somewhere\n\ndef work(thing):\n    thing.launch()\n    return somewhere.fetch_all_of_it(1)\n"
    )

    assert evidence.function("work").effects.unknown == ("somewhere.fetch_all_of_it", "thing.launch")


def test_an_unknown_call_keeps_an_answer_out_of_shared_layers(blog):
    evidence = blog(
        """
import somewhere

@bp.get("/tags")
def tags():
    return jsonify([somewhere.shown(t.name) for t in Tag.query])
"""
    )

    candidate = evidence.candidate("tags")
    assert candidate.layers == ("redis",)


def test_what_a_middleware_keeps_for_the_request_is_context(blog):
    evidence = blog(
        """
from contextvars import ContextVar
from threading import local
tenant = ContextVar("tenant")
state = local()

def by_variable():
    return Post.query.filter_by(author_id=tenant.get()).count()

def by_thread():
    return Post.query.filter_by(author_id=state.author).count()
"""
    )

    for name in ("by_variable", "by_thread"):
        assert [c.kind for c in evidence.function(name).effects.context] == ["session"]
        assert name in [r.qualname for r in evidence.rejected]


def test_a_helper_that_looks_at_the_requests_path_is_not_cached_and_an_endpoint_is(blog):
    evidence = blog(
        """
def trail():
    return [t.name for t in Tag.query.filter_by(name=request.path)]

@bp.get("/trail/<part>")
def shown(part):
    return jsonify(trail())
"""
    )

    assert evidence.endpoint("GET /trail/{part}").context == ()
    assert [c.qualname for c in evidence.candidates] == ["shown"]
    assert "path of the request" in next(r.reason for r in evidence.rejected if r.qualname == "trail")


def test_a_guard_of_a_library_that_is_not_known_is_a_guard_by_its_name(blog):
    evidence = blog(
        """
from gatekeeper import requires_login
from speed import timed

@bp.get("/tags")
@requires_login
def tags():
    return jsonify(Tag.query.count())

@bp.get("/open")
@timed
def everybody():
    return jsonify(Tag.query.count())
"""
    )

    assert evidence.endpoint("GET /tags").guards == ("@requires_login",)
    assert evidence.endpoint("GET /open").guards == ()
    assert [c.qualname for c in evidence.candidates] == ["everybody"]
