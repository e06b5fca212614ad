"""What SELECTs gave, beside a real PostgreSQL: every write is in the next answer of every statement, and what may change unheard is not kept."""

import itertools
import threading
import uuid
from decimal import Decimal

import flask
import psycopg
import pytest
from sqlalchemy import (
    Column,
    Enum,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    Uuid,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, declarative_base

from cache_strategy.emit.targets.runtime.files import sqlalchemy_events, sqlalchemy_statements
from cache_strategy.emit.targets.runtime.files.flask_http import cached_endpoint
from cache_strategy.emit.targets.runtime.files.runtime import Cache
from cache_strategy.emit.targets.runtime.files.statements import Statements

ONE = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Hidden(TypeDecorator):
    """A number that the application knows by a text."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else int(value.removeprefix("n"))

    def process_result_value(self, value, dialect):
        return None if value is None else f"n{value}"


metadata = MetaData()
books = Table(
    "books",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("title", String),
    Column("kind", Enum("novel", "poem", name="kind"), server_default="novel"),
)
notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("book_id", ForeignKey("books.id", ondelete="CASCADE")),
    Column("other_id", Integer),
    Column("owner", Hidden),
    Column("mark", Uuid),
    Column("text", String),
)
Base = declarative_base(metadata=metadata)


class Note(Base):
    __table__ = notes


COLUMNS = {"notes": ["book_id", "owner", "mark", "text"]}
QUERIES = [
    "SELECT title FROM books WHERE id = 1",
    "SELECT title FROM books WHERE id = :a",
    "SELECT title FROM books WHERE books.id IN (:a, :b) ORDER BY id",
    "SELECT title FROM books WHERE id = CAST(:a AS integer)",
    "SELECT id FROM notes WHERE book_id = :a ORDER BY id",
    "SELECT id FROM notes WHERE :a = book_id AND text = :t ORDER BY id",
    "SELECT id FROM notes WHERE text = :t ORDER BY id LIMIT 2",
    "SELECT id, text FROM notes WHERE owner = :a ORDER BY id",
    "SELECT id FROM notes WHERE mark = :u ORDER BY id",
    "SELECT id FROM notes WHERE book_id IS NULL ORDER BY id",
    "SELECT id FROM notes WHERE other_id = :a OR book_id = :b ORDER BY id",
    "SELECT count(*) FROM notes WHERE NOT (book_id = :a)",
    "SELECT b.title, n.text FROM books b LEFT JOIN notes n ON n.book_id = b.id AND n.text = :t WHERE b.id = :a ORDER BY 2",
    "SELECT b.title, n.text FROM notes n LEFT JOIN books b ON n.book_id = b.id WHERE n.id = :a",
    "SELECT id FROM books WHERE EXISTS (SELECT 1 FROM notes WHERE notes.book_id = books.id) ORDER BY id",
    "SELECT id FROM books WHERE NOT EXISTS (SELECT 1 FROM notes WHERE notes.book_id = :b) ORDER BY id",
    "SELECT id FROM books WHERE id = :a AND (SELECT count(*) FROM notes n WHERE n.book_id = :b) = 0",
    "SELECT x.n FROM (SELECT count(*) AS n FROM notes WHERE book_id = :a) AS x",
    "SELECT a.id FROM notes a, notes b WHERE a.id = :a AND b.book_id = a.book_id ORDER BY b.id",
    "SELECT a.title FROM books AS a (title, id) WHERE a.title = :a",
    "SELECT b.id FROM (books b JOIN notes n ON n.book_id = b.id) WHERE b.id = :a ORDER BY n.id",
    "SELECT count(*) FROM books WHERE kind = :k",
    "SELECT max(id) FROM notes",
    "SELECT id FROM notes WHERE other_id BETWEEN :a AND :b AND book_id = :a ORDER BY id",
    "SELECT id FROM notes WHERE text IS DISTINCT FROM :t AND book_id = :a ORDER BY id",
    "WITH x AS (SELECT id FROM notes WHERE book_id = :a) SELECT count(*) FROM x",
]
VALUES = {"a": 1, "b": 2, "t": "two", "u": ONE, "k": "novel"}


def note(**more):
    return insert(notes).values(**{"text": "two", **more})


WRITES = {
    "a row into a filter": note(id=10, book_id=1),
    "without its own number": note(book_id=1),
    "into nothing": note(book_id=None),
    "another's": note(book_id=2),
    "by a type of the application's": note(owner="n1"),
    "by a UUID": note(mark=ONE),
    "several at once": insert(notes).values([{"book_id": 1, "text": "a"}, {"book_id": 2, "text": "two"}]),
    "from a SELECT": insert(notes).from_select(["book_id", "text"], select(books.c.id, books.c.title)),
    "a subquery's value": note(book_id=select(books.c.id).where(books.c.title == "one").scalar_subquery()),
    "moved into a filter": update(notes).where(notes.c.id == 1).values(book_id=2),
    "moved back": update(notes).where(notes.c.id == 1).values(book_id=1),
    "moved by an expression": update(notes).where(notes.c.book_id == 2).values(book_id=notes.c.book_id - 1),
    "moved by another column": update(notes).where(notes.c.book_id == 1).values(book_id=notes.c.other_id),
    "moved away": update(notes).where(notes.c.text == "two").values(book_id=None),
    "a new number": update(notes).where(notes.c.id == 10).values(id=notes.c.id + 500),
    "an expression of the filter": update(notes).where(notes.c.owner == "n1").values(owner="n2"),
    "by owner": update(notes).where(notes.c.owner == "n2").values(text="owned"),
    "bulk": update(books).values(title=books.c.title + "!"),
    "with FROM": update(notes).where(notes.c.book_id == books.c.id, books.c.id == 1).values(text="from"),
    "many": (update(books).where(books.c.id == bindparam("b")).values(title=bindparam("t")), [{"b": 1, "t": "m"}, {"b": 2, "t": "n"}]),
    "upsert": upsert(books).values(id=1, title="up").on_conflict_do_update(index_elements=["id"], set_={"title": "upped"}),
    "upsert of another row": upsert(notes).values(id=2, book_id=2).on_conflict_do_update(index_elements=["id"], set_={"book_id": 1}),
    "text": text("UPDATE notes SET book_id = 2 WHERE id = 2"),
    "a CTE that deletes": text("WITH gone AS (DELETE FROM notes WHERE id = 2 RETURNING id) SELECT * FROM gone"),
    "an enum": update(books).where(books.c.id == 2).values(kind="poem"),
    "cascade": delete(books).where(books.c.id == 1),
    "truncate": text("TRUNCATE books CASCADE"),
    "again": insert(books).values(id=1, title="again"),
}  # fmt: skip


class Asked:
    """An application that answers with the rows of one statement, or what a test puts in its place, and its caller's name."""

    def __init__(self, engine, redis_url, namespace, sees_all=True):
        self.engine = engine
        self.cache = Cache(redis_url, namespace=namespace, budget_ms=5000)
        self.watcher = sqlalchemy_events.watch(
            self.cache,
            {"books": "id", "notes": "id"},
            [metadata],
            [f"{t}.{c}" for t, columns in COLUMNS.items() for c in columns],
        )
        self.statements = sqlalchemy_statements.keep(
            self.watcher, Statements(self.cache, self.watcher.tables, self.watcher.columns, sees_all)
        )
        self.entry = self.cache.entry("q", ttl_seconds=600, layers=("redis",), depends_on=("books", "notes"))
        self.view = self.rows_of
        app = flask.Flask("asked")
        show = cached_endpoint(
            self.entry,
            lambda number: {"number": number, "who": flask.request.args["who"]},
            self.statements,
        )(lambda number: flask.jsonify([list(map(str, row)) for row in self.view(QUERIES[number])]))
        app.add_url_rule("/<int:number>", "show", show)
        self.app, self.client = app, app.test_client()
        self.callers = itertools.count()

    def rows_of(self, sql):
        with self.engine.connect() as connection:
            return connection.execute(text(sql), VALUES).fetchall()

    def get(self, number, who):
        return self.client.get(f"/{number}?who={who}").get_json()

    def fresh(self, number):
        return [list(map(str, row)) for row in self.rows_of(QUERIES[number])]

    def is_kept(self, change, number=1):
        """Whether a caller after the first one gets what a write changed that nobody heard."""
        self.get(number, f"c{next(self.callers)}")
        change()
        return self.get(number, f"c{next(self.callers)}") == self.get(number, "c0")


@pytest.fixture(scope="module")
def engine(postgres_server):
    made = create_engine(
        postgres_server.url(postgres_server.create_database()).replace("://", "+psycopg://", 1)
    )
    yield made
    made.dispose()


@pytest.fixture
def asked(engine, redis_url, request):
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        metadata.create_all(connection)
        connection.execute(insert(books), [{"id": 1, "title": "one"}, {"id": 2, "title": "two"}])
        connection.execute(
            insert(notes),
            [{"id": i, "book_id": i, "other_id": 3 - i, "owner": f"n{i}", "text": "two"} for i in (1, 2)],
        )
        connection.execute(text("SELECT setval('notes_id_seq', 100)"))
    made = Asked(engine, redis_url, f"pg-{request.node.name}")
    yield made
    made.watcher.stop()
    made.cache.close()
    engine.dispose()


def unheard(engine, title="unheard"):
    """A write of another program."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE books SET title = %s WHERE id = 1", [title])


@pytest.mark.parametrize("how", ["connection", "session", "autocommit"])
def test_every_write_is_in_the_next_answer_of_every_statement(asked, how):
    for number in range(len(QUERIES)):
        assert [asked.get(number, who) for who in "ab"] == [asked.fresh(number)] * 2
    kept = asked.statements.entry.counts["hits"]
    assert kept >= 20
    for name, write in WRITES.items():
        statement, *many = write if isinstance(write, tuple) else (write,)
        if how == "session":
            with Session(asked.engine) as session:
                session.execute(statement, *many)
                session.commit()
        elif how == "connection":
            with asked.engine.begin() as connection:
                connection.execute(statement, *many)
        else:
            with asked.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(statement, *many)
        for number in range(len(QUERIES)):
            for who in "ab":
                assert asked.get(number, who) == asked.fresh(number), (name, QUERIES[number])
    assert asked.statements.entry.counts["hits"] > kept + 100


def test_a_flush_of_objects_is_in_the_next_answer(asked):
    def check(change):
        with Session(asked.engine) as session:
            change(session)
            session.commit()
        for number in range(len(QUERIES)):
            assert asked.get(number, "a") == asked.fresh(number), QUERIES[number]

    check(
        lambda session: session.add_all([Note(book_id=1, owner="n1", mark=ONE, text="two") for _ in range(3)])
    )
    check(lambda session: setattr(session.get(Note, 1), "book_id", 2))
    check(lambda session: setattr(session.get(Note, 1), "owner", "n2"))
    check(lambda session: session.bulk_update_mappings(Note, [{"id": 2, "book_id": 1}]))
    check(lambda session: session.delete(session.get(Note, 2)))


def test_what_nobody_heard_is_kept(asked):
    """The control: without a reason not to, rows are kept."""
    assert asked.is_kept(lambda: unheard(asked.engine))


UNSETTLED = {
    "row level security": "ALTER TABLE books ENABLE ROW LEVEL SECURITY",
    "a view": "ALTER TABLE books RENAME TO real_books; CREATE VIEW books AS SELECT * FROM real_books",
    "a rule": "CREATE RULE r AS ON UPDATE TO notes DO ALSO UPDATE books SET title = 'r'",
    "a trigger that writes": """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE books SET title = NEW.text; RETURN NEW; END $$;
        CREATE TRIGGER t AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION f()""",
    "a cascade that no model declares": """CREATE TABLE authors (id int PRIMARY KEY);
        ALTER TABLE books ADD author_id int REFERENCES authors ON DELETE CASCADE""",
    "a collation of its own": """CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        ALTER TABLE books ALTER title TYPE text COLLATE ci""",
    "repeatable reads by default": "ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'",
}
SETTLED = {
    "a trigger that stamps": """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.title := upper(NEW.title); PERFORM pg_notify('x', 'update'); RETURN NEW; END $$;
        CREATE TRIGGER t BEFORE INSERT ON books FOR EACH ROW EXECUTE FUNCTION f()""",
    "a trigger that writes elsewhere": """CREATE TABLE audit (x text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO audit VALUES (NEW.title); RETURN NEW; END $$;
        CREATE TRIGGER t BEFORE INSERT ON books FOR EACH ROW EXECUTE FUNCTION f()""",
    "a cascade that is declared, a view of another name": "CREATE VIEW shown AS SELECT * FROM books",
}


@pytest.mark.parametrize("name", [*UNSETTLED, *SETTLED])
def test_a_database_that_changes_rows_by_itself_has_none_kept(asked, name):
    sql = {**UNSETTLED, **SETTLED}[name].format(asked.engine.url.database)
    with asked.engine.begin() as connection:
        connection.exec_driver_sql(sql)
    asked.engine.dispose()
    assert asked.is_kept(lambda: unheard(asked.engine)) == (name in SETTLED)
    if "DATABASE" in sql:
        with asked.engine.begin() as connection:
            connection.exec_driver_sql(sql.replace("SET default", "RESET default").partition(" =")[0])


def through(change):
    """A view that does something with its connection before it asks."""

    def make(asked):
        def view(sql):
            with asked.engine.connect() as connection:
                connection = change(connection) or connection
                return connection.execute(text(sql), VALUES).fetchall()

        return view

    return make


def said(sql):
    return through(lambda connection: connection.execute(text(sql)) and None)


def in_thread(asked):
    def view(sql):
        found = []
        thread = threading.Thread(target=lambda: found.extend(asked.rows_of(sql)))
        thread.start()
        thread.join()
        return found

    return view


VIEWS = {
    "SET": said("SET search_path = public"),
    "SET after a comment": said("/* who */ SET LOCAL app.tenant = '1'"),
    "set_config": said("SELECT set_config('app.tenant', '1', false)"),
    "a temporary table": said("CREATE TEMP TABLE IF NOT EXISTS x (id int)"),
    "a lock": said("SELECT id FROM books FOR UPDATE"),
    "an advisory lock": said("SELECT pg_advisory_xact_lock(1)"),
    "a write": said("INSERT INTO notes (text) VALUES ('seen')"),
    "many writes": through(
        lambda connection: connection.execute(update(books).where(books.c.id == bindparam("b")).values(kind="poem"), [{"b": 8}, {"b": 9}]) and None
    ),
    "repeatable reads": through(lambda c: c.execution_options(isolation_level="REPEATABLE READ")),
    "streaming": through(lambda c: c.execution_options(stream_results=True)),
    "another thread": in_thread,
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_a_request_that_does_more_than_read_gets_rows_of_the_database(asked, name):
    asked.view = VIEWS[name](asked)
    assert not asked.is_kept(lambda: unheard(asked.engine))


def test_an_answer_depends_on_what_another_thread_has_read_for_it(asked):
    asked.view = in_thread(asked)
    asked.get(1, "a")
    with asked.engine.begin() as connection:
        connection.execute(update(books).values(title="told"))
    assert asked.get(1, "a") == [["told"]]


def test_an_answer_depends_on_what_its_request_has_read_before(asked):
    @asked.app.before_request
    def load():
        flask.g.title = asked.rows_of(QUERIES[1])

    asked.view = lambda sql: flask.g.title
    asked.get(4, "a")
    with asked.engine.begin() as connection:
        connection.execute(update(books).values(title="told"))
    assert asked.get(4, "a") == [["told"]]


def test_a_listener_that_sets_something_at_every_checkout_leaves_nothing_kept(asked):
    def checkout(driver, *_):
        driver.execute("SET app.tenant = '1'")

    event.listen(asked.engine, "checkout", checkout)
    try:
        assert not asked.is_kept(lambda: unheard(asked.engine))
    finally:
        event.remove(asked.engine, "checkout", checkout)


def test_an_answer_is_compared_on_the_connection_that_is_open_already(asked):
    engine = create_engine(asked.engine.url, pool_size=1, max_overflow=0, pool_timeout=1)
    asked.engine = engine
    with engine.begin() as connection:
        connection.execute(update(books).values(title="told"))
    first = asked.get(21, "a")
    with Session(engine) as session:
        session.execute(text("SELECT 1"))
        asked.cache.invalidate("notes", "books")
        assert asked.get(21, "a") == first
        session.rollback()
    engine.dispose()


@pytest.mark.parametrize("pair", [(Decimal("1.0"), Decimal("1.00")), (1, True)], ids=str)
def test_equal_parameters_that_mean_something_else_are_told_apart(asked, pair):
    def view(value):
        with asked.engine.connect() as connection:
            return connection.exec_driver_sql("SELECT %s::text, count(*) FROM books", (value,)).fetchall()

    given = []
    for value in pair:
        asked.view = lambda sql, value=value: view(value)
        given.append(asked.get(0, f"c{next(asked.callers)}"))
    assert given[0] != given[1]
