"""When writes of SQLAlchemy invalidate, and what open transactions may store: commit, rollback, savepoints, sessions."""

import threading

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


@pytest.fixture
def name_now(entry, engine):
    """`name_now()`: the name of product 1 as a new transaction reads it through the cache."""

    def read():
        with Session(engine) as session:
            return name_of(entry, session)

    return read


def rename(session, name="mallet", product_id=1):
    session.get(Product, product_id).name = name


@pytest.fixture
def write(engine):
    """`write()`: another session names product 1 mallet and commits."""

    def commit():
        with Session(engine) as session:
            rename(session)
            session.commit()

    return commit


FIRST = ["products", "products:1"]
first = update(Product).where(Product.id == 1).values(name="x")


# Readers.


def test_a_second_read_is_a_hit_and_a_committed_write_is_seen_by_the_next(entry, name_now, write):
    assert name_now() == name_now() == "hammer"
    assert entry.counts["hits"] == 1
    write()
    assert name_now() == "mallet"


def test_a_reader_that_stores_after_the_commit_does_not_make_it_fresh(entry, engine, write, name_now):
    def slow_read():
        with Session(engine) as session:
            name = session.get(Product, 1).name
        write()
        return name

    assert entry.get_or_compute({"product_id": 1}, slow_read) == "hammer"
    assert name_now() == "mallet"


def test_an_object_loaded_before_a_write_is_not_stored_after_it(entry, engine, write, name_now):
    """The identity map gives the old object without asking the database."""
    with Session(engine) as early:
        loaded = early.get(Product, 1)
        write()
        assert name_of(entry, early) == loaded.name == "hammer"
    assert name_now() == "mallet"


@pytest.mark.parametrize("open_early", [Session, lambda engine: engine.connect()])
def test_a_repeatable_snapshot_from_before_a_write_is_not_stored_after_it(
    entry, engine, write, name_now, open_early
):
    query = select(Product.name).where(Product.id == 1)
    with open_early(engine.execution_options(isolation_level="REPEATABLE READ")) as early:
        early.execute(text("SELECT 1 FROM tags"))
        write()
        assert entry.get_or_compute({"product_id": 1}, lambda: early.execute(query).scalar()) == "hammer"
    assert name_now() == "mallet"


def test_objects_that_outlive_their_transaction_are_not_stored_after_a_write(entry, engine, write, name_now):
    with Session(engine, expire_on_commit=False) as early:
        kept = early.get(Product, 1)
        early.commit()
        write()
        assert name_of(entry, early) == kept.name == "hammer"
        early.expunge_all()
        assert name_of(entry, early) == "mallet"
    assert name_now() == "mallet"


def test_a_transaction_younger_than_the_last_write_stores(entry, engine, name_now):
    name_now()  # the versions exist now
    entry.invalidate(product_id=1)
    threading.Event().wait(0.05)  # younger even if the answer of Redis is late
    with Session(engine) as session:
        session.get(Product, 2)
        assert name_of(entry, session) == "hammer"
    name_now()
    assert entry.counts["hits"] == 1


def test_the_first_reader_of_a_key_stores_it_though_its_transaction_is_open_already(entry, engine, name_now):
    """A logged-in request has asked for its user before it asks the cache: a key that is new is no reason to doubt it."""
    name_now()
    with Session(engine) as session:
        session.execute(select(Product.id)).all()
        assert [name_of(entry, session, 2) for _ in range(2)] == ["saw", "saw"]
    assert entry.counts["hits"] == 1


def test_a_session_reads_its_own_uncommitted_write(entry, engine, name_now):
    name_now()
    with Session(engine) as session:
        rename(session, product_id=2)
        session.flush()
        assert (name_of(entry, session), entry.counts["hits"]) == (
            "hammer",
            1,
        )  # another row is not in the way
        session.rollback()
        rename(session)
        assert name_of(entry, session) == "mallet"  # not even flushed
        session.flush()
        assert name_of(entry, session) == "mallet"
        session.rollback()
        assert name_of(entry, session) == "hammer"
    assert name_now() == "hammer"


# Writers.


def released_savepoints(session):
    with session.begin_nested():
        rename(session)
        with session.begin_nested():
            rename(session, product_id=2)


def savepoint_rolled_back(session):
    nested = session.begin_nested()
    rename(session)
    session.flush()
    nested.rollback()


def savepoint_released_then_all_rolled_back(session):
    with session.begin_nested():
        rename(session)
    session.rollback()


def failed_flush(session):
    session.add(Tag(id=1, name="taken"))
    with pytest.raises(IntegrityError):
        session.flush()
    session.rollback()


def three_transactions(session):
    for number in (1, 2, 3):
        rename(session, product_id=number)
        session.commit()


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (released_savepoints, [[*FIRST, "products:2"]]),
        (savepoint_released_then_all_rolled_back, []),
        (failed_flush, []),
        (three_transactions, [["products", f"products:{number}"] for number in (1, 2, 3)]),
    ],
)
def test_what_was_written_invalidates_after_the_outermost_commit(watched, tags, engine, work, expected):
    with Session(engine) as session:
        work(session)
        assert tags() == (expected if work is three_transactions else [])
        session.commit()
    assert tags() == expected


def test_a_savepoint_rolled_back_leaves_the_outer_write(watched, tags, engine):
    with Session(engine) as session:
        rename(session, product_id=2)
        session.flush()
        savepoint_rolled_back(session)
        session.commit()
    assert {"products", "products:2"} <= set(tags()[0])


def test_closing_a_session_without_a_commit_invalidates_nothing(watched, tags, engine):
    session = Session(engine)
    rename(session)
    session.flush()
    session.close()
    assert (tags(), watched.snapshot_began(), set(watched.pending_tags())) == ([], None, set())


def test_a_commit_that_fails_may_have_happened_and_invalidates(watched, tags, engine):
    """The connection breaks while it commits: nobody knows what the database did."""
    with Session(engine) as session, Session(engine) as killer:
        rename(session)
        session.flush()
        process = session.execute(text("SELECT pg_backend_pid()")).scalar()
        killer.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
        killer.commit()
        with pytest.raises(Exception, match=r"terminat|closed|lost"):
            session.commit()
        session.rollback()
    assert tags() == [FIRST]


def test_a_scoped_session_is_watched(watched, tags, engine):
    session = scoped_session(sessionmaker(engine))
    rename(session)
    session.commit()
    session.remove()
    assert tags() == [FIRST]


def test_a_connection_without_a_session_invalidates_when_it_is_over(entry, tags, engine):
    with engine.begin() as connection:
        connection.execute(first)
        assert tags() == []
    assert tags() == [FIRST] * 2  # announced just before the commit, again just after
    for _ in range(2):
        assert entry.get_or_compute({"product_id": 1}, lambda: "x") == "x"
    assert entry.counts["hits"] == 1


def test_nothing_is_stored_between_the_commit_of_a_connection_and_its_end(entry, engine):
    with engine.connect() as connection:
        connection.execute(first)
        connection.commit()
        entry.get_or_compute({"product_id": 1}, lambda: "x")
        assert entry.counts["stores"] == 0
        connection.execute(text("SELECT 1"))  # now the commit is known to be over
        connection.rollback()
        entry.get_or_compute({"product_id": 1}, lambda: "x")
        assert entry.counts["stores"] == 1


def test_a_connection_that_rolls_back_invalidates_nothing(watched, tags, engine):
    with engine.connect() as connection:
        connection.execute(first)
        connection.rollback()
        connection.execute(first)
    assert tags() == []


def test_a_connection_that_commits_every_statement_invalidates_at_once(watched, tags, engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(first)
        assert tags() == [FIRST]


def test_a_session_inside_someones_transaction_invalidates_again_when_that_is_rolled_back(
    entry, tags, engine, name_now
):
    """How test suites undo their writes: what was read in between must not stay."""
    name_now()
    connection = engine.connect()
    outer = connection.begin()
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        rename(session)
        session.commit()
        assert name_of(entry, session) == "mallet"
    assert tags() == [FIRST]
    outer.rollback()
    connection.close()
    assert FIRST in tags()[1:]
    assert name_now() == "hammer"


def test_a_session_inside_someones_transaction_invalidates_again_when_that_is_committed(
    entry, engine, name_now
):
    with engine.begin() as connection:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            rename(session)
            session.commit()
        entry.get_or_compute({"product_id": 1}, lambda: "hammer")  # as another process still reads it
    assert name_now() == "mallet"


# Write-through.


@pytest.fixture
def search(watched, events):
    """An entry that no table invalidates, and `dropped()`: its keys that were dropped."""
    entry = watched.entry("search", ttl_seconds=60)
    entry.dropped = lambda: [event["key"] for event in events if event["entry"] == "search"]
    return entry


@pytest.mark.parametrize("make_session", [Session, lambda engine: scoped_session(sessionmaker(engine))])
def test_invalidate_after_commit_waits_for_the_commit(search, engine, make_session):
    session = make_session(engine)
    rename(session)
    search.invalidate_after_commit(session, word="hammer")
    assert search.dropped() == []
    session.commit()
    session.commit()
    session.close()
    assert search.dropped() == ["word='hammer'"]


def test_invalidate_after_commit_is_forgotten_with_a_rollback(search, tags, engine):
    with Session(engine) as session:
        rename(session)
        search.invalidate_after_commit(session, word="hammer")
        session.rollback()
        session.commit()
    assert tags() == []


def test_invalidate_after_a_commit_that_is_over_works_at_once(search, engine):
    with Session(engine) as session:
        rename(session)
        session.commit()
        search.invalidate_after_commit(session, word="hammer")
        assert search.dropped() == ["word='hammer'"]


def test_without_a_watcher_after_commit_says_what_to_do(cache, engine):
    with pytest.raises(RuntimeError, match=r"Call sqlalchemy_events\.watch"), Session(engine) as session:
        cache.entry("search", ttl_seconds=60).invalidate_after_commit(session, word="hammer")
