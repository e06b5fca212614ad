"""A repository with one small application, its caches and its suite, for proofs of a second."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cache_strategy.model.contract import (
    Contract,
    ContractApplication,
    Dependency,
    Entry,
    Infrastructure,
    Invalidator,
)
from cache_strategy.model.evidence import KeyPart
from cache_strategy.model.verdict import EntryVerdict, Verdict
from cache_strategy.record import read_trace, run_recorded
from cache_strategy.verify import verify

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
PLAIN = (sys.executable, "-c", "import test_shop; test_shop.test_a_change_is_seen()")
"""The suite without pytest, where its words do not matter: three starts of it cost seconds."""
NOTHING = (sys.executable, "-c", "print('nothing')")

APPLICATION = """
import os

from flask import Flask, jsonify, request, session
from flask_sqlalchemy import SQLAlchemy

from caching.entries import cache, greeting_entry, product_entry
from caching.sqlalchemy_events import watch

db = SQLAlchemy()


class Named:
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String)


class Product(Named, db.Model):
    __tablename__ = "products"


class Category(Named, db.Model):
    __tablename__ = "categories"


@product_entry
def get_product(product_id):
    return {"name": db.session.get(Product, product_id).name, "category": db.session.get(Category, 1).name}


@greeting_entry
def greeting():
    return f"hello {session.get('user_id')}"


def rename(product_id, name):
    db.session.get(Product, product_id).name = name
    db.session.commit()


def rename_category(name):
    db.session.get(Category, 1).name = name
    db.session.commit()


def create_app():
    app = Flask(__name__)
    app.secret_key = "of the test"
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.path.abspath("shop.db")
    db.init_app(app)

    @app.get("/products/<int:product_id>")
    def product(product_id):
        return jsonify(get_product(product_id))

    @app.put("/products/<int:product_id>")
    def change(product_id):
        rename(product_id, request.json["name"])
        return "ok"

    @app.put("/category")
    def change_category():
        rename_category(request.json["name"])
        return "ok"

    @app.get("/greeting")
    def greet():
        return greeting()

    @app.post("/login/<int:user_id>")
    def login(user_id):
        session["user_id"] = user_id
        return "ok"

    with app.app_context():
        db.drop_all()
        db.create_all()
        db.session.add_all([Product(id=1, name="old"), Category(id=1, name="c")])
        db.session.commit()
    watch(cache, WATCHED)
    return app
"""

ENTRIES = """
import os

from .runtime import Cache

cache = Cache(os.environ.get("REDIS_URL"), "tiny")
product_entry = cache.entry("product", ttl_seconds=300, depends_on=("products:{product_id}",))
greeting_entry = cache.entry("greeting", ttl_seconds=300)
"""

READ = 'client.get("/products/1")'
RENAME = 'client.put("/products/1", json={"name": "new"})'


def suite(*lines: str) -> str:
    """A test suite of one test, which uses the application in these lines."""
    head = "import shop\n\n\ndef test_a_change_is_seen():\n"
    body = ("app = shop.create_app()", "client = app.test_client()", *lines)
    return head + "".join(f"    {line}\n" for line in body)


def seen(name: str) -> str:
    return f'assert {READ}.json["name"] == "{name}"'


WRITE_AND_READ = suite(seen("old"), seen("old"), RENAME, seen("new"), seen("new"))
UNCHECKED = suite(READ, READ, RENAME, READ, READ)


@dataclass
class Shop:
    """A repository with one application, and the Redis of the test."""

    folder: Path
    redis_url: str

    def test_suite(self, text: str) -> None:
        (self.folder / "test_shop.py").write_text(text)

    def watches(self, tables: str) -> None:
        source = APPLICATION.replace("WATCHED", tables)
        (self.folder / "shop.py").write_text(source)

    def verify(self, *entries: Entry, command: Sequence[str] = PLAIN, **options: object) -> Verdict:
        application = ContractApplication(
            framework="flask", package="shop", package_path=".", factory="shop:create_app", instance="",
            database="shop:db", session="db.session",
        )  # fmt: skip
        contract = Contract(application=application, infrastructure=Infrastructure(), entries=entries)
        doors = {"run_recorded": run_recorded, "read_trace": read_trace, "work": self.folder / "work"}
        return verify(contract, command, self.folder, **{"redis_url": self.redis_url, **doors, **options})

    def only_entry(self, verdict: Verdict) -> EntryVerdict:
        (found,) = verdict.entries
        return found


def entry(name: str = "product", tables: Sequence[str] = ("products",), **more: object) -> Entry:
    return Entry(
        id=name,
        target=f"shop.py:{'get_product' if name == 'product' else name}",
        kind="function",
        layers=("memory", "redis"),
        key=(KeyPart(name="product_id", source="argument"),),
        ttl_seconds=300,
        depends_on=tuple(Dependency(table=table) for table in tables),
        invalidated_by=(Invalidator(writer="shop.py:rename", tables=("products",), how="event"),),
        because=("read on every request",),
        **more,
    )
