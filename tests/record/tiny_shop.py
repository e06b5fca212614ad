"""A small Flask application with SQLAlchemy on a SQLite file."""

from pathlib import Path

APPLICATION = """
import os

from flask import Flask, jsonify, request, session
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Product(db.Model):
    __tablename__ = "products"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String)


class Catalog:
    def rename(self, product_id, name):
        db.session.get(Product, product_id).name = name
        db.session.commit()


def create_app():
    app = Flask(__name__)
    app.secret_key = "of the test"
    here = os.path.dirname(os.path.abspath(__file__))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.path.join(here, "shop.db")
    db.init_app(app)

    @app.get("/api/products/<int:product_id>")
    def product(product_id):
        return jsonify(id=product_id, name=db.session.get(Product, product_id).name)

    @app.put("/api/products/<int:product_id>")
    def change(product_id):
        Catalog().rename(product_id, request.json["name"])
        return jsonify(ok=True)

    @app.get("/hello/<name>")
    def hello(name):
        return f"hello {name}, user {session.get('user_id')}"

    @app.get("/failing")
    def failing():
        raise RuntimeError("on purpose")

    @app.post("/login/<int:user_id>")
    def login(user_id):
        session["user_id"] = user_id
        return "ok"

    return app


def fill(app):
    with app.app_context():
        db.drop_all()
        db.create_all()
        db.session.add_all([Product(id=n, name=f"product {n}") for n in (1, 2, 3)])
        db.session.commit()
"""


def write_application(folder: Path, script: str = "", name: str = "script.py") -> Path:
    """`shop.py` and a script beside it; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.py").write_text(APPLICATION, encoding="utf-8")
    (folder / name).write_text(script, encoding="utf-8")
    return folder
