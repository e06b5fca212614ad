"""Who writes a table, and how."""

from __future__ import annotations

import pytest


def found(evidence, qualname):
    return {(table, w.how) for w in evidence.writers if w.qualname == qualname for table in w.tables}


@pytest.mark.parametrize(
    ("body", "writes"),
    [
        ("db.session.add(Tag(name='x'))", {("tags", "orm")}),
        ("db.session.add_all([Tag(name='x'), Author(name='y')])", {("tags", "orm"), ("authors", "orm")}),
        ("db.session.merge(Tag(id=1))", {("tags", "orm")}),
        ("Post.query.first().title = 'x'", {("posts", "orm")}),
        ("setattr(Post.query.first(), 'title', 'x')", {("posts", "orm")}),
        ("db.session.get(Post, 1).author = Author.query.first()", {("posts", "orm")}),
        ("Post.query.filter_by(id=1).update({'title': 'x'})", {("posts", "bulk")}),
        ("Tag.query.delete()", {("tags", "bulk")}),
        ("db.session.execute(update(Post).values(title='x'))", {("posts", "bulk")}),
        ("db.session.execute(insert(Tag), [{'name': 'x'}])", {("tags", "bulk")}),
        ("db.session.execute(post_tags.insert().values(post_id=1, tag_id=2))", {("post_tags", "bulk")}),
        ("db.session.bulk_insert_mappings(Tag, [])", {("tags", "bulk")}),
        ("db.session.execute(text('UPDATE tags SET name = :n'), {'n': 1})", {("tags", "raw-sql")}),
        ("db.session.execute(text('INSERT INTO tags (name) SELECT name FROM authors'))", {("tags", "raw-sql")}),
        ("db.session.execute('DELETE FROM comments')", {("comments", "raw-sql")}),
        ("Post.query.first().tags.append(Tag.query.first())", {("post_tags", "many-to-many")}),
        ("Post.query.first().tags.append(Tag(name='x'))", {("post_tags", "many-to-many"), ("tags", "orm")}),
        ("Tag.query.first().posts.remove(Post.query.first())", {("post_tags", "many-to-many")}),
        ("Post.query.first().comments.append(Comment(text='x'))", {("comments", "orm")}),
        ("db.session.add(Post(tags=[Tag(name='x')]))", {("posts", "orm"), ("tags", "orm"), ("post_tags", "many-to-many")}),
        (
            "db.session.delete(Post.query.first())",
            {("posts", "orm"), ("post_tags", "cascade"), ("comments", "cascade")},
        ),
        ("db.session.execute(delete(Post))", {("posts", "bulk"), ("post_tags", "cascade")}),
        ("db.session.add(make())", {("?", "orm")}),
    ],
)  # fmt: skip
def test_a_statement_writes_its_tables(blog, body, writes):
    evidence = blog(f"\ndef work(make):\n    {body}\n    db.session.commit()\n")

    assert found(evidence, "work") == writes


def test_reading_code_writes_nothing(blog):
    evidence = blog(
        "def work():\n    post = Post.query.first()\n    post.shown = True\n    return post.title\n"
    )

    assert evidence.writers == ()


MIXIN = """
class Saving:
    def save(self):
        db.session.add(self)
        db.session.commit()
        return self

    def change(self, **values):
        for name, value in values.items():
            setattr(self, name, value)
        return self.save()

class Note(Saving, db.Model):
    __tablename__ = "notes"
    id = db.Column(db.Integer, primary_key=True)

class Label(Saving, db.Model):
    __tablename__ = "labels"
    id = db.Column(db.Integer, primary_key=True)
"""


def test_a_mixins_method_writes_the_table_of_the_class_it_is_called_on(blog):
    evidence = blog(
        MIXIN
        + "\ndef add_note():\n    Note().save()\n"
        + "\ndef rename(key):\n    Label.query.get(key).change(name='x')\n"
    )

    assert found(evidence, "add_note") == {("notes", "orm")}
    assert found(evidence, "rename") == {("labels", "orm")}
    assert {table for table, _ in found(evidence, "Saving.save")} == {"notes", "labels"}


def test_saving_something_unknown_is_a_writer_of_an_unknown_table(blog):
    evidence = blog(MIXIN + "\ndef keep(thing):\n    thing.save()\n")

    assert found(evidence, "keep") == {("?", "orm")}


def test_who_commits_what_a_function_below_changed_is_a_writer_too(blog):
    evidence = blog(
        """
def rename(post, title):
    post.title = title

def rename_first(title):
    rename(Post.query.first(), title)
    db.session.commit()
"""
    )

    assert found(evidence, "rename") == found(evidence, "rename_first") == {("posts", "orm")}


def test_a_write_in_another_file_is_a_writer_of_the_candidate(blog):
    evidence = blog(
        "def tag_names():\n    return [t.name for t in Tag.query]\n",
        {"blog/jobs/clean.py": "from ..models import Tag, db\n\ndef clean():\n    Tag.query.delete()\n    db.session.commit()\n"},
    )  # fmt: skip

    candidate = evidence.candidate("tag_names")
    assert [(w.path, w.qualname, w.how) for w in candidate.writers] == [
        ("blog/jobs/clean.py", "clean", "bulk")
    ]


def test_tests_are_no_writers(blog):
    evidence = blog(
        "",
        {
            "tests/test_tags.py": "from blog.models import Tag, db\n\ndef test_it():\n    db.session.add(Tag())\n"
        },
    )

    assert evidence.writers == ()


def test_a_signals_receiver_runs_where_the_signal_is_sent(blog):
    evidence = blog(
        """
from blinker import Namespace
published = Namespace().signal("published")

@published.connect
def count(sender):
    Tag.query.update({"name": "x"})

def publish():
    published.send(1)
"""
    )

    assert evidence.function("publish").effects.writes == ("tags",)
    assert found(evidence, "count") == {("tags", "bulk")}


def test_a_form_that_is_only_posted_is_not_read_by_a_get(blog):
    evidence = blog(
        """
@bp.route("/tags", methods=["GET", "POST"])
def tags():
    if request.method == "POST":
        db.session.add(Tag(name=request.form["name"]))
        db.session.commit()
        return redirect("/tags")
    return jsonify([t.name for t in Tag.query])
"""
    )

    got, posted = evidence.endpoint("GET /tags"), evidence.endpoint("POST /tags")
    assert (got.reads, got.writes, got.context) == (("tags",), (), ())
    assert (posted.reads, posted.writes, posted.context) == ((), ("tags",), ("body",))
