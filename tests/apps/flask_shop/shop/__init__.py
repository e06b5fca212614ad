"""The shop's application factory."""

import os
import secrets
from datetime import date, datetime

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from . import commands, events, stock, views
from .extensions import db


class ShopJSON(DefaultJSONProvider):
    sort_keys = False

    @staticmethod
    def default(value):
        if isinstance(value, (date, datetime)):
            return value.isoformat()
        return DefaultJSONProvider.default(value)


def create_app(config=None):
    app = Flask(__name__)
    app.json = ShopJSON(app)
    app.config.from_mapping(
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(),
        SQLALCHEMY_DATABASE_URI=database_url(os.environ.get("DATABASE_URL", "postgresql://localhost/shop")),
        SESSION_COOKIE_SAMESITE="Lax",
        PASSWORD_METHOD="scrypt",
    )
    app.config.from_mapping(config or {})
    db.init_app(app)
    app.register_blueprint(views.bp)
    app.cli.add_command(commands.init_db)
    app.cli.add_command(commands.demo_data)
    app.cli.add_command(commands.change_prices)
    app.cli.add_command(commands.restock)
    app.cli.add_command(commands.set_setting)
    events.order_placed.connect(stock.take_from_stock)
    return app


def database_url(url):
    """Hosting services hand out postgres:// and postgresql://; SQLAlchemy wants the driver named."""
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url
