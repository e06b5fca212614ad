"""What Django's SELECTs gave, on PostgreSQL and SQLite: every write is in the next answer of every query, and what may change unheard is not kept."""

import itertools
import sys
import threading
import uuid

import django_scene  # noqa: F401  (sets Django up)
import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.http import JsonResponse
from django.test import Client
from django.urls import clear_url_caches, path
from library.models import Book, Novel, Shelf, Tag
from test_runtime_django import WATCHED, databases, library  # noqa: F401  (fixtures)

from cache_strategy.emit.targets.runtime.files import django_events, django_statements
from cache_strategy.emit.targets.runtime.files.django_http import cached_endpoint
from cache_strategy.emit.targets.runtime.files.statements import Statements

ONE = uuid.UUID("12345678-1234-5678-1234-567812345678")
COLUMNS = ("library_book.shelf_id", "library_book.next_id", "library_book_tags.book_id", "library_shelf.name")
books = Book.objects.order_by("id")
QUERIES = {
    "by key": lambda: books.filter(pk=1).values_list("title"),
    "by text of a key": lambda: books.filter(pk="1").values_list("title"),
    "by several keys": lambda: books.filter(pk__in=[1, 2]).values_list("title", "read"),
    "by parent": lambda: books.filter(shelf_id=1).values_list("id", "title"),
    "by another parent": lambda: books.filter(next_id=1).values_list("id"),
    "of none": lambda: books.filter(shelf=None).values_list("id"),
    "through a join": lambda: books.filter(shelf__name="top").values_list("id"),
    "with an outer join": lambda: books.filter(pk=2).values_list("title", "next__title", "shelf__name"),
    "a count": lambda: Shelf.objects.filter(pk=1).annotate(n=Count("book")).values_list("n"),
    "exists": lambda: Shelf.objects.filter(Exists(Book.objects.filter(shelf=OuterRef("pk")))).values_list("id"),
    "not exists": lambda: books.exclude(tags__isnull=False).values_list("id"),
    "or": lambda: books.filter(Q(pk=1) | Q(shelf_id=1)).values_list("id"),
    "the associated": lambda: Tag.objects.filter(books__id=2).values_list("id"),
    "inherited": lambda: Novel.objects.filter(pk=1).values_list("title", "pages"),
    "the latest": lambda: Book.objects.order_by("-id")[:1].values_list("id"),
    "a text": lambda: Shelf.objects.filter(name="top").values_list("id"),
}  # fmt: skip
WRITES = {
    "a row into a filter": lambda: Book.objects.create(title="new", shelf_id=1, next_id=1),
    "several": lambda: Book.objects.bulk_create([Book(title=t, shelf_id=s) for t, s in (("a", 1), ("b", None))]),
    "moved out": lambda: Book.objects.filter(shelf_id=1, pk=1).update(shelf_id=None),
    "moved in": lambda: Book.objects.filter(shelf=None).update(shelf_id=1),
    "saved": lambda: Book(pk=1, title="saved", shelf_id=1).save(),
    "an expression": lambda: Book.objects.filter(next_id=1).update(next_id=F("id"), read=F("read") + 1),
    "many": lambda: Book.objects.bulk_update([Book(pk=1, read=5), Book(pk=2, read=6)], ["read"]),
    "associated": lambda: Book.objects.get(pk=2).tags.add(Tag.objects.create(id=ONE)),
    "a child": lambda: Novel.objects.create(title="novel", shelf_id=1),
    "renamed": lambda: Shelf.objects.filter(pk=1).update(name="other"),
    "renamed back": lambda: Shelf.objects.filter(name="other").update(name="top"),
    "raw": lambda: connection.cursor().execute("UPDATE library_book SET title = 'raw' WHERE id = 2"),
    "raw for many": lambda: connection.cursor().executemany(
        "UPDATE library_book SET title = %s WHERE id = %s", [("x", 1), ("y", 2)]
    ),
    "no longer associated": lambda: Book.objects.get(pk=2).tags.clear(),
    "deleted with what depends on it": lambda: Shelf.objects.filter(pk=1).delete(),
}  # fmt: skip


class Asked:
    """An application that answers with the rows of one query, or of what a test puts before it."""

    def __init__(self, cache):
        self.cache = cache
        self.watcher = django_events.watch(cache, WATCHED, COLUMNS)
        for alias in ("default", "other"):
            self.watcher._connected(connections[alias])
        self.statements = django_statements.keep(
            self.watcher, Statements(cache, self.watcher.tables, self.watcher.columns, sees_all=True)
        )
        self.entry = cache.entry("q", ttl_seconds=600, layers=("redis",), depends_on=tuple(WATCHED))
        self.view = self.fresh
        self.callers = itertools.count()
        page = cached_endpoint(
            self.entry, lambda request, name: {"who": request.GET["who"]}, statements=self.statements
        )(lambda request, name: JsonResponse({"rows": self.view(name)}))
        self.urlpatterns = [path("<name>", page)]

    def fresh(self, name):
        return [list(map(str, row)) for row in QUERIES[name]()]

    def get(self, name, who):
        return Client().get(f"/{name}", {"who": who}).json()["rows"]

    def is_kept(self, change, name="by key"):
        """Whether a caller after the first one gets what a write changed that nobody heard."""
        first = self.get(name, f"c{next(self.callers)}")
        change()
        return self.get(name, f"c{next(self.callers)}") == first


@pytest.fixture
def asked(cache, library, monkeypatch):  # noqa: F811
    made = Asked(cache)
    module = type(sys)("urls_of_the_test")
    module.urlpatterns = made.urlpatterns
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(settings, "ROOT_URLCONF", module.__name__, raising=False)
    clear_url_caches()
    yield made
    made.watcher.stop()


def unheard():
    """A write of another program."""
    driver = connection.connection.cursor()
    driver.execute("UPDATE library_book SET title = 'unheard' || title WHERE id = 1")
    driver.close()


@pytest.mark.parametrize("atomic", [False, True])
def test_every_write_is_in_the_next_answer_of_every_query(asked, atomic):
    for name in QUERIES:
        assert [asked.get(name, who) for who in "ab"] == [asked.fresh(name)] * 2
    kept = asked.statements.entry.counts["hits"]
    assert kept >= 14
    for title, write in WRITES.items():
        with transaction.atomic() if atomic else connection.execute_wrapper(lambda call, *a: call(*a)):
            write()
        for name in QUERIES:
            for who in "ab":
                assert asked.get(name, who) == asked.fresh(name), (title, name)
    assert asked.statements.entry.counts["hits"] > kept + 50


def test_what_nobody_heard_is_kept(asked):
    """The control: without a reason not to, rows are kept."""
    assert asked.is_kept(unheard)


def in_thread(call):
    found = []
    thread = threading.Thread(target=lambda: (found.append(call()), connections.close_all()))
    thread.start()
    thread.join()
    return found[0]


def wrapped(call):
    with connection.execute_wrapper(lambda execute, *arguments: execute(*arguments)):
        return call()


def locked(call):
    with transaction.atomic():
        list(Shelf.objects.select_for_update())
        return call()


def after(sql, *sets):
    def view(call):
        with connection.cursor() as cursor:
            cursor.executemany(sql, sets) if sets else cursor.execute(sql)
        return call()

    return view


VIEWS = {
    "SET": ("SET search_path = public",),
    "set_config": ("SELECT set_config('app.tenant', '1', false)",),
    "a temporary table": ("CREATE TEMP TABLE IF NOT EXISTS x (id int)",),
    "a write": ("INSERT INTO library_shelf (name) VALUES ('seen') ON CONFLICT DO NOTHING",),
    "many writes": ("UPDATE library_shelf SET name = name WHERE id = %s", (8,), (9,)),
    "a lock": locked,
    "another wrapper": wrapped,
    "another thread": in_thread,
}


NOT_OF_SQLITE = ("SET", "set_config", "a lock")


@pytest.mark.parametrize(
    ("databases", "name"),
    [("postgresql", name) for name in VIEWS]
    + [("sqlite3", name) for name in VIEWS if name not in NOT_OF_SQLITE],
    indirect=["databases"],
)
def test_a_request_that_does_more_than_read_gets_rows_of_the_database(asked, databases, name):  # noqa: F811
    view = after(*VIEWS[name]) if isinstance(VIEWS[name], tuple) else VIEWS[name]
    asked.view = lambda query: view(lambda: asked.fresh(query))
    assert not asked.is_kept(unheard)


DOUBTS = {
    "a trigger that writes": {
        "postgresql": """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN UPDATE library_book SET read = 1; RETURN NEW; END $$;
            CREATE TRIGGER t AFTER INSERT ON library_tag FOR EACH ROW EXECUTE FUNCTION f()""",
        "sqlite3": "CREATE TRIGGER t AFTER INSERT ON library_tag BEGIN UPDATE library_book SET read = 1; END",
        "undo": ("DROP TRIGGER t ON library_tag; DROP FUNCTION f", "DROP TRIGGER t"),
    },
    "row level security": {
        "postgresql": "ALTER TABLE library_book ENABLE ROW LEVEL SECURITY",
        "undo": ("ALTER TABLE library_book DISABLE ROW LEVEL SECURITY",),
    },
}


@pytest.mark.parametrize(
    ("databases", "name"),
    [(database, name) for name in DOUBTS for database in DOUBTS[name] if database != "undo"],
    indirect=["databases"],
)
def test_a_database_that_changes_rows_by_itself_has_none_kept(asked, databases, name):  # noqa: F811
    with connection.cursor() as cursor:
        cursor.execute(DOUBTS[name][databases])
    try:
        assert not asked.is_kept(unheard)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(DOUBTS[name]["undo"][databases == "sqlite3"])


def test_an_uncommitted_write_is_in_no_others_answer(asked):
    with transaction.atomic():
        Book.objects.filter(pk=1).update(title="never")
        asked.get("by key", "a")
        transaction.set_rollback(True)
    assert [asked.get("by key", who) for who in "ab"] == [[["Emma"]]] * 2


def test_an_answer_depends_on_what_its_request_has_read_before(asked):
    page = asked.urlpatterns[0].callback

    def outer(request, name):
        title = asked.fresh(name)
        asked.view = lambda name: title
        return page(request, name)

    asked.urlpatterns[0].callback = outer
    clear_url_caches()
    asked.get("by key", "a")
    Book.objects.filter(pk=1).update(title="told")
    assert asked.get("by key", "a") == [["told"]]
