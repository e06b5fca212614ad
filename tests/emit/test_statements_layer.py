"""What SELECTs gave and the answers made of it: kept by the rows that they read, on a real Redis and SQLite."""

import flask
import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, create_engine, event
from sqlalchemy.orm import Session, declarative_base
from sqlalchemy.pool import StaticPool

from cache_strategy.emit.targets.runtime.files import sqlalchemy_events, sqlalchemy_statements
from cache_strategy.emit.targets.runtime.files.flask_http import cached_endpoint
from cache_strategy.emit.targets.runtime.files.runtime import Cache
from cache_strategy.emit.targets.runtime.files.sql_reads import reads_of
from cache_strategy.emit.targets.runtime.files.statements import Statements

TABLES = {"books": "id", "notes": "id", "tags": None}
COLUMNS = {"notes": ["book_id"], "tags": ["book_id"]}
ALL = None
READS = {
    "SELECT id FROM books WHERE id = %s": {"books": ("books", [0])},
    'SELECT "books"."id" FROM "books" WHERE ("books"."id" IN (%s, %s) AND "books"."title" = %s) LIMIT 21': {
        "books": ("books", [0, 1])
    },
    "SELECT n.id FROM notes AS n, books b WHERE %(a)s = n.book_id AND b.id = n.id": {
        "notes": ("notes.book_id", ["a"]),
        "books": ALL,
    },
    "SELECT count(*) FROM (SELECT notes.id FROM notes WHERE notes.book_id = $2) AS x": {
        "notes": ("notes.book_id", [1])
    },
    "SELECT id FROM books WHERE EXISTS (SELECT 1 FROM tags WHERE tags.book_id = ? AND tags.x = books.id)": {
        "tags": ("tags.book_id", [0]),
        "books": ALL,
    },
    "SELECT id FROM books WHERE id = %s OR title = %s": {"books": ALL},
    "SELECT id FROM books WHERE NOT (id = %s)": {"books": ALL},
    "SELECT id FROM books WHERE id = %s + 1": {"books": ALL},
    "SELECT id FROM books WHERE id > %s": {"books": ALL},
    "SELECT a.id FROM books a, books b WHERE a.id = %s": {"books": ALL},
    "SELECT id FROM books WHERE CASE WHEN x THEN y END = 1 AND id = %s": {"books": ALL},
    "SELECT now() FROM books": None,
    "SELECT id FROM books FOR UPDATE": None,
    "SELECT id FROM others": None,
    "SELECT id FROM books UNION SELECT id FROM notes": None,
    "SELECT id, current_timestamp FROM books": None,
    "SELECT mine(id) FROM books": None,
    "UPDATE books SET id = 1": None,
    "SELECT 1": None,
    "SELECT id FROM books; DELETE FROM books": None,
}


@pytest.mark.parametrize("text", READS)
def test_what_a_statement_depends_on_is_read_from_its_text(text):
    found = reads_of(text, TABLES, COLUMNS)
    assert (found and dict(found.places)) == READS[text]


Base = declarative_base()


class Book(Base):
    __tablename__ = "books"
    id = Column(Integer, primary_key=True)
    title = Column(String)


class Note(Base):
    __tablename__ = "notes"
    id = Column(Integer, primary_key=True)
    book_id = Column(ForeignKey("books.id"))
    text = Column(String)


class Shop:
    """An application with one answer per book and caller, whose executed statements are counted."""

    def __init__(self, redis_url, namespace, mode="on"):
        self.engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        self.cache = Cache(redis_url, namespace=namespace, budget_ms=5000)
        self.cache.mode = mode
        self.watcher = sqlalchemy_events.watch(
            self.cache, {"books": "id", "notes": "id"}, columns=("notes.book_id",)
        )
        self.statements = sqlalchemy_statements.keep(
            self.watcher, Statements(self.cache, self.watcher.tables, self.watcher.columns, sees_all=True)
        )
        self.made = 0
        entry = self.cache.entry("book", ttl_seconds=600, layers=("redis",), depends_on=("books", "notes"))
        Base.metadata.create_all(self.engine)
        with Session(self.engine) as session:
            session.add_all([Book(id=i, title=f"book {i}") for i in (1, 2)])
            session.add(Note(id=1, book_id=1, text="one"))
            session.commit()

        def show(number):
            self.made += 1
            with Session(self.engine) as session:
                title = session.query(Book).filter_by(id=number).one().title
                notes = [n.text for n in session.query(Note).filter_by(book_id=number).order_by(Note.id)]
                total = session.query(Book).count()
            return flask.jsonify(title=title, notes=notes, total=total)

        def key(number):
            return {"number": number, "who": flask.request.args.get("who")}

        self.app = app = flask.Flask("shop")
        app.add_url_rule("/<int:number>", "show", cached_endpoint(entry, key, self.statements)(show))
        self.client = app.test_client()

    def get(self, number, who=""):
        return self.client.get(f"/{number}?who={who}").get_json()

    def write(self, change):
        with Session(self.engine) as session:
            change(session)
            session.commit()

    def kept(self):
        return self.statements.entry.counts["misses"]


@pytest.fixture
def shop(redis_url, request):
    made = Shop(redis_url, f"statements-{request.node.name}")
    yield made
    made.watcher.stop()
    made.cache.close()


def test_answers_for_other_callers_run_no_statement_again(shop):
    first = shop.get(1, "ann")
    assert shop.kept() == 3
    assert shop.get(1, "bob") == first
    assert (shop.made, shop.kept()) == (2, 3)


def test_a_write_of_another_row_leaves_an_answer_as_it_is(shop):
    for _ in range(2):
        first = shop.get(1)
        shop.write(lambda session: session.add(Note(book_id=2, text="elsewhere")))
    assert shop.get(1) == first
    assert shop.made == 1


def test_a_write_of_its_row_renews_an_answer(shop):
    shop.get(1)
    shop.write(lambda session: session.add(Note(id=7, book_id=1, text="two")))
    assert shop.get(1)["notes"] == ["one", "two"]
    shop.write(lambda session: session.delete(session.get(Note, 7)))
    assert shop.get(1)["notes"] == ["one"]
    shop.write(lambda session: setattr(session.get(Book, 1), "title", "other"))
    assert shop.get(1)["title"] == "other"
    shop.write(lambda session: session.query(Note).filter(Note.text == "one").update({"text": "bulk"}))
    assert shop.get(1)["notes"] == ["bulk"]
    shop.write(lambda session: session.query(Note).filter_by(id=1).update({"book_id": 2}))
    assert (shop.get(1)["notes"], shop.get(2)["notes"]) == ([], ["bulk"])


def test_an_answer_is_good_while_its_statements_give_the_same_rows(shop):
    first, executed = shop.get(1), []
    event.listen(shop.engine, "before_cursor_execute", lambda *a: executed.append(a[2]))
    shop.write(lambda session: setattr(session.get(Book, 2), "title", "renamed"))
    del executed[:]
    assert shop.get(1) == first
    assert shop.made == 1
    assert any("count" in text for text in executed)
    shop.write(lambda session: session.add(Book(id=3, title="third")))
    assert shop.get(1)["total"] == 3


def test_what_another_entry_held_goes_out_of_date_by_more_than_the_rows_that_were_seen(shop):
    shop.statements.sees_all = False
    total = shop.cache.entry("total", ttl_seconds=600, layers=("redis",), depends_on=("books",))
    whole = shop.cache.entry("whole", ttl_seconds=600, layers=("redis",), depends_on=("books",))

    def count():
        with Session(shop.engine) as session:
            return session.query(Book).count()

    def show(number):
        with Session(shop.engine) as session:
            return f"{session.get(Book, number).title} of {total.get_or_compute({}, count)}"

    with shop.app.app_context():
        total.get_or_compute({}, count)
    shop.app.add_url_rule(
        "/whole/<int:number>",
        "whole",
        cached_endpoint(whole, lambda number: {"n": number}, shop.statements)(show),
    )
    assert [shop.client.get("/whole/1").text for _ in range(2)] == ["book 1 of 2"] * 2
    shop.write(lambda session: session.add(Book(id=3, title="third")))
    assert shop.client.get("/whole/1").text == "book 1 of 3"


def test_an_uncommitted_or_rolled_back_write_is_in_no_answer(shop):
    first = shop.get(1)
    with Session(shop.engine) as session:
        session.get(Book, 1).title = "never"
        session.flush()
        session.rollback()
    assert shop.get(1) == first


@pytest.mark.parametrize(("who", "what"), [("bob", "SELECT books.id"), ("ann", "")])
def test_shadow_mode_tells_of_rows_and_answers_that_are_not_those_of_the_database(redis_url, who, what):
    shop = Shop(redis_url, f"statements-shadow-{who}", mode="shadow")
    told = []
    shop.cache.listeners.append(told.append)
    try:
        shop.get(1, "ann")
        driver = shop.engine.raw_connection()
        driver.cursor().execute("UPDATE books SET title = 'unseen' WHERE id = 1")
        driver.commit()
        assert shop.get(1, who)["title"] == "unseen"
    finally:
        shop.watcher.stop()
        shop.cache.close()
    found = [m for m in told if m["event"] == "mismatch" and m["entry"] == "book"]
    assert any(what in m["key"] and "unseen" in m["origin"] and m["stored_t"] < m["t"] for m in found)
