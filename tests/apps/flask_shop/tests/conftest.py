import os
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from shop import create_app, database_url
from shop.extensions import db
from shop.models import Category, Permission, Product, Setting, Tag, User
from sqlalchemy.engine import make_url
from werkzeug.security import generate_password_hash

PASSWORD = "correct horse"
PASSWORD_METHOD = "pbkdf2:sha256:1"


@pytest.fixture(scope="session")
def app():
    url = os.environ.get("DATABASE_URL", "")
    if not url or "test" not in (make_url(database_url(url)).database or ""):
        pytest.exit("DATABASE_URL must name a database with test in its name: the tests empty it.", 2)
    app = create_app({"TESTING": True, "SECRET_KEY": "test", "PASSWORD_METHOD": PASSWORD_METHOD})
    with app.app_context():
        db.create_all()
    return app


@dataclass
class Shop:
    """Two categories, four products, a member of staff and two customers."""

    app: Flask
    ids: dict[str, int]

    def client(self, name: str | None = None) -> FlaskClient:
        """A new browser, logged in as this user."""
        client = self.app.test_client()
        if name is not None:
            data = {"email": f"{name}@example.org", "password": PASSWORD}
            assert client.post("/login", json=data).status_code == 200
        return client

    def get(self, path: str, client: FlaskClient | None = None):
        """The answer to GET: JSON or text; names in braces become ids."""
        response = (client or self.client()).get(path.format(**self.ids))
        assert response.status_code == 200, response.text
        return response.json if response.is_json else response.text

    def run(self, *arguments: str) -> str:
        """The output of a flask command."""
        result = self.app.test_cli_runner().invoke(args=list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def shop(app):
    with app.app_context():
        for table in reversed(db.metadata.sorted_tables):
            db.session.execute(table.delete())
        books = Category(slug="books", name="Books", popular=True)
        games = Category(slug="games", name="Games")
        gift, new = Tag(name="gift"), Tag(name="new")
        products = [
            Product(
                name="Novel", price=Decimal("9.50"), stock=10, category=books, featured=True, tags=[gift]
            ),
            Product(name="Atlas", price=Decimal("40.00"), stock=3, category=books, tags=[gift, new]),
            Product(name="Chess", price=Decimal("25.00"), stock=5, category=games),
            Product(name="Cards", price=Decimal("4.99"), stock=0, category=games, featured=True),
        ]
        password = generate_password_hash(PASSWORD, method=PASSWORD_METHOD)
        joined = datetime(2024, 2, 29, 12, tzinfo=UTC)
        users = [
            User(email=f"{name.lower()}@example.org", name=name, password_hash=password, created_at=joined)
            for name in ("Staff", "Ada", "Bob")
        ]
        users[0].permissions = [Permission(name="catalog"), Permission(name="reports")]
        rows = [books, games, *products, *users]
        db.session.add_all([*rows, Setting(name="title", value="Corner Shop")])
        db.session.commit()
        return Shop(app, {row.name.lower(): row.id for row in rows})


@pytest.fixture
def visitor(shop):
    return shop.client()


@pytest.fixture
def staff(shop):
    return shop.client("staff")


@pytest.fixture
def ada(shop):
    return shop.client("ada")


@pytest.fixture
def bob(shop):
    return shop.client("bob")
