from decimal import Decimal

import click
from flask.cli import with_appcontext

from . import catalog, demo, stock
from .extensions import db


@click.command("init-db")
@with_appcontext
def init_db():
    """Create the tables."""
    db.create_all()


@click.command("demo")
@with_appcontext
def demo_data():
    """Add demonstration data."""
    demo.fill()


@click.command("change-prices")
@click.option("--percent", type=Decimal, required=True, help="Negative for a sale.")
@click.option("--category", help="Only products of the category with this slug.")
@with_appcontext
def change_prices(percent, category):
    """Change many prices at once."""
    click.echo(f"{catalog.change_prices(percent, category)} prices changed")


@click.command("restock")
@click.option("--level", type=click.IntRange(min=1), default=10)
@with_appcontext
def restock(level):
    """Fill up what runs low."""
    click.echo(f"{stock.restock(level)} products restocked")


@click.command("set")
@click.argument("name")
@click.argument("value")
@with_appcontext
def set_setting(name, value):
    """Change a setting of the shop, for example its title or banner."""
    catalog.set_setting(name, value)
