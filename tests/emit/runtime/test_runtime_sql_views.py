"""Materialized views behind the emitted cache: read while they are right, refreshed when they are not."""

import contextlib
import threading

import pytest
from runtime_scene import WATCHED, Clock, Product, eventually
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from cache_strategy.emit.targets.runtime.files import sqlalchemy_events
from cache_strategy.emit.targets.runtime.files.sql_views import View

BODY = """
    SELECT category_id::int AS category, COUNT(*) AS products, SUM(price) AS total,
           to_char(now(), 'HH24:MI') <> '' AS "odd: name"
    FROM products GROUP BY category_id;
"""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_view(engine):
    def make(cache, body_sql=BODY, **options):
        options = {
            "unique_key": ("category",),
            "depends_on": ("products",),
            "order_by": "category",
            **options,
        }
        return View(cache, "category-totals", body_sql=body_sql, **options)

    yield make
    with engine.begin() as connection:
        connection.execute(text("DROP MATERIALIZED VIEW IF EXISTS category_totals_mv"))


@pytest.fixture
def view(watched, make_view, engine):
    view = make_view(watched)
    create(view, engine)
    return view


def create(view, engine):
    with engine.begin() as connection:
        view.create(connection)


def rows(view, engine):
    with Session(engine) as session:
        return [tuple(row)[:2] for row in session.execute(text(view.query(session)))]


def source(view, engine):
    """Where a query reads now."""
    with Session(engine) as session:
        return "view" if view.query(session) == view.view_sql else "tables"


def add_product(engine, category_id):
    with Session(engine) as session:
        session.add(Product(name="new", category_id=category_id))
        session.commit()


def test_the_view_gives_what_the_query_gives(view, engine):
    add_product(engine, 2)
    with Session(engine) as session:
        expected = session.execute(
            text(BODY.replace("GROUP BY category_id;", "GROUP BY category_id ORDER BY 1"))
        ).all()
        query = view.query(session)
        assert "category_totals_mv" in query
        assert session.execute(text(query)).all() == expected


def test_the_first_query_refreshes_and_later_ones_only_read(view, engine):
    assert [source(view, engine) for _ in range(3)] == ["view"] * 3
    assert (view.entry.counts["misses"], view.entry.counts["hits"], view.entry.counts["computations"]) == (
        1,
        2,
        1,
    )


def test_a_write_is_in_the_next_query(view, engine):
    assert rows(view, engine) == [(1, 3)]
    add_product(engine, 2)
    assert rows(view, engine) == [(1, 3), (2, 1)]
    assert view.entry.counts["computations"] == 2


def test_a_write_that_is_rolled_back_refreshes_nothing(view, engine):
    rows(view, engine)
    with Session(engine) as session:
        session.add(Product(name="new", category_id=2))
        session.flush()
        session.rollback()
    assert rows(view, engine) == [(1, 3)]
    assert view.entry.counts["computations"] == 1


def test_a_transaction_sees_its_own_uncommitted_write(view, engine):
    rows(view, engine)
    with Session(engine) as session:
        session.add(Product(name="new", category_id=2))
        session.flush()
        assert [tuple(row)[:2] for row in session.execute(text(view.query(session)))] == [(1, 3), (2, 1)]


def test_a_snapshot_from_before_the_refresh_reads_the_tables(view, engine):
    with Session(engine.execution_options(isolation_level="REPEATABLE READ")) as session:
        session.execute(text("SELECT 1 FROM tags"))
        add_product(engine, 2)
        view.refresh(engine)
        assert view.query(session) == view.original_sql


def test_a_session_bound_to_a_connection_reads_the_tables(view, engine):
    with engine.connect() as connection, Session(connection) as session:
        assert view.query(session) == view.original_sql


# Once the query has its snapshot, it waits until nobody holds advisory lock 42.
GATED = """
    SELECT category_id::int AS category, COUNT(*) AS products
    FROM products, (SELECT pg_advisory_xact_lock_shared(42)) AS gate GROUP BY category_id
"""


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


def test_a_write_during_a_refresh_makes_the_view_old_at_once(watched, make_view, engine):
    view = make_view(watched, body_sql=GATED)
    create(view, engine)
    with refresh_under_way(view, engine):
        add_product(engine, 2)
    with Session(engine) as session:
        assert [tuple(row) for row in session.execute(text(view.view_sql))] == [(1, 3)]
    assert rows(view, engine) == [(1, 3), (2, 1)]


def test_one_process_refreshes_and_the_others_read_the_tables(watched, make_cache, make_view, engine):
    view, other = (make_view(cache, body_sql=GATED) for cache in (watched, make_cache()))
    create(view, engine)
    with refresh_under_way(view, engine):
        assert other.refresh(engine) is False
        assert source(other, engine) == "tables"
    assert source(other, engine) == "view"


def test_within_its_bound_an_old_view_is_read(make_cache, make_view, engine, clock):
    cache = make_cache(clock=clock)
    watcher = sqlalchemy_events.watch(cache, WATCHED)
    try:
        view = make_view(cache, staleness_bound_seconds=60)
        create(view, engine)
        view.refresh(engine)
        clock.pass_seconds(50)
        add_product(engine, 2)
        assert rows(view, engine) == [(1, 3)]
        clock.pass_seconds(15)
        assert rows(view, engine) == [(1, 3), (2, 1)]
        assert view.entry.counts["stale_served"] == 1
    finally:
        watcher.stop()


def test_without_a_view_the_query_itself_runs(watched, make_view, engine):
    view = make_view(watched)
    assert rows(view, engine) == [(1, 3)]
    create(view, engine)
    assert source(view, engine) == "view"
    with engine.begin() as connection:
        connection.execute(text("DROP MATERIALIZED VIEW category_totals_mv"))
    assert rows(view, engine) == [(1, 3)]


def test_creating_a_view_twice_changes_nothing(view, engine):
    create(view, engine)
    assert source(view, engine) == "view"


def test_a_view_without_a_key_is_refreshed_too(watched, make_view, engine):
    view = make_view(watched, unique_key=())
    create(view, engine)
    assert rows(view, engine) == [(1, 3)]


def test_with_caches_off_or_redis_gone_the_query_itself_runs(make_cache, make_view, engine):
    for url in (None, "redis://127.0.0.1:1/0"):
        view = make_view(make_cache(url=url))
        create(view, engine)
        assert view.refresh(engine) is True
        assert source(view, engine) == "tables"


def test_another_database_than_postgresql_runs_the_query_itself(watched, make_view):
    view = make_view(watched)
    with Session(create_engine("sqlite://")) as session:
        assert view.query(session) == view.original_sql


def test_in_shadow_mode_both_are_compared(make_cache, make_view, engine, monkeypatch):
    monkeypatch.setenv("CACHE_MODE", "shadow")
    cache, heard = make_cache(), []
    cache.listeners.append(heard.append)
    view = make_view(cache)
    create(view, engine)
    view.refresh(engine)
    assert source(view, engine) == "tables"
    assert [event["event"] for event in heard] == ["hit"]
    add_product(engine, 2)  # and nobody watches
    assert rows(view, engine) == [(1, 3), (2, 1)]
    (found,) = [event for event in heard if event["event"] == "mismatch"]
    assert found["served"].count("\n") + 1 == found["origin"].count("\n")
    assert found["entry"] == "category-totals"


def test_creating_the_tables_creates_the_view_and_dropping_them_drops_it(watched, make_view, engine):
    view = make_view(watched)
    assert source(view, engine) == "tables"
    Product.metadata.create_all(engine)
    rows(view, engine)
    assert source(view, engine) == "view"
    Product.metadata.drop_all(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM pg_matviews")) == 0
    Product.metadata.create_all(engine)
