"""Which writes of Django invalidate what, when, and what open transactions may store: on PostgreSQL and SQLite."""

import threading
import uuid

import django_scene  # noqa: F401  (sets Django up)
import pytest
from django.db import IntegrityError, connections, models, transaction
from django.db.models import Case, F, Value, When
from library.models import Book, Novel, Shelf, Tag, Unwatched

from cache_strategy.emit.targets.runtime.files import django_events

MODELS = (Shelf, Tag, Book, Novel, Unwatched)
WATCHED = {
    "library_shelf": "id",
    "library_book": "id",
    "library_novel": "book_ptr_id",
    "library_tag": "id",
    "library_book_tags": None,
}


@pytest.fixture(scope="module", params=["postgresql", "sqlite3"])
def databases(request, postgres_server, tmp_path_factory):
    """Two databases of one kind, with a shelf that has two books, the second with a tag."""
    named = []
    for alias in ("default", "other"):
        options = {"ENGINE": f"django.db.backends.{request.param}"}
        if request.param == "sqlite3":
            options["NAME"] = str(tmp_path_factory.mktemp("db") / f"{alias}.sqlite3")
        else:
            named.append(postgres_server.create_database())
            options.update(NAME=postgres_server.url(named[-1]))
            options.update(django_options(postgres_server.url(named[-1])))
        handler = type(connections)(
            {"default": options} if alias == "default" else {"default": {}, alias: options}
        )
        connections.settings[alias] = handler.settings[alias]
        if hasattr(connections._connections, alias):
            del connections[alias]
        with connections[alias].schema_editor() as editor:
            for model in MODELS:
                editor.create_model(model)
    yield request.param
    for alias in ("default", "other"):
        connections[alias].close()
    for name in named:
        postgres_server.drop_database(name)


def django_options(url):
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return {ours: parts[theirs] for theirs, ours in names.items() if theirs in parts}


@pytest.fixture
def library(databases):
    for alias in ("default", "other"):
        for model in (Book.tags.through, Novel, Book, Shelf, Tag):
            model.objects.using(alias)._raw_delete(alias)
        Shelf.objects.using(alias).create(id=1, name="top")
        Book.objects.using(alias).create(id=1, title="Emma", shelf_id=1)
        Book.objects.using(alias).create(id=2, title="Dune", shelf_id=1, next_id=1)
        if databases == "postgresql":
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT setval('library_book_id_seq', 10), setval('library_shelf_id_seq', 10)")


@pytest.fixture
def watched(cache, library):
    watcher = django_events.watch(cache, WATCHED)
    for alias in ("default", "other"):
        watcher._connected(connections[alias])
    yield cache
    watcher.stop()


def said(tags):
    """What was invalidated, as "book", "book:1", "book:*"."""
    return {tag.replace("library_", "") for each in tags for tag in each}


def all_of(*tables):
    return {tag for table in tables for tag in (table, f"{table}:*")}


def rows_of(table, *rows):
    return {table, *(f"{table}:{row}" for row in rows)}


book = rows_of("book", 1)
everything = all_of("book", "shelf", "tag", "book_tags", "novel")


def raw(sql, *params):
    with connections["default"].cursor() as cursor:
        cursor.execute(sql, params)


def many(sql, params):
    with connections["default"].cursor() as cursor:
        cursor.executemany(sql, params)


def new_book(**more):
    return Book(title="Ulysses", **more)


# fmt: off
WRITES = {
    "save": (lambda: Book.objects.get(pk=1).save(), book),
    "save of some fields": (lambda: Book.objects.get(pk=1).save(update_fields=["title"]), book),
    "update by key": (lambda: Book.objects.filter(pk=1).update(read=F("read") + 1), book),
    "update by keys": (lambda: Book.objects.filter(pk__in=[1, 2], read=0).update(read=1), rows_of("book", 1, 2)),
    "update by another column": (lambda: Book.objects.filter(title="Emma").update(read=1), all_of("book")),
    "update by either": (lambda: Book.objects.filter(models.Q(pk=1) | models.Q(read=0)).update(read=1), all_of("book")),
    "update by not the key": (lambda: Book.objects.exclude(pk=1).update(read=1), all_of("book")),
    "update by the key of a relation": (lambda: Book.objects.filter(shelf__name="top").update(read=1), all_of("book")),
    "update where the key stands in a case": (lambda: Book.objects.filter(
        read=Case(When(pk=1, shelf_id=1, then=Value(0)), default=Value(1))).update(read=1), all_of("book")),
    "update of everything": (lambda: Book.objects.update(read=1), all_of("book")),
    "bulk_update": (lambda: Book.objects.bulk_update([Book(pk=1, read=5), Book(pk=2, read=6)], ["read"]), rows_of("book", 1, 2)),
    "create with a key": (lambda: Book.objects.create(pk=7, title="x"), rows_of("book", 7)),
    "create of a uuid": (lambda: Tag.objects.create(pk=uuid.UUID(int=0xa5)), rows_of("tag", "0" * 30 + "a5")),
    "bulk_create with keys": (lambda: Book.objects.bulk_create([new_book(pk=8), new_book(pk=9)]), rows_of("book", 8, 9)),
    "bulk_create that ignores conflicts": (
        lambda: Shelf.objects.bulk_create([Shelf(name="top")], ignore_conflicts=True), all_of("shelf")),
    "bulk_create that updates": (lambda: Shelf.objects.bulk_create(
        [Shelf(name="top")], update_conflicts=True, unique_fields=["name"], update_fields=["name"]), all_of("shelf")),
    "create of a child": (lambda: Novel.objects.create(pk=6, title="x"), rows_of("book", 6) | rows_of("novel", 6)),
    "delete of a row, and what pointed to it": (lambda: Book.objects.get(pk=2).delete(), rows_of("book", 2) | all_of("book", "book_tags")),
    "a cascade": (lambda: Shelf.objects.filter(pk=1).delete(),
                  rows_of("shelf", 1) | rows_of("book", 1, 2) | all_of("book", "book_tags")),
    "delete by another column": (lambda: Tag.objects.filter(books=None)._raw_delete("default"), all_of("tag")),
    "many-to-many": (lambda: Book.objects.get(pk=1).tags.add(Tag.objects.create(pk=uuid.UUID(int=0xa6))),
                     rows_of("tag", "0" * 30 + "a6") | all_of("book_tags")),
    "raw SQL": (lambda: raw("UPDATE library_book SET title = %s WHERE id = 1", "x"), all_of("book")),
    "raw SQL as the ORM writes it": (lambda: raw('UPDATE "library_book" SET "read" = %s WHERE "library_book"."id" = %s', 1, 2), rows_of("book", 2)),
    "raw SQL with a literal": (lambda: raw('''UPDATE "library_book" SET "title" = ' WHERE %%s' WHERE "library_book"."id" = 2'''), all_of("book")),
    "executemany": (lambda: many('DELETE FROM "library_novel" WHERE "library_novel"."book_ptr_id" = %s', [[1], [2]]), rows_of("novel", 1, 2)),
    "a query": (lambda: list(Book.objects.select_related("shelf")), set()),
    "a lock": (lambda: raw("SELECT 1 FROM library_book"), set()),
    "an unwatched table": (lambda: Unwatched.objects.create(), set()),
}
# fmt: on


@pytest.mark.parametrize("name", WRITES)
def test_a_write_names_what_it_changes(watched, tags, name):
    write, expected = WRITES[name]
    write()
    assert said(tags()) == expected


@pytest.mark.parametrize("create", [
    lambda: [Book.objects.create(title="x")],
    lambda: [Book.objects.get_or_create(title="y")[0]],
    lambda: Book.objects.bulk_create([new_book()]),
])  # fmt: skip
def test_a_row_that_the_database_has_numbered_is_named(watched, tags, create):
    made = create()
    assert said(tags()) == rows_of("book", *(each.pk for each in made))
    assert Book.objects.get(pk=made[0].pk).title == made[0].title


def test_rows_that_cannot_be_numbered_are_all_rows(watched, tags, databases):
    made = Book.objects.bulk_create([new_book(), new_book()])
    assert said(tags()) in (rows_of("book", *(each.pk for each in made)), all_of("book"))


def test_truncate_with_cascade_is_everything(watched, tags, databases):
    if databases == "sqlite3":
        raw("DELETE FROM library_shelf WHERE 1 = 0")
        assert said(tags()) == all_of("shelf")
    else:
        raw("TRUNCATE library_shelf CASCADE")
        assert said(tags()) == everything


BY_SHELF = ("library_book.shelf_id", "library_book.title")
TITLES = {"book.title", "book.title:*"}
OF_SHELF = {"book.shelf_id", "book.shelf_id:*"}
# fmt: off
BY_COLUMN = {
    "create": (lambda: Book.objects.create(pk=7, title="x", shelf_id=1), {"book.shelf_id", "book.shelf_id:1", "book.title", "book.title:x"}),
    "create in bulk": (lambda: Book.objects.bulk_create([new_book(pk=8, shelf_id=1), new_book(pk=9)]),
                       {"book.shelf_id", "book.shelf_id:1", "book.shelf_id:*", "book.title", "book.title:ulysses"}),
    "update of the column": (lambda: Book.objects.filter(shelf_id=1).update(shelf_id=None), OF_SHELF | TITLES),
    "update by the column": (lambda: Book.objects.filter(shelf_id=1).update(read=1), {"book.shelf_id", "book.shelf_id:1"} | TITLES),
    "update by another": (lambda: Book.objects.filter(pk=1).update(read=1), OF_SHELF | TITLES),
    "delete by the column": (lambda: Book.objects.filter(shelf_id=5, title__in=["a", "b"])._raw_delete("default"),
                             {"book.shelf_id", "book.shelf_id:5", "book.title", "book.title:a", "book.title:b"}),
    "save": (lambda: Book.objects.get(pk=1).save(), OF_SHELF | TITLES),
    "raw SQL": (lambda: raw("UPDATE library_book SET read = 1"), OF_SHELF | TITLES),
}
# fmt: on


@pytest.mark.parametrize("name", BY_COLUMN)
def test_a_write_names_what_its_columns_hold(cache, library, tags, name):
    watcher = django_events.Watcher(cache, WATCHED, BY_SHELF)
    watcher.start()
    write, expected = BY_COLUMN[name]
    write()
    assert {tag for tag in said(tags()) if "." in tag} == expected
    watcher.stop()


@pytest.mark.parametrize("more", [{}, {"ignore_conflicts": True}])
def test_an_association_names_both_its_sides(cache, library, tags, more):
    watched = django_events.Watcher(cache, WATCHED, ["library_book_tags.book_id"])
    tag = Tag.objects.create(pk=uuid.UUID(int=0xA8))
    watched.start()
    through = Book.tags.through
    through.objects.bulk_create([through(book_id=1, tag_id=tag.pk)], **more)
    Book.objects.get(pk=1).tags.remove(tag)
    assert {each for each in said(tags()) if "." in each} == {"book_tags.book_id", "book_tags.book_id:1"}
    watched.stop()


def test_a_row_is_found_by_a_unique_column_until_a_write_may_have_moved_it(cache, library):
    watcher = django_events.Watcher(cache, WATCHED, ["library_shelf.name"])
    watcher.start()
    find = django_events.row_finder(cache, "library_shelf", "name")
    assert [find("top"), find("top"), find("low"), find(None)] == [1, 1, None, ""]
    assert cache.entries["library_shelf-by-name"].counts["hits"] == 1
    Shelf.objects.filter(pk=1).update(name="low")
    assert [find("top"), find("low")] == [None, 1]
    watcher.stop()


# When.


def title(alias="default"):
    return Book.objects.using(alias).get(pk=1).title


@pytest.fixture
def entry(watched):
    return watched.entry("book", ttl_seconds=600, depends_on=("library_book:{pk}",))


def read(entry, compute=title):
    return entry.get_or_compute({"pk": 1}, compute)


def rename(to="Persuasion", alias="default"):
    Book.objects.using(alias).filter(pk=1).update(title=to)


def elsewhere(work):
    """In a thread, and so on a connection, of its own."""

    def run():
        try:
            done.append(work())
        finally:
            connections.close_all()

    done = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return done[0]


def test_a_committed_write_is_seen_by_the_next_read_and_a_hit_is_a_hit(entry):
    assert read(entry) == read(entry) == "Emma"
    assert entry.counts["hits"] == 1
    rename()
    assert read(entry) == "Persuasion"


def test_nothing_is_told_before_the_outermost_commit(entry, tags):
    read(entry)
    with transaction.atomic():
        with transaction.atomic():
            rename()
        assert tags() == []
        assert read(entry) == "Persuasion"  # past the cache
        assert elsewhere(lambda: read(entry)) == "Emma"
    assert said(tags()) == book
    assert read(entry) == "Persuasion"


@pytest.mark.parametrize("savepoint", [True, False])
def test_a_rollback_tells_nothing(entry, tags, savepoint):
    read(entry)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        with transaction.atomic(savepoint=savepoint):
            rename()
        raise ZeroDivisionError
    assert tags() == []
    assert read(entry) == "Emma"
    assert entry.counts["hits"] == 1


def test_a_savepoint_that_is_rolled_back_takes_its_writes_along(entry, tags):
    with transaction.atomic():
        Shelf.objects.filter(pk=1).update(name="low")
        with pytest.raises(IntegrityError), transaction.atomic():
            rename()
            Shelf.objects.create(name="low")
        Tag.objects.create(pk=uuid.UUID(int=0xA7))
    assert said(tags()) == rows_of("shelf", 1) | rows_of("tag", "0" * 30 + "a7")


def test_a_savepoint_by_hand_is_heard_at_the_commit(entry, tags):
    with transaction.atomic():
        rename()
        sid = transaction.savepoint()
        rename("Sanditon")
        transaction.savepoint_rollback(sid)
    assert said(tags()) == book
    assert read(entry) == "Persuasion"


def test_two_databases_commit_each_for_itself(entry, tags):
    with transaction.atomic(using="other"):
        rename(alias="other")
        with transaction.atomic():
            Shelf.objects.filter(pk=1).update(name="low")
        assert said(tags()) == rows_of("shelf", 1)
    assert said(tags()) == rows_of("shelf", 1) | book


def test_without_autocommit_a_write_is_told_when_it_is_committed(entry, tags):
    transaction.set_autocommit(False)
    try:
        rename()
        transaction.rollback()
        rename()
        assert tags() == []
        transaction.commit()
        assert said(tags()) == book
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_hooks_of_the_application_run_after_the_invalidation_and_are_not_added_to(entry):
    seen = []
    read(entry)
    with transaction.atomic():
        transaction.on_commit(lambda: seen.append(read(entry)))
        rename()
        assert len(connections["default"].run_on_commit) == 1
    assert seen == ["Persuasion"]


def test_one_key_is_forgotten_after_the_commit(entry, tags):
    with transaction.atomic():
        entry.invalidate_after_commit(None, pk=1)
        assert tags() == []
    assert len(tags()) == 1


def test_a_value_of_a_transaction_older_than_a_write_is_served_and_not_stored(entry, databases):
    with transaction.atomic():
        early = title()
        elsewhere(rename) if databases == "postgresql" else entry.cache.invalidate(("library_book", 1))
        assert read(entry, lambda: early) == "Emma"
    assert read(entry) == title()
    assert entry.counts["hits"] == 0


def test_a_transaction_that_was_rolled_back_or_closed_holds_nothing_up(entry):
    for end in (lambda: transaction.set_rollback(True), connections["default"].close):
        with transaction.atomic():
            rename()
            end()
        entry.cache.invalidate("library_book")
        assert read(entry) == read(entry) == "Emma"
    assert entry.counts["hits"] == 2


def test_a_failure_to_understand_a_write_invalidates_everything(watched, tags, monkeypatch):
    monkeypatch.setattr(django_events.Watcher, "wrote", lambda *_: 1 / 0)
    with pytest.warns(RuntimeWarning, match="invalidates everything"):
        rename()
    assert said(tags()) == everything
    assert title() == "Persuasion"


def test_a_watcher_that_stops_leaves_the_connection_as_it_was(cache, library):
    connection = connections["default"]
    before = [getattr(connection, name) for name in ("commit", "rollback")]
    watcher = django_events.watch(cache, WATCHED)
    watcher.stop()
    assert [getattr(connection, name) for name in ("commit", "rollback")] == before
    assert not connection.execute_wrappers
