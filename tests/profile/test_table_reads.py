"""Which tables a function reads, in every style of SQLAlchemy."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("body", "tables"),
    [
        ("Post.query.all()", {"posts"}),
        ("Post.query.filter_by(title='x').first_or_404()", {"posts"}),
        ("Post.query.join(Author).filter(Author.name == 'x').all()", {"posts", "authors"}),
        ("Post.query.join(Post.tags).all()", {"posts", "tags", "post_tags"}),
        ("Post.query.filter(Post.tags.any(Tag.name == 'x')).all()", {"posts", "tags", "post_tags"}),
        ("db.session.query(Post, Author).all()", {"posts", "authors"}),
        ("db.session.query(func.count(Comment.id)).scalar()", {"comments"}),
        ("db.session.execute(select(Post).where(Post.id == 1)).scalars().all()", {"posts"}),
        ("db.session.scalars(select(Author.name)).all()", {"authors"}),
        ("db.session.scalar(select(func.count()).select_from(Tag))", {"tags"}),
        ("db.session.get(Post, 1)", {"posts"}),
        ("db.get_or_404(Author, 1)", {"authors"}),
        ("db.paginate(select(Tag)).items", {"tags"}),
        ("Post.query.paginate(page=1).items", {"posts"}),
        ("Post.query[0:10]", {"posts"}),
        ("list(Tag.query)", {"tags"}),
        ("len(Post.query.all())", {"posts"}),
        ("[c.text for c in Post.query.first().comments]", {"posts", "comments"}),
        ("Post.query.first().author.name", {"posts", "authors"}),
        ("Post.query.first().byline", {"posts", "authors"}),
        ("[t.name for t in Post.query.first().tags]", {"posts", "tags", "post_tags"}),
        ("Tag.query.first().posts.count()", {"tags", "posts", "post_tags"}),
        ("Author.query.first().posts[0].title", {"authors", "posts"}),
        ("{p.id: p.author.name for p in Post.query}", {"posts", "authors"}),
        ("sorted(Post.query.all(), key=lambda p: p.author.name)", {"posts", "authors"}),
        ("list(map(lambda p: p.byline, Post.query))", {"posts", "authors"}),
        ("db.session.query(Post).filter(Post.author_id.in_(select(Author.id))).all()", {"posts", "authors"}),
        ("db.session.execute(text('SELECT a.name FROM authors a JOIN posts p ON true')).all()", {"authors", "posts"}),
        ("db.session.execute(text('WITH x AS (SELECT * FROM tags) SELECT * FROM x')).all()", {"tags"}),
        ("db.session.execute(select(post_tags.c.tag_id)).all()", {"post_tags"}),
        ("db.session.query(Post).count()", {"posts"}),
        ("getattr(Post.query.first(), 'author')", {"posts", "authors"}),
    ],
)  # fmt: skip
def test_a_query_reads_its_tables(blog, body, tables):
    evidence = blog(f"\ndef work():\n    return {body}\n")

    assert set(evidence.function("work").effects.reads) == tables


def test_a_query_that_is_put_together_step_by_step_reads_what_each_step_adds(blog):
    evidence = blog(
        """
def work(tag=None, author=None):
    found = Post.query
    if tag:
        found = found.filter(Post.tags.any(Tag.name == tag))
    if author:
        found = found.join(Post.author)
    return [p.title for p in found.limit(10)]
"""
    )

    assert set(evidence.function("work").effects.reads) == {"posts", "post_tags", "tags", "authors"}


def test_rows_are_followed_through_functions_of_other_modules(blog):
    evidence = blog(
        """
from .texts import described

def work():
    return [described(post) for post in Post.query]
""",
        {"blog/texts.py": "def described(thing):\n    return {'by': thing.author.name}\n"},
    )

    assert set(evidence.function("work").effects.reads) == {"posts", "authors"}
    assert evidence.function("work").effects.query_in_loop
    assert evidence.function("described").effects.reads == ("authors",)


def test_a_helper_for_any_class_reads_the_class_it_is_given(blog):
    evidence = blog(
        """
def find(model, key):
    return db.session.get(model, key)

def tag_name(key):
    return find(Tag, key).name

def author_name(key):
    return find(Author, key).name
"""
    )

    assert evidence.function("tag_name").effects.reads == ("tags",)
    assert evidence.function("author_name").effects.reads == ("authors",)


def test_a_parameters_annotation_says_what_it_is(blog):
    evidence = blog("def work(post: Post):\n    return post.author.name\n")

    assert evidence.function("work").effects.reads == ("authors",)


def test_names_reach_through_packages_that_pass_them_on(blog):
    evidence = blog(
        "from . import data\n\ndef work():\n    return data.Writer.query.all()\n",
        {"blog/data/__init__.py": "from .people import Writer\n", "blog/data/people.py": "from ..models import Author as Writer\n"},
    )  # fmt: skip

    assert evidence.function("work").effects.reads == ("authors",)


def test_the_row_that_an_argument_picks_is_known_through_calls(blog):
    evidence = blog(
        """
def load(key):
    return db.session.get(Author, key)

def author_card(author_id):
    author = load(author_id)
    return {"name": author.name, "posts": len(author.posts)}
"""
    )

    candidate = evidence.candidate("author_card")
    assert [(r.table, r.key) for r in candidate.rows] == [("authors", "author_id")]
    assert candidate.reads == ("authors", "posts")


def test_rows_picked_by_another_column_are_not_rows_by_key(blog):
    evidence = blog(
        "def author_card(name):\n    return {'id': Author.query.filter_by(name=name).first().id}\n"
    )

    candidate = evidence.candidate("author_card")
    assert candidate.rows == ()


def test_a_statement_put_together_at_run_time_reads_an_unknown_table(blog):
    evidence = blog("def work(table):\n    return db.session.execute(text('SELECT 1 FROM ' + table)).all()\n")

    assert evidence.function("work").effects.reads == ("?",)


def test_aggregates_joins_and_loops_are_told_apart(blog):
    evidence = blog(
        """
def totals():
    query = db.session.query(Author.name, func.count(Post.id)).join(Post).group_by(Author.name)
    return [{"name": name, "posts": count} for name, count in query]

def pages():
    return [Post.query.get(key).title for key in (1, 2, 3)]
"""
    )

    totals, pages = evidence.function("totals").effects, evidence.function("pages").effects
    assert totals.aggregates and totals.joins == 1 and not totals.query_in_loop
    assert pages.query_in_loop and not pages.aggregates


def test_drivers_given_sql_are_read_too(profiled):
    evidence = profiled(
        {
            "shop.py": """
import sqlite3

def names(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT name FROM people WHERE id = ?", (1,))
    return cursor.fetchall()

def prices():
    return sqlite3.connect("x.db").execute("select price from goods").fetchall()
"""
        }
    )

    assert evidence.function("names").effects.reads == ("people",)
    assert evidence.function("prices").effects.reads == ("goods",)


DECLARATIVE = """
from typing import List, Optional

from sqlalchemy import ForeignKey
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, WriteOnlyMapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Named:
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Shop(Named, Base):
    __tablename__ = "shops"
    shelves: Mapped[List["Shelf"]] = relationship(back_populates="shop")
    visits: WriteOnlyMapped["Visit"] = relationship()


class Shelf(Named, Base):
    __tablename__ = "shelves"
    shop_id: Mapped[Optional[int]] = mapped_column(ForeignKey("shops.id", ondelete="CASCADE"))
    shop: Mapped[Optional["Shop"]] = relationship(back_populates="shelves")
    shop_name = association_proxy("shop", "name")


class Visit(Base):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey(Shop.id))


class Special(Shelf):
    __tablename__ = "specials"
    id: Mapped[int] = mapped_column(ForeignKey("shelves.id"), primary_key=True)
"""


@pytest.mark.parametrize(
    ("body", "tables"),
    [
        ("[s.name for s in session.scalars(select(Shop)).one().shelves]", {"shops", "shelves"}),
        ("session.get(Shelf, 1).shop.name", {"shelves", "shops"}),
        ("session.get(Shelf, 1).shop_name", {"shelves", "shops"}),
        ("session.scalars(session.get(Shop, 1).visits.select()).all()", {"shops", "visits"}),
        ("session.scalars(select(Special)).all()", {"specials", "shelves"}),
        ("session.query(Shop).join(Shelf).all()", {"shops", "shelves"}),
    ],
)
def test_plain_sqlalchemy_models_are_read_as_flask_sqlalchemys(profiled, body, tables):
    evidence = profiled(
        {
            "models.py": DECLARATIVE,
            "work.py": f"""
            from sqlalchemy import create_engine, select
            from sqlalchemy.orm import sessionmaker
            from models import Shelf, Shop, Special

            Session = sessionmaker(create_engine("sqlite://"))

            def work():
                with Session() as session:
                    return {body}
            """,
        }
    )

    assert set(evidence.function("work").effects.reads) == tables


def test_tables_are_as_the_code_declares_them(profiled):
    evidence = profiled({"models.py": DECLARATIVE})
    tables = {table.name: table for table in evidence.tables}

    assert set(tables) == {"shops", "shelves", "visits", "specials"}
    assert tables["shelves"].columns == ("id", "name", "shop_id")
    assert tables["shelves"].parents == {"shop_id": "shops.id"}
    assert tables["visits"].parents == {"shop_id": "shops.id"}
    assert tables["shops"].cascades == ("shelves",)
    assert tables["shops"].primary_key == ("id",)
    assert (tables["shops"].model, tables["shops"].path) == ("models.Shop", "models.py")


def test_flask_sqlalchemys_automatic_table_names_are_known(profiled):
    evidence = profiled(
        {
            "models.py": """
from flask_sqlalchemy import SQLAlchemy
db = SQLAlchemy()

class HTTPLogEntry(db.Model):
    id = db.Column(db.Integer, primary_key=True)

class Special(HTTPLogEntry):
    note = db.Column(db.Text)

class Abstract(db.Model):
    __abstract__ = True
    id = db.Column(db.Integer, primary_key=True)

class OrderLine(Abstract):
    pass
"""
        }
    )

    assert {t.name: t.model for t in evidence.tables} == {
        "http_log_entry": "models.HTTPLogEntry",
        "order_line": "models.OrderLine",
    }


def test_sql_with_gaps_reads_the_tables_that_stand_in_it(blog):
    evidence = blog(
        """
def formatted(where):
    return db.session.execute(text("SELECT * FROM posts {} ORDER BY id".format(where))).all()

def joined(where):
    return db.session.execute(text(f"SELECT p.id FROM posts p JOIN authors a ON true {where}")).all()

def added(column):
    return db.session.execute(text("SELECT id FROM tags ORDER BY " + column)).all()
"""
    )

    reads = {name: evidence.function(name).effects.reads for name in ("formatted", "joined", "added")}
    assert reads == {"formatted": ("posts",), "joined": ("authors", "posts"), "added": ("tags",)}


def test_an_engine_that_a_function_keeps_in_its_module_is_known(profiled):
    evidence = profiled(
        {
            "db.py": """
from sqlalchemy import create_engine
engine = None

def start(url):
    global engine
    engine = create_engine(url)
""",
            "work.py": """
import db
from sqlalchemy import text

def votes(key):
    with db.engine.connect() as connection:
        row = connection.execute(text("SELECT count(*) AS n FROM votes WHERE id = :key"), {"key": key}).first()
        return dict(row._mapping)

def vote(key):
    with db.engine.begin() as connection:
        connection.execute(text("INSERT INTO votes (id) VALUES (:key)"), {"key": key})
""",
        }
    )

    assert evidence.function("votes").effects.reads == ("votes",)
    assert evidence.function("votes").returns == "plain"
    assert [(w.qualname, w.how) for w in evidence.writers] == [("vote", "raw-sql")]


@pytest.mark.parametrize(
    "body",
    [
        "Post.query.filter(Post.id == key).first().title",
        "Post.query.filter(key == Post.id, Post.title == 'x').first().title",
        "Post.query.filter_by(id=int(key)).one().title",
        "db.session.scalars(select(Post).where((Post.id == key) & (Post.title == 'x'))).one().title",
        "db.session.execute(select(Post.title).where(and_(Post.id == key))).scalar_one()",
        "db.session.get(Post, key).title",
        "Post.query.get_or_404(key).title",
    ],
)
def test_a_primary_key_among_the_conditions_picks_the_row(blog, body):
    evidence = blog(f"from sqlalchemy import and_\n\ndef work(key):\n    return {body}\n")

    (candidate,) = evidence.candidates
    assert [(r.table, r.key) for r in candidate.rows] == [("posts", "key")]


@pytest.mark.parametrize(
    "body",
    [
        "Post.query.filter((Post.id == key) | (Post.title == 'x')).first().title",
        "Post.query.filter(or_(Post.id == key, Post.title == 'x')).first().title",
        "Post.query.filter(~(Post.id == key)).first().title",
        "Post.query.filter(Post.id != key).first().title",
        "Post.query.filter(Post.id > key).first().title",
        "Post.query.filter(Post.author_id == key).first().title",
        "Post.query.filter(*([Post.id == key] if key else [])).first().title",
        "(Post.query.filter(Post.id == key) if key else Post.query).first().title",
        "Post.query.filter(Post.id == key if key else Post.title == 'x').first().title",
        "db.session.query(Post).join(Other, Other.id == Post.id).filter(Other.id == key).first().title",
        "Post.query.filter(Post.id == key, Post.author_id.in_(select(Post.author_id))).first().title",
        "Post.query.filter(Post.id == key).union(Post.query).first().title",
        "Post.query.filter(Post.id == key).first().author.posts[0].title",
        "Post.query.filter(Post.id == other(key)).first().title",
    ],
)
def test_conditions_that_let_other_rows_through_pick_none(blog, body):
    evidence = blog(
        "from sqlalchemy import or_\nfrom sqlalchemy.orm import aliased\nOther = aliased(Post)\n"
        "def other(key):\n    return Post.query.filter(Post.title == key).count()\n"
        f"def work(key):\n    return {body}\n"
    )

    candidate = evidence.candidate("work")
    assert "posts" in candidate.reads
    assert [r.table for r in candidate.rows if r.table == "posts"] == []
