"""When writes of SQLAlchemy invalidate, and what open transactions may store: commit, rollback, savepoints, sessions."""

import pytest
from runtime_scene import Product, Tag
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker


@pytest.fixture
def entry(watched):
    return watched.entry("product", ttl_seconds=600, depends_on=("products:{product_id}",))


def name_of(entry, session, product_id=1):
    return entry.get_or_compute({"product_id": product_id}, lambda: session.get(Product, product_id).name)


def rename(engine, name, product_id=1):
    with Session(engine) as session:
        session.get(Product, product_id).name = name
        session.commit()


def tags(events):
    return [event["tags"] for event in events if event["event"] == "invalidate"]


# Readers.


def test_a_committed_write_is_seen_by_the_next_read(entry, engine):
    with Session(engine) as session:
        assert name_of(entry, session) == "hammer"
    rename(engine, "mallet")
    with Session(engine) as session:
        assert name_of(entry, session) == "mallet"


def test_a_second_read_in_a_new_transaction_is_a_hit(entry, engine):
    for _ in range(2):
        with Session(engine) as session:
            name_of(entry, session)
    assert entry.counts["hits"] == 1


def test_a_reader_that_stores_after_the_commit_does_not_make_it_fresh(entry, engine):
    def slow_read():
        with Session(engine) as session:
            name = session.get(Product, 1).name
        rename(engine, "mallet")
        return name

    assert entry.get_or_compute({"product_id": 1}, slow_read) == "hammer"
    with Session(engine) as session:
        assert name_of(entry, session) == "mallet"


def test_an_object_loaded_before_a_write_is_not_stored_after_it(entry, engine):
    """The identity map gives the old object without asking the database."""
    with Session(engine) as early:
        loaded = early.get(Product, 1)
        rename(engine, "mallet")
        assert name_of(entry, early) == loaded.name == "hammer"
    with Session(engine) as late:
        assert name_of(entry, late) == "mallet"


def test_a_repeatable_snapshot_from_before_a_write_is_not_stored_after_it(entry, engine):
    with Session(engine.execution_options(isolation_level="REPEATABLE READ")) as early:
        early.execute(text("SELECT 1 FROM tags"))
        rename(engine, "mallet")
        assert name_of(entry, early) == "hammer"
    with Session(engine) as late:
        assert name_of(entry, late) == "mallet"


def test_objects_that_outlive_their_transaction_are_not_stored_after_a_write(entry, engine):
    with Session(engine, expire_on_commit=False) as early:
        kept = early.get(Product, 1)
        early.commit()
        rename(engine, "mallet")
        assert name_of(entry, early) == "hammer"
        assert kept.name == "hammer"
        early.expunge_all()
        assert name_of(entry, early) == "mallet"
    with Session(engine) as late:
        assert name_of(entry, late) == "mallet"


def test_a_connection_in_a_transaction_from_before_a_write_is_not_stored_after_it(entry, engine):
    def read(connection):
        return lambda: connection.execute(select(Product.name).where(Product.id == 1)).scalar()

    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as early:
        early.execute(text("SELECT 1 FROM tags"))
        rename(engine, "mallet")
        assert entry.get_or_compute({"product_id": 1}, read(early)) == "hammer"
    with engine.connect() as late:
        assert entry.get_or_compute({"product_id": 1}, read(late)) == "mallet"


def test_a_transaction_younger_than_the_last_write_stores(entry, engine):
    with Session(engine) as session:
        name_of(entry, session)  # the versions exist now
    entry.invalidate(product_id=1)
    with Session(engine) as session:
        session.get(Product, 2)
        assert name_of(entry, session) == "hammer"
    with Session(engine) as session:
        name_of(entry, session)
    assert entry.counts["hits"] == 1


def test_a_session_reads_its_own_uncommitted_write(entry, engine):
    with Session(engine) as other:
        name_of(entry, other)
    with Session(engine) as session:
        session.get(Product, 1).name = "mallet"
        assert name_of(entry, session) == "mallet"  # not even flushed
        session.flush()
        assert name_of(entry, session) == "mallet"
        session.rollback()
        assert name_of(entry, session) == "hammer"
    with Session(engine) as other:
        assert name_of(entry, other) == "hammer"


def test_an_uncommitted_write_of_another_row_does_not_stand_in_the_way(entry, engine):
    with Session(engine) as other:
        name_of(entry, other)
    with Session(engine) as session:
        session.execute(update(Product).where(Product.id == 2).values(name="x"))
        name_of(entry, session)
        assert entry.counts["hits"] == 1


# Writers.


def test_a_released_savepoint_waits_for_the_outer_commit(watched, events, engine):
    with Session(engine) as session:
        with session.begin_nested():
            session.get(Product, 1).name = "mallet"
            with session.begin_nested():
                session.get(Product, 2).name = "file"
        assert tags(events) == []
        session.commit()
    assert tags(events) == [["products", "products:1", "products:2"]]


def test_a_savepoint_rolled_back_leaves_the_outer_write(watched, events, engine):
    with Session(engine) as session:
        session.get(Product, 1).name = "mallet"
        session.flush()
        nested = session.begin_nested()
        session.get(Product, 2).name = "file"
        session.flush()
        nested.rollback()
        session.commit()
    assert {"products", "products:1"} <= set(tags(events)[0])


def test_an_outer_rollback_drops_what_savepoints_released(watched, events, engine):
    with Session(engine) as session:
        with session.begin_nested():
            session.get(Product, 1).name = "mallet"
        session.rollback()
        session.commit()
    assert tags(events) == []


def test_closing_a_session_without_a_commit_invalidates_nothing(watched, events, engine):
    session = Session(engine)
    session.get(Product, 1).name = "mallet"
    session.flush()
    session.close()
    assert tags(events) == []
    assert (watched.snapshot_began(), set(watched.pending_tags())) == (None, set())


def test_a_failed_flush_invalidates_nothing(watched, events, engine):
    with Session(engine) as session:
        session.add(Tag(id=1, name="taken"))
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
    assert tags(events) == []


def test_a_commit_that_fails_may_have_happened_and_invalidates(watched, events, engine):
    """The connection breaks while it commits: nobody knows what the database did."""
    with Session(engine) as session, Session(engine) as killer:
        session.get(Product, 1).name = "mallet"
        session.flush()
        process = session.execute(text("SELECT pg_backend_pid()")).scalar()
        killer.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
        killer.commit()
        with pytest.raises(Exception, match=r"terminat|closed|lost"):
            session.commit()
        session.rollback()
    assert tags(events) == [["products", "products:1"]]


def test_one_session_is_used_for_many_transactions(watched, events, engine):
    with Session(engine) as session:
        for number in (1, 2, 3):
            session.get(Product, number).name = "x"
            session.commit()
    assert tags(events) == [["products", f"products:{number}"] for number in (1, 2, 3)]


def test_a_scoped_session_is_watched(watched, events, engine):
    session = scoped_session(sessionmaker(engine))
    session.get(Product, 1).name = "mallet"
    session.commit()
    session.remove()
    assert tags(events) == [["products", "products:1"]]


def test_a_connection_without_a_session_invalidates_when_it_is_over(watched, events, engine):
    with engine.begin() as connection:
        connection.execute(update(Product).where(Product.id == 1).values(name="x"))
        assert tags(events) == []
    assert (
        tags(events) == [["products", "products:1"]] * 2
    )  # announced just before the commit, again just after
    entry = watched.entry("product", ttl_seconds=60, depends_on=("products",))
    for _ in range(2):
        assert entry.get_or_compute({}, lambda: "x") == "x"
    assert entry.counts["hits"] == 1


def test_nothing_is_stored_between_the_commit_of_a_connection_and_its_end(watched, engine):
    entry = watched.entry("product", ttl_seconds=60, depends_on=("products",))
    with engine.connect() as connection:
        connection.execute(update(Product).where(Product.id == 1).values(name="x"))
        connection.commit()
        entry.get_or_compute({}, lambda: "x")
        assert entry.counts["stores"] == 0
        connection.execute(text("SELECT 1"))  # now the commit is known to be over
        connection.rollback()
        entry.get_or_compute({}, lambda: "x")
        assert entry.counts["stores"] == 1


def test_a_connection_that_rolls_back_invalidates_nothing(watched, events, engine):
    with engine.connect() as connection:
        connection.execute(update(Product).values(name="x"))
        connection.rollback()
        connection.execute(update(Product).values(name="x"))
    assert tags(events) == []


def test_a_connection_that_commits_every_statement_invalidates_at_once(watched, events, engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(update(Product).where(Product.id == 1).values(name="x"))
        assert tags(events) == [["products", "products:1"]]


def test_a_session_inside_someones_transaction_invalidates_again_when_that_is_rolled_back(
    entry, events, engine
):
    """How test suites undo their writes: what was read in between must not stay."""
    with Session(engine) as session:
        name_of(entry, session)
    connection = engine.connect()
    outer = connection.begin()
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        session.get(Product, 1).name = "only in this test"
        session.commit()
        assert name_of(entry, session) == "only in this test"
    assert tags(events) == [["products", "products:1"]]
    outer.rollback()
    connection.close()
    assert ["products", "products:1"] in tags(events)[1:]
    with Session(engine) as session:
        assert name_of(entry, session) == "hammer"


def test_a_session_inside_someones_transaction_invalidates_again_when_that_is_committed(
    entry, events, engine
):
    with engine.begin() as connection:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.get(Product, 1).name = "mallet"
            session.commit()
        entry.get_or_compute({"product_id": 1}, lambda: "hammer")  # as another process still reads it
    with Session(engine) as session:
        assert name_of(entry, session) == "mallet"


# Write-through.


def test_invalidate_after_commit_waits_for_the_commit(watched, events, engine):
    entry = watched.entry("search", ttl_seconds=60)
    with Session(engine) as session:
        session.get(Product, 1).name = "mallet"
        entry.invalidate_after_commit(session, word="hammer")
        assert tags(events) == []
        session.commit()
        session.commit()
    keys = [event["key"] for event in events if event["entry"] == "search"]
    assert keys == ["word='hammer'"]


def test_invalidate_after_commit_is_forgotten_with_a_rollback(watched, events, engine):
    entry = watched.entry("search", ttl_seconds=60)
    with Session(engine) as session:
        session.get(Product, 1).name = "mallet"
        entry.invalidate_after_commit(session, word="hammer")
        session.rollback()
        session.commit()
    assert tags(events) == []


def test_invalidate_after_commit_takes_a_scoped_session(watched, events, engine):
    entry, session = watched.entry("search", ttl_seconds=60), scoped_session(sessionmaker(engine))
    session.get(Product, 1).name = "mallet"
    entry.invalidate_after_commit(session, word="hammer")
    session.commit()
    session.remove()
    assert "search" in [event["entry"] for event in events]


def test_invalidate_after_a_commit_that_is_over_works_at_once(watched, events, engine):
    entry = watched.entry("search", ttl_seconds=60)
    with Session(engine) as session:
        session.get(Product, 1).name = "mallet"
        session.commit()
        entry.invalidate_after_commit(session, word="hammer")
    assert events[-1]["entry"] == "search"


def test_without_a_watcher_after_commit_says_what_to_do(cache, engine):
    with pytest.raises(RuntimeError, match=r"Call sqlalchemy_events\.watch"), Session(engine) as session:
        cache.entry("search", ttl_seconds=60).invalidate_after_commit(session, word="hammer")


def test_the_first_reader_of_a_key_stores_it_though_its_transaction_is_open_already(watched, engine, events):
    """A logged-in request has asked for its user before it asks the cache: a key that is new is no reason to doubt it."""
    entry = watched.entry("product", ttl_seconds=60, depends_on=("products:{product_id}",))
    entry.get_or_compute({"product_id": 1}, lambda: "warm")
    with Session(engine) as session:
        session.execute(select(Product.id)).all()
        for _ in range(2):
            assert entry.get_or_compute({"product_id": 2}, lambda: "value") == "value"
    assert entry.counts["hits"] == 1
