"""Materialized views behind the emitted cache: read while they are right, refreshed when they are not."""

import contextlib
import threading

import pytest
from runtime_scene import WATCHED, Product, eventually
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from cache_strategy.emit.targets.runtime.files.sql_views import View

BODY = """
    SELECT category_id::int AS category, COUNT(*) AS products, SUM(price) AS total,
           to_char(now(), 'HH24:MI') <> '' AS "odd: name"
    FROM products GROUP BY category_id;
"""
# Once the query has its snapshot, it waits until nobody holds advisory lock 42.
GATED = """
    SELECT category_id::int AS category, COUNT(*) AS products
    FROM products, (SELECT pg_advisory_xact_lock_shared(42)) AS gate GROUP BY category_id
"""


@pytest.fixture
def make_view(engine):
    """`make_view(cache, create=True, **options)`"""

    def make(cache, create=True, **options):
        defaults = {"unique_key": ("category",), "depends_on": ("products",), "order_by": "category"}
        view = View(cache, "category-totals", **{"body_sql": BODY, **defaults, **options})
        if create:
            with engine.begin() as connection:
                view.create(connection)
        return view

    yield make
    with engine.begin() as connection:
        connection.execute(text("DROP MATERIALIZED VIEW IF EXISTS category_totals_mv"))


@pytest.fixture
def view(watched, make_view):
    return make_view(watched)


@pytest.fixture
def read(engine):
    """`read(view)`: the rows, and whether they came from the view."""

    def query(view):
        with Session(engine) as session:
            sql = view.query(session)
            return [tuple(row)[:2] for row in session.execute(text(sql))], sql == view.view_sql

    return query


@pytest.fixture
def add_product(engine):
    def add():
        with Session(engine) as session:
            session.add(Product(name="new", category_id=2))
            session.commit()

    return add


OLD, NEW = [(1, 3)], [(1, 3), (2, 1)]
counted = ("misses", "hits", "computations")


def test_the_view_gives_what_the_query_gives(view, engine, add_product):
    add_product()
    with Session(engine) as session:
        query = view.query(session)
        assert "category_totals_mv" in query
        rows = [session.execute(text(sql)).all() for sql in (query, view.original_sql)]
        assert rows[0] == rows[1]


def test_the_first_query_refreshes_later_ones_only_read_until_a_write(view, engine, read, add_product):
    assert [read(view) for _ in range(3)] == [(OLD, True)] * 3
    assert [view.entry.counts[name] for name in counted] == [1, 2, 1]
    with Session(engine) as session:
        session.add(Product(name="new", category_id=2))
        session.flush()
        assert view.query(session) == view.original_sql  # its own uncommitted write
        session.rollback()
    assert read(view) == (OLD, True)
    add_product()
    assert read(view) == (NEW, True)
    assert view.entry.counts["computations"] == 2


def test_a_snapshot_from_before_the_refresh_or_of_someones_transaction_reads_the_tables(
    view, engine, add_product
):
    with Session(engine.execution_options(isolation_level="REPEATABLE READ")) as session:
        session.execute(text("SELECT 1 FROM tags"))
        add_product()
        view.refresh(engine)
        assert view.query(session) == view.original_sql
    with engine.connect() as connection, Session(connection) as session:
        assert view.query(session) == view.original_sql


@contextlib.contextmanager
def refresh_under_way(view, engine):
    """A refresh that has read the tables and goes on when the block ends."""
    refreshing = threading.Thread(target=view.refresh, args=(engine,))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(42)"))
        try:
            refreshing.start()
            waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            eventually(lambda: connection.execute(waiting).scalar())
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(42)"))
            refreshing.join()


def test_a_write_during_a_refresh_makes_the_view_old_at_once(watched, make_view, engine, read, add_product):
    view = make_view(watched, body_sql=GATED)
    with refresh_under_way(view, engine):
        add_product()
    with Session(engine) as session:
        assert [tuple(row) for row in session.execute(text(view.view_sql))] == OLD
    assert read(view) == (NEW, True)


def test_one_process_refreshes_and_the_others_read_the_tables(watched, make_cache, make_view, engine, read):
    view, other = (make_view(cache, body_sql=GATED) for cache in (watched, make_cache()))
    with refresh_under_way(view, engine), Session(engine) as session:
        assert other.refresh(engine) is False
        assert other.query(session) == other.original_sql
    assert read(other)[1] is True


def test_within_its_bound_an_old_view_is_read(make_cache, make_view, engine, watch, clock, read, add_product):
    cache = make_cache(clock=clock)
    watch(cache, WATCHED)
    view = make_view(cache, staleness_bound_seconds=60)
    view.refresh(engine)
    clock.pass_seconds(50)
    add_product()
    assert read(view) == (OLD, True)
    clock.pass_seconds(15)
    assert read(view) == (NEW, True)
    assert view.entry.counts["stale_served"] == 1


def test_without_a_view_the_query_itself_runs(watched, make_view, engine, read):
    view = make_view(watched, create=False, unique_key=())
    assert read(view) == (OLD, False)
    with engine.begin() as connection:
        view.create(connection), view.create(connection)
    assert read(view) == (OLD, True)
    with engine.begin() as connection:
        connection.execute(text("DROP MATERIALIZED VIEW category_totals_mv"))
    assert read(view) == (OLD, False)


def test_with_caches_off_or_redis_gone_or_another_database_the_query_itself_runs(
    make_cache, make_view, engine, read, watched
):
    for url in (None, "redis://127.0.0.1:1/0"):
        view = make_view(make_cache(url=url))
        assert view.refresh(engine) is True
        assert read(view)[1] is False
    view = make_view(watched, create=False)
    with Session(create_engine("sqlite://")) as session:
        assert view.query(session) == view.original_sql


def test_in_shadow_mode_both_are_compared(make_cache, make_view, engine, monkeypatch, read, add_product):
    monkeypatch.setenv("CACHE_MODE", "shadow")
    cache, heard = make_cache(), []
    cache.listeners.append(heard.append)
    view = make_view(cache)
    view.refresh(engine)
    assert read(view) == (OLD, False)
    assert [event["event"] for event in heard] == ["hit"]
    add_product()  # and nobody watches
    assert read(view) == (NEW, False)
    (found,) = [event for event in heard if event["event"] == "mismatch"]
    assert found["served"].count("\n") + 1 == found["origin"].count("\n")
    assert found["entry"] == "category-totals"


def test_creating_the_tables_creates_the_view_and_dropping_them_drops_it(watched, make_view, engine, read):
    view = make_view(watched, create=False)
    Product.metadata.create_all(engine)
    read(view)
    assert read(view)[1] is True
    Product.metadata.drop_all(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM pg_matviews")) == 0
    Product.metadata.create_all(engine)
