"""What writing out an answer reads: schemas, encoders, templates."""

from __future__ import annotations

SCHEMAS = """
from marshmallow import Schema, fields, post_dump

class AuthorSchema(Schema):
    name = fields.Str()
    secret = fields.Nested("PostSchema", many=True, attribute="posts", load_only=True)

class TitleSchema(Schema):
    title = fields.Str()

class PostSchema(TitleSchema):
    by = fields.Nested(AuthorSchema, attribute="author")
    tags = fields.List(fields.Nested(lambda: TagSchema()))
    comment_count = fields.Method("count_comments")

    def count_comments(self, post):
        return post.comments.count()

class TagSchema(Schema):
    name = fields.Function(lambda tag: tag.name.upper())

class OnlyTitle(PostSchema):
    class Meta:
        fields = ("title",)
    by = None
    tags = None
    comment_count = None
"""


def test_a_schema_decides_what_an_answer_reads(blog):
    evidence = blog(
        """
from flask_apispec import marshal_with, use_kwargs
from marshmallow import fields
from .schemas import AuthorSchema, PostSchema, TitleSchema

@bp.get("/posts")
@use_kwargs({"limit": fields.Int(), "offset": fields.Int()}, location="query")
@marshal_with(PostSchema(many=True))
def posts(limit=10, offset=0):
    return Post.query.limit(limit).offset(offset).all()

@bp.get("/titles")
@marshal_with(TitleSchema(many=True))
def titles():
    return Post.query

@bp.get("/authors")
def authors():
    return jsonify(AuthorSchema(many=True).dump(Author.query.all()))
""",
        {"blog/schemas.py": SCHEMAS},
    )

    assert set(evidence.endpoint("GET /posts").reads) == {
        "posts",
        "authors",
        "tags",
        "post_tags",
        "comments",
    }
    assert evidence.endpoint("GET /titles").reads == ("posts",)
    assert evidence.endpoint("GET /authors").reads == ("authors",)
    candidate = evidence.candidate("posts")
    assert [(k.name, k.source) for k in candidate.key] == [("limit", "query"), ("offset", "query")]


def test_schemas_that_hold_each_other_end(blog):
    evidence = blog(
        """
from flask_apispec import marshal_with
from marshmallow import Schema, fields

class AuthorSchema(Schema):
    posts = fields.Nested("PostSchema", many=True)

class PostSchema(Schema):
    author = fields.Nested(AuthorSchema)

@bp.get("/posts/<int:key>")
@marshal_with(PostSchema)
def post(key):
    return Post.query.get(key)
"""
    )

    assert evidence.endpoint("GET /posts/{key}").reads == ("authors", "posts")


def test_rows_given_to_an_unknown_encoder_read_whatever_hangs_on_them(blog):
    evidence = blog(
        """
@bp.get("/posts")
def posts():
    return jsonify(Post.query.all())
"""
    )

    assert set(evidence.endpoint("GET /posts").reads) == {
        "posts",
        "authors",
        "tags",
        "post_tags",
        "comments",
    }
    assert "how rows are written out" in evidence.function("posts").effects.unknown


BASE = """
<title>{% block title %}{% endblock %}</title>
{% if current_user.is_authenticated %}{{ current_user.name }}{% endif %}
{% block body %}{% endblock %}
{% include "parts/footer.html" %}
"""
PAGE = """
{% extends "base.html" %}
{% from "parts/macros.html" import card %}
{% block body %}
{% for post in posts %}{{ post.title }} by {{ post.author.name }}{% endfor %}
{% endblock %}
"""
FOOTER = "{{ request.args.get('ref') }} {% for t in menu %}{{ t.name }}{% endfor %}"


def test_a_template_reads_what_it_and_its_parents_touch(blog):
    evidence = blog(
        """
from flask_login import LoginManager
manager = LoginManager()

@manager.user_loader
def load(key):
    return Author.query.get(key)

@bp.app_context_processor
def frame():
    return {"menu": Tag.query.order_by(Tag.name)}

@bp.get("/")
def home():
    return render_template("home.html", posts=Post.query.all())

@bp.get("/plain")
def plain():
    return render_template("plain.html", posts=Post.query.all())
""",
        {
            "blog/templates/base.html": BASE,
            "blog/templates/home.html": PAGE,
            "blog/templates/plain.html": "{{ posts|length }}",
            "blog/templates/parts/footer.html": FOOTER,
            "blog/templates/parts/macros.html": "{% macro card(x) %}{{ x }}{% endmacro %}",
        },
    )

    home, plain = evidence.endpoint("GET /"), evidence.endpoint("GET /plain")
    assert set(home.reads) == {"posts", "authors", "tags"}
    assert home.context == ("query", "user")
    assert plain.context == ()
    candidate = evidence.candidate("home")
    assert candidate.per_user and {(k.name, k.source) for k in candidate.key} == {
        ("ref", "query"),
        ("user", "user"),
    }


def test_a_form_holds_a_token_of_the_session_and_is_not_cached(blog):
    evidence = blog(
        """
@bp.get("/new")
def new():
    return render_template("new.html", tags=Tag.query.all())
""",
        {"blog/templates/new.html": "<input value='{{ csrf_token() }}'>{% for t in tags %}{{ t.name }}{% endfor %}"},
    )  # fmt: skip

    (rejected,) = [r for r in evidence.rejected if r.qualname == "new"]
    assert "csrf_token" in rejected.reason


def test_a_template_that_is_missing_or_broken_is_unknown(blog):
    evidence = blog(
        """
def missing():
    return render_template("nowhere.html", posts=Post.query)

def broken():
    return render_template("broken.html", posts=Post.query.all())
""",
        {"blog/templates/broken.html": "{% if %}"},
    )

    assert evidence.function("missing").effects.unknown == ("template nowhere.html",)
    assert evidence.function("missing").effects.reads == ("posts",)
    assert evidence.function("broken").effects.unknown == ("template blog/templates/broken.html",)


def test_templates_that_include_each_other_end(blog):
    evidence = blog(
        "def work():\n    return render_template('a.html', tag=Tag.query.first())\n",
        {
            "blog/templates/a.html": "{% include 'b.html' %}",
            "blog/templates/b.html": "{% include 'a.html' %}{{ tag.posts.count() }}",
        },
    )

    assert set(evidence.function("work").effects.reads) == {"tags", "posts", "post_tags"}
