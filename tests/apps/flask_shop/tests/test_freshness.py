"""Every read, twice; a write; every read again, twice. Exactly the reads that show what was written differ."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from shop import accounts, catalog, orders
from shop.extensions import db
from shop.models import Product, User
from sqlalchemy import delete, text, update

PATHS = {
    "profile of ada": "/api/users/{ada}",
    "profile of bob": "/api/users/{bob}",
    "products": "/api/products",
    "books": "/api/products?category=books",
    "games": "/api/products?category=games",
    "gifts": "/api/tags/gift/products",
    "novel": "/api/products/{novel}",
    "chess": "/api/products/{chess}",
    "page of novel": "/products/{novel}",
    "page of chess": "/products/{chess}",
    "home": "/",
    "category books": "/api/categories/{books}",
    "category games": "/api/categories/{games}",
}
FUNCTIONS = {
    "settings": catalog.get_settings,
    "navigation": catalog.navigation,
    "featured": catalog.featured_products,
    "popular": catalog.popular_categories,
    "best sellers": catalog.best_sellers,
    "daily sales": orders.daily_sales,
    "active users": accounts.recently_active_users,
}
NOVEL = {"novel", "page of novel", "products", "books", "gifts", "featured", "home"}
CHESS = {"chess", "page of chess", "products", "games"}
PAGES_OF_CARDS = {"page for ada", "page for bob"}
PAGES = {"home", "page of novel", "page of chess"} | PAGES_OF_CARDS


class Readers:
    """Two browsers that stay logged in, and everything there is to read."""

    def __init__(self, shop):
        self.shop = shop
        self.ada, self.bob = shop.client("ada"), shop.client("bob")

    def everything(self):
        read = {name: self.shop.get(path) for name, path in PATHS.items()}
        for name, client in (("ada", self.ada), ("bob", self.bob)):
            read[f"me, {name}"] = self.shop.get("/me", client)
            read[f"page for {name}"] = self.shop.get("/products/{cards}", client)
        with self.shop.app.app_context():
            read.update({name: function() for name, function in FUNCTIONS.items()})
            read["permissions of ada"] = accounts.get_permissions(self.shop.ids["ada"])
        return read

    def changed_by(self, write):
        before = self.everything()
        assert self.everything() == before
        write()
        after = self.everything()
        assert self.everything() == after
        return {name for name in before if before[name] != after[name]}


def change(product, **data):
    return lambda ids: catalog.update_product(ids[product], data)


def statement(make):
    """A write outside the shop's own functions, as in a shell or a one-off script."""

    def write(ids):
        db.session.execute(make(ids))
        db.session.commit()

    return write


WRITES = {
    "rename a product": (change("novel", name="Tome"), NOVEL),
    "reprice a product": (change("chess", price=1), CHESS),
    "move a product": (
        change("chess", category="books"),
        {"chess", "products", "books", "games", "category books", "category games", "popular", "home"},
    ),
    "tag a product": (change("chess", tags=["gift"]), CHESS | {"gifts"}),
    "untag a product": (change("novel", tags=[]), NOVEL - {"home"}),
    "feature a product": (
        change("chess", featured=True),
        (CHESS - {"page of chess"}) | {"featured", "home"},
    ),
    "add a product": (
        lambda ids: catalog.create_product({"name": "Go", "price": 30, "category": "games"}),
        {"products", "games", "category games"},
    ),
    "change all prices": (
        lambda ids: catalog.change_prices(10),
        NOVEL | CHESS | PAGES_OF_CARDS,
    ),
    "change the prices of a category": (
        lambda ids: catalog.change_prices(10, "games"),
        CHESS | PAGES_OF_CARDS | {"featured", "home"},
    ),
    "rename a category": (
        lambda ids: catalog.update_category(ids["books"], {"name": "Reading"}),
        {"category books", "popular", "navigation"} | PAGES,
    ),
    "make a category popular": (
        lambda ids: catalog.update_category(ids["games"], {"popular": True}),
        {"category games", "popular", "home"},
    ),
    "change a setting": (
        lambda ids: catalog.set_setting("title", "Mall"),
        {"settings", "home"},
    ),
    "add a setting": (
        lambda ids: catalog.set_setting("banner", "Sale"),
        {"settings"} | PAGES,
    ),
    "rename a user": (
        lambda ids: accounts.update_user(ids["ada"], {"name": "Countess"}),
        {"profile of ada", "me, ada", "page for ada"},
    ),
    "move a user": (lambda ids: accounts.update_user(ids["ada"], {"city": "Turin"}), {"profile of ada"}),
    "grant a permission": (
        lambda ids: accounts.grant(ids["ada"], "catalog"),
        {"permissions of ada", "me, ada"},
    ),
    "log in": (
        lambda ids: accounts.check_password("staff@example.org", "correct horse"),
        {"active users"},
    ),
    "order": (
        lambda ids: orders.place_order(ids["ada"], [{"product_id": ids["chess"], "quantity": 2}]),
        CHESS | {"profile of ada", "me, ada", "daily sales", "best sellers", "home"},
    ),
    "update with the ORM in bulk": (
        statement(lambda ids: update(User).values(city="Paris")),
        {"profile of ada", "profile of bob"},
    ),
    "update with SQL": (
        statement(lambda ids: text("UPDATE products SET name = name || '!' WHERE name = 'Chess'")),
        CHESS,
    ),
    "update with a common table expression": (
        statement(
            lambda ids: text(
                "WITH cheap AS (SELECT id FROM products WHERE price < 10)"
                " UPDATE products p SET stock = 1 FROM cheap WHERE p.id = cheap.id AND p.name = 'Novel'"
            )
        ),
        {"novel", "page of novel", "products", "books", "gifts", "featured"},
    ),
    "delete in bulk": (
        statement(lambda ids: delete(Product).where(Product.name == "Atlas")),
        {"products", "books", "gifts", "category books", "popular", "home"},
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_changes_what_shows_it_and_nothing_else(shop, name):
    write, expected = WRITES[name]
    readers = Readers(shop)

    def run():
        with shop.app.app_context():
            write(shop.ids)

    assert readers.changed_by(run) == expected


def test_deleting_a_sold_product_changes_what_shows_it_and_nothing_else(shop):
    readers = Readers(shop)
    with shop.app.app_context():
        orders.place_order(shop.ids["ada"], [{"product_id": shop.ids["atlas"], "quantity": 1}])

    def run():
        with shop.app.app_context():
            catalog.delete_product(shop.ids["atlas"])

    gone = {"products", "books", "gifts", "category books", "popular", "home", "best sellers", "me, ada"}
    assert readers.changed_by(run) == gone


def test_what_was_rolled_back_is_never_seen(shop):
    readers = Readers(shop)

    def run():
        with shop.app.app_context():
            db.session.get(Product, shop.ids["novel"]).name = "Draft"
            db.session.execute(update(User).values(city="Nowhere"))
            db.session.execute(text("DELETE FROM products WHERE name = 'Chess'"))
            db.session.rollback()

    assert readers.changed_by(run) == set()


def test_a_transaction_sees_its_own_writes_and_nobody_else_does_before_the_commit(shop):
    def elsewhere():
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(shop.get, "/api/products/{novel}").result()

    before = elsewhere()
    with shop.app.app_context():
        assert catalog.get_product(shop.ids["novel"])["name"] == "Novel"
        db.session.get(Product, shop.ids["novel"]).name = "Draft"
        db.session.flush()
        assert catalog.get_product(shop.ids["novel"])["name"] == "Draft"
        assert elsewhere() == before
        db.session.rollback()
        assert catalog.get_product(shop.ids["novel"])["name"] == "Novel"
        assert elsewhere() == before
        db.session.get(Product, shop.ids["novel"]).name = "Final"
        db.session.commit()
        assert catalog.get_product(shop.ids["novel"])["name"] == "Final"
    assert elsewhere()["name"] == shop.get("/api/products/{novel}")["name"] == "Final"


def test_a_write_inside_a_request_is_seen_later_in_the_same_request(shop):
    with shop.app.test_request_context():
        for stock in (7, 8, 9):
            catalog.update_product(shop.ids["chess"], {"stock": stock})
            assert catalog.get_product(shop.ids["chess"])["stock"] == stock
            assert catalog.list_products("games")[1]["stock"] == stock
