"""Endpoints: methods, full paths, guards, hooks."""

from __future__ import annotations


def ids(evidence):
    return [endpoint.id for endpoint in evidence.endpoints]


def test_paths_have_their_prefixes_and_braces(profiled):
    evidence = profiled(
        {
            "site/__init__.py": """
from flask import Flask
from .api import api
from .pages import pages

def create_app():
    app = Flask(__name__)
    app.register_blueprint(api, url_prefix="/v2")
    app.register_blueprint(pages)

    @app.route("/health")
    def health():
        return "ok"

    return app
""",
            "site/api.py": """
from flask import Blueprint
from .users import users

api = Blueprint("api", __name__, url_prefix="/v1")
api.register_blueprint(users, url_prefix="/users")

@api.route("/", methods=("GET", "PUT"))
def root(): ...
""",
            "site/users.py": """
from flask import Blueprint
users = Blueprint("users", __name__)

@users.get("/<int:user_id>/files/<path:name>")
@users.delete('/<regex("[a-z]{2}"):code>')
def one(**parts): ...
""",
            "site/pages.py": """
from flask import Blueprint
pages = Blueprint("pages", __name__, url_prefix="/pages/")
pages.add_url_rule("/about", view_func=lambda: "about")

def contact(): ...
pages.add_url_rule("/contact", "contact", contact, methods=["POST"])
""",
        }
    )

    assert ids(evidence) == [
        "GET /health", "GET /pages/about", "POST /pages/contact", "GET /v2/", "PUT /v2/",
        "GET /v2/users/{user_id}/files/{name}", "DELETE /v2/users/{code}",
    ] or set(ids(evidence)) == {
        "GET /health", "GET /pages/about", "POST /pages/contact", "GET /v2/", "PUT /v2/",
        "DELETE /v2/users/{code}", "GET /v2/users/{user_id}/files/{name}",
    }  # fmt: skip
    (health,) = [e for e in evidence.endpoints if e.id == "GET /health"]
    assert (health.path, health.qualname, health.line) == ("site/__init__.py", "create_app.health", 12)


def test_view_classes_have_a_route_per_method(blog):
    evidence = blog(
        """
from flask.views import MethodView

class Tags(MethodView):
    def get(self):
        return jsonify([t.name for t in Tag.query])

    def post(self):
        db.session.add(Tag())
        db.session.commit()

bp.add_url_rule("/tags", view_func=Tags.as_view("tags"))
"""
    )

    assert {e.id: (e.reads, e.writes) for e in evidence.endpoints} == {
        "GET /tags": (("tags",), ()),
        "POST /tags": ((), ("tags",)),
    }


def test_resources_are_routes(blog):
    evidence = blog(
        """
from flask_restful import Api, Resource, fields, marshal_with

api = Api(bp, prefix="/api")
shown = {"title": fields.String, "by": fields.String(attribute="author.name")}

class Posts(Resource):
    @marshal_with(shown)
    def get(self, key):
        return Post.query.get(key)

api.add_resource(Posts, "/posts/<int:key>", "/p/<int:key>")
"""
    )

    assert ids(evidence) == ["GET /api/p/{key}", "GET /api/posts/{key}"]
    assert evidence.endpoints[0].reads == ("authors", "posts")


def test_namespaces_are_prefixes(profiled):
    evidence = profiled(
        {
            "app.py": """
from flask import Flask, Blueprint
from flask_restx import Api, Namespace, Resource

app = Flask(__name__)
v1 = Blueprint("v1", __name__, url_prefix="/v1")
api = Api(v1)
tags = Namespace("tags")
people = Namespace("people")

@tags.route("/<key>")
class Tag(Resource):
    def get(self, key): ...

@people.route("")
class People(Resource):
    def post(self): ...

api.add_namespace(tags)
api.add_namespace(people, path="/folk")
app.register_blueprint(v1)
"""
        }
    )

    assert ids(evidence) == ["POST /v1/folk", "GET /v1/tags/{key}"]


def test_what_runs_before_each_request_belongs_to_every_endpoint(blog):
    evidence = blog(
        """
@bp.before_app_request
def load_reader():
    key = session.get("author_id")
    g.author = Author.query.get(key) if key else None

@bp.get("/tags")
def tags():
    return jsonify([t.name for t in Tag.query])

@bp.get("/mine")
def mine():
    return jsonify([p.title for p in g.author.posts])
"""
    )

    assert evidence.endpoint("GET /tags").reads == ("authors", "tags")
    assert evidence.endpoint("GET /mine").reads == ("authors", "posts")
    shared, private = [
        next(c for c in evidence.candidates if c.qualname == name) for name in ("tags", "mine")
    ]
    assert not shared.per_user and "http" not in shared.layers
    assert private.per_user and [(k.source, k.expression) for k in private.key] == [
        ("user", 'session.get("author_id")')
    ]


def test_the_applications_own_guards_are_found_by_what_they_read(blog):
    evidence = blog(
        """
from functools import wraps

def members_only(view):
    @wraps(view)
    def inner(*args, **kwargs):
        if Author.query.get(session["author_id"]) is None:
            abort(401)
        return view(*args, **kwargs)
    return inner

def timed(view):
    @wraps(view)
    def inner(*args, **kwargs):
        return view(*args, **kwargs)
    return inner

@bp.get("/tags")
@timed
@members_only
def tags():
    return jsonify([t.name for t in Tag.query])

@bp.get("/open")
@timed
def everybody():
    return jsonify([t.name for t in Tag.query])
"""
    )

    guarded, open_to_all = evidence.endpoint("GET /tags"), evidence.endpoint("GET /open")
    assert guarded.guards == ("@members_only",)
    assert (guarded.reads, guarded.context) == (("authors", "tags"), ("session",))
    assert (open_to_all.guards, open_to_all.reads, open_to_all.context) == ((), ("tags",), ())
    layers = {c.qualname: c.layers for c in evidence.candidates}
    assert "http" in layers["everybody"] and "http" not in layers["tags"]


def test_a_route_registered_through_a_helper_is_found(blog):
    evidence = blog(
        """
def scoped(rule):
    return "/<org>" + rule if abort else rule

@bp.route(scoped("/tags"))
def tags(org=None): ...
"""
    )

    assert ids(evidence) == ["GET /tags", "GET /{org}/tags"]


def test_a_repository_without_an_application_has_no_endpoints(profiled):
    evidence = profiled({"sums.py": "def add(a, b):\n    return a + b\n"})

    assert (evidence.endpoints, evidence.frameworks, evidence.application) == ((), (), None)
