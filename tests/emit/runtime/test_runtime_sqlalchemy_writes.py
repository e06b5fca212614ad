"""Which writes of SQLAlchemy invalidate what: every way to write a table, and nothing else."""

from decimal import Decimal

import pytest
from runtime_scene import WATCHED, Category, Product, Review, Tag, Unwatched, product_tags
from sqlalchemy import MetaData, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cache_strategy.emit.targets.runtime.files import sqlalchemy_events

products = Product.__table__


def row(table, *numbers):
    return {table, *(f"{table}:{number}" for number in numbers)}


def every(*tables):
    return {name for table in tables for name in (table, f"{table}:*")}


def tag(product, *tags):
    product.tags = list(tags)


def set_on(kind, key, **values):
    def change(session):
        for name, value in values.items():
            setattr(session.get(kind, key), name, value)

    return change


# What is done in a session, and the tags that its commit must bump, no more and no fewer. Text is executed as SQL.
WRITES = [
    # the unit of work
    (set_on(Product, 1, name="mallet"), row("products", 1)),
    (set_on(Review, 1, id=77), every("reviews")),
    (set_on(Product, 1, price=Decimal(10)), set()),  # as it is already
    (
        lambda s: [setattr(p, "name", "x") for p in s.scalars(select(Product).where(Product.id < 3))],
        row("products", 1, 2),
    ),
    (lambda s: s.add(Product(name="axe", category_id=1)), row("products", 4)),
    (lambda s: s.add(Product(id=9, name="axe")), row("products", 9)),
    (lambda s: s.add_all([Product(name=str(n)) for n in range(5)]), row("products", 4, 5, 6, 7, 8)),
    (
        lambda s: s.add_all([Product(name=str(n)) for n in range(150)]),
        every("products"),
    ),  # more than are counted
    (lambda s: s.delete(s.get(Product, 3)), row("products", 3) | every("reviews", "product_tags")),
    (lambda s: s.add(Unwatched(what="login")), set()),
    (lambda s: tag(s.get(Product, 2), s.get(Tag, 1)), every("product_tags")),
    (lambda s: tag(s.get(Product, 1)), every("product_tags")),
    (lambda s: s.merge(Product(id=2, name="merged")), row("products", 2)),
    # bulk
    (lambda s: s.query(Product).filter_by(id=2).update({"name": "x"}), row("products", 2)),
    (lambda s: s.query(Product).filter(Product.price > 5).update({"name": "x"}), every("products")),
    (lambda s: s.query(Review).delete(), every("reviews")),
    (lambda s: s.bulk_save_objects([Tag(id=41, name="a")]), row("tags", 41)),
    (lambda s: s.bulk_insert_mappings(Tag, [{"id": 31, "name": "a"}]), row("tags", 31)),
    (lambda s: s.bulk_update_mappings(Tag, [{"id": 1, "name": "b"}]), row("tags", 1)),
    ((insert(Tag), [{"id": 21, "name": "a"}, {"id": 22, "name": "b"}]), row("tags", 21, 22)),
    (update(Product).where(Product.id == 2, Product.price > 5).values(name="x"), row("products", 2)),
    (update(Product).where((Product.id == 2) | (Product.id == 3)).values(name="x"), every("products")),
    (update(Product).where(Product.id == func.abs(-2)).values(name="x"), every("products")),
    (update(Review).where(Review.id == 2).values(id=50), every("reviews")),
    (delete(Review).where(Review.id == 2), row("reviews", 2)),
    (
        delete(Category).where(Category.id == 1),  # and the database its children
        row("categories", 1) | every("products", "product_tags", "reviews"),
    ),
    (select(delete(Review).where(Review.id == 1).returning(Review.id).cte("gone").c.id), every("reviews")),
    # Core
    (products.insert().values(name="x", price=1), row("products", 4)),
    (products.insert().values(id=60, name="x", price=1), row("products", 60)),
    (
        (products.insert(), [{"id": n, "name": "x", "price": 1} for n in (61, 62)]),
        row("products", 61, 62),
    ),
    (
        products.insert().from_select(["name", "price"], select(products.c.name, products.c.price)),
        every("products"),
    ),
    (
        (
            products.update().where(products.c.id == bindparam("which")).values(name=bindparam("to")),
            [{"which": 1, "to": "a"}, {"which": 3, "to": "b"}],
        ),
        row("products", 1, 3),
    ),
    (
        postgresql.insert(products)
        .values(id=1, name="x", price=1)
        .on_conflict_do_update(index_elements=["id"], set_={"name": "y"}),
        every("products"),
    ),
    ((product_tags.insert(), [{"product_id": 2, "tag_id": 1}]), every("product_tags")),
    # SQL
    ((text("UPDATE products SET name = 'x' WHERE id = :id"), {"id": 1}), every("products")),
    (lambda s: s.connection().exec_driver_sql("UPDATE products SET name = 'x'"), every("products")),
    ("/* nightly */ update\n public.products set name = 'x' -- all\n", every("products")),
    ('DELETE FROM "tags" WHERE 1=0', every("tags", "product_tags")),
    ("DELETE FROM categories", every("categories", "products", "product_tags", "reviews")),
    ("INSERT INTO tags (name) SELECT name FROM products", every("tags", "products")),
    ("WITH gone AS (DELETE FROM reviews RETURNING 1) SELECT * FROM gone", every("reviews")),
    ("TRUNCATE categories CASCADE", every("categories", "products", "product_tags", "reviews")),
    ("DO $$ BEGIN UPDATE reviews SET stars = 2; END $$", every("reviews")),
    (lambda s: s.connection().exec_driver_sql("SELECT 1; UPDATE reviews SET stars = 1"), every("reviews")),
    # reads
    (select(Product), set()),
    (select(Product).with_for_update(), set()),
    ("SELECT * FROM products", set()),
    ("SELECT * FROM products FOR NO KEY UPDATE", set()),
    ("SELECT 'delete from products', name AS \"update\" FROM products", set()),
    ("WITH p AS (SELECT * FROM products) SELECT * FROM p", set()),
    ("SET LOCAL statement_timeout = 1000", set()),
    (
        "CREATE TEMPORARY TABLE old_products_2 (id int) ON COMMIT DROP",
        set(),
    ),  # its name contains that of another
]


def perform(session, write):
    if isinstance(write, str):
        session.execute(text(write))
    elif callable(write):
        write(session)
    else:
        session.execute(*(write if isinstance(write, tuple) else (write,)))


@pytest.mark.parametrize(("write", "expected"), WRITES)
def test_a_write_invalidates_what_it_changed_after_the_commit(watched, events, engine, write, expected):
    with Session(engine) as session:
        perform(session, write)
        session.flush()
        assert events == []
        session.commit()
    assert {tag for event in events for tag in event["tags"]} == expected


def test_no_write_that_is_rolled_back_invalidates_anything(watched, events, engine):
    for number, (write, _) in enumerate(WRITES):
        with Session(engine) as session:
            perform(session, write)
            session.flush()
            session.rollback()
            session.commit()
        assert events == [], number


def test_every_read_after_a_write_is_fresh(watched, engine):
    """All writes above in one life: a cached count of everything always equals the table's own."""
    entry = watched.entry("all", ttl_seconds=600, depends_on=tuple(WATCHED))
    everything = text(
        "SELECT (SELECT coalesce(string_agg(p::text, ',' ORDER BY id), '') FROM products p)"
        " || (SELECT coalesce(string_agg(r::text, ',' ORDER BY id), '') FROM reviews r)"
        " || (SELECT coalesce(string_agg(t::text, ',' ORDER BY id), '') FROM tags t)"
        " || (SELECT count(*) FROM product_tags) || (SELECT count(*) FROM categories)"
    )

    def read():
        with engine.connect() as connection:
            return connection.execute(everything).scalar()

    for number, (write, _) in enumerate(WRITES):
        with Session(engine) as session:
            try:
                perform(session, write)
                session.commit()
            except (SQLAlchemyError, AttributeError):
                session.rollback()  # the rows it wants are gone, or there already
        assert entry.get_or_compute({}, read) == read(), number
    assert entry.counts["stores"] > 30
    assert entry.counts["hits"] > 5


@pytest.mark.parametrize("is_known", [False, True])
def test_text_that_deletes_where_no_foreign_key_is_known_invalidates_everything(
    cache, tags, engine, watch, is_known
):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS ledger (id int)"))
    reflected = MetaData()
    if is_known:
        reflected.reflect(engine)
    watch(cache, {"ledger": None, "reviews": "id"}, metadata=[reflected])
    with Session(engine) as session:
        session.execute(text("DELETE FROM ledger"))
        session.commit()
    assert set().union(*tags()) == every("ledger", *([] if is_known else ["reviews"]))


def test_a_write_that_cannot_be_understood_happens_and_invalidates_everything(watched, tags, engine):
    class Riddle(Product.__table__.update().__class__):
        inherit_cache = False

        @property
        def whereclause(self):
            raise LookupError("not understood")

    with Session(engine) as session:
        with pytest.warns(RuntimeWarning, match="not understood"):
            session.connection().execute(Riddle(products).values(name="x"))
        session.commit()
        assert session.get(Product, 1).name == "x"
    assert set().union(*tags()) == every(*WATCHED)


def test_a_listener_that_fails_stops_no_commit_and_invalidates_everything(cache, tags, engine, watch):
    class Broken(sqlalchemy_events.Watcher):
        def _session_committed(self, session):
            raise LookupError("a defect")

    watch(cache, {"products": "id", "reviews": "id"}, kind=Broken)
    with Session(engine) as session, pytest.warns(RuntimeWarning, match="a defect"):
        session.get(Product, 1).name = "x"
        session.commit()
        assert session.get(Product, 1).name == "x"
    assert set().union(*tags()) >= every("products", "reviews")


def test_a_cache_that_is_off_watches_nothing(make_cache, engine):
    cache = make_cache(url=None)
    sqlalchemy_events.watch(cache, {"products": "id"})
    with Session(engine) as session:
        session.get(Product, 1).name = "x"
        session.commit()
    assert cache.snapshot_began() is None
