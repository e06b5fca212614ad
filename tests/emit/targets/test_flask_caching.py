"""Functions kept by Flask-Caching: the emitted file on a real Flask, Redis and PostgreSQL."""

import importlib
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import flask_caching
import pytest
import redis
from flask import Flask

from cache_strategy.emit.targets import flask_caching as target
from cache_strategy.emit.targets import runtime

numbers = itertools.count()


def write_package(folder: Path) -> str:
    """The emitted modules as a package of a name that no other test has."""
    name = f"caching_{next(numbers)}"
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    for file in (*runtime.FILES.glob("*.py"), target.FILE):
        shutil.copy(file, package)
    return name


class Kept:
    """The emitted package, connected to one Redis, with every event of its cache."""

    def __init__(self, package: str, url: str | None, budget_ms: float = 1000) -> None:
        self.runtime: ModuleType = importlib.import_module(f"{package}.runtime")
        self.module: ModuleType = importlib.import_module(f"{package}.flask_caching_entry")
        self.cache: Any = self.runtime.Cache(url, "app", budget_ms=budget_ms)
        self.events: list[dict[str, Any]] = []
        self.cache.listeners.append(self.events.append)
        self.module.connect(self.cache, url, budget_ms=budget_ms)
        self.flask_cache: flask_caching.Cache = self.module.flask_cache

    def entry(self, name: str = "answer", **options: Any) -> Any:
        return self.module.MemoizedEntry(self.cache, name, **{"ttl_seconds": 300, **options})

    def told(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == event]


@pytest.fixture
def make_kept(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kept]:
    monkeypatch.syspath_prepend(tmp_path)

    def make(mode: str = "on", url: str | None = redis_url, **options: Any) -> Kept:
        monkeypatch.setenv("CACHE_MODE", mode)
        return Kept(write_package(tmp_path), url, **options)

    return make


@pytest.fixture
def kept(make_kept: Callable[..., Kept]) -> Kept:
    return make_kept()


class Origin:
    """A function to keep, which counts its calls."""

    def __init__(self, answer: object = "first") -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def kept_by(self, entry: Any) -> Callable[..., Any]:
        @entry
        def get_user(user_id: object, locale: str = "en") -> Any:
            self.calls.append((user_id, locale))
            return self.answer

        return get_user


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Asks until it holds: for what happens at a time of its own, such as Redis being tried again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        threading.Event().wait(0.02)


# Hits and keys.


def test_the_second_call_is_a_hit_within_and_without_a_request(kept):
    origin = Origin({"name": "Ann", "since": Decimal("1.50")})
    get_user = origin.kept_by(kept.entry())
    app = Flask("shop")
    kept.flask_cache.init_app(app)
    app.add_url_rule("/", view_func=lambda: get_user(7)["name"])
    assert app.test_client().get("/").text == "Ann"
    assert app.test_client().get("/").text == "Ann"
    with app.app_context():
        assert get_user(7) == {"name": "Ann", "since": Decimal("1.50")}
    assert get_user(user_id=7, locale="en") == {"name": "Ann", "since": Decimal("1.50")}
    assert origin.calls == [(7, "en")]


def test_an_application_that_was_never_initialised_is_served_too(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    with Flask("worker").app_context():
        assert [get_user(7), get_user(7)] == ["first", "first"]
        origin.answer = "second"
        kept.cache.invalidate(("users", 7))
        assert get_user(7) == "second"


def test_a_worker_without_any_application_forgets_for_all(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    app = Flask("shop")
    kept.flask_cache.init_app(app)
    with app.app_context():
        get_user(7)
    origin.answer = "second"
    kept.cache.invalidate(("users", 7))
    with app.app_context():
        assert get_user(7) == "second"


@pytest.mark.parametrize("answer", [None, 0, False, "", [], {}, 0.0, (), b""], ids=repr)
def test_a_falsy_answer_is_an_answer(kept, answer):
    origin = Origin(answer)
    get_user = origin.kept_by(kept.entry())
    for _ in range(2):
        served = get_user(7)
        assert served == answer
        assert type(served) is type(answer)
    assert len(origin.calls) == 1


def test_arguments_that_differ_in_type_or_value_have_keys_of_their_own(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry())
    keys = [1, "1", True, None, 1.0, Decimal(1), (1,), [1], ("a", "b:c"), ("a:b", "c"), {"a": 1}, b"1"]
    for key in (*keys, *keys):
        get_user(key)
    assert len(origin.calls) == len(keys)


def test_two_entries_never_share_a_value_whatever_their_names(kept):
    first, second = Origin("one"), Origin("two")
    one, two = first.kept_by(kept.entry("a-b")), second.kept_by(kept.entry("ab"))
    assert [one(1), two(1), one(1), two(1)] == ["one", "two", "one", "two"]


def test_a_caller_that_changes_what_it_got_does_not_change_the_cache(kept):
    get_user = Origin({"tags": ["a"]}).kept_by(kept.entry())
    get_user(7)
    get_user(7)["tags"].append("b")
    assert get_user(7) == {"tags": ["a"]}


def test_a_value_that_would_not_come_back_as_it_is_is_refused_by_name(kept):
    get_user = Origin(object()).kept_by(kept.entry("profile"))
    with pytest.raises(TypeError, match=r"profile: user_id=7.*object.*plain data"):
        get_user(7)


def test_an_exception_of_the_function_reaches_the_caller_and_is_not_kept(kept):
    outcomes = iter([LookupError("no such user"), "Ann"])

    @kept.entry()
    def get_user(user_id):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(LookupError, match="no such user"):
        get_user(7)
    assert [get_user(7), get_user(7)] == ["Ann", "Ann"]


def test_async_and_generator_functions_are_refused_when_they_are_decorated(kept):
    async def later():
        return 1

    def many():
        yield 1

    for function in (later, many):
        with pytest.raises(TypeError, match="only plain results"):
            kept.entry(f"entry-{function.__name__}")(function)


# Invalidation.


def test_a_write_to_a_row_forgets_the_keys_of_that_row_alone(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    for key in ((7, "en"), (7, "de"), (8, "en")):
        get_user(*key)
    origin.answer = "second"
    kept.cache.invalidate(("users", 7))
    assert [get_user(7), get_user(7, "de"), get_user(8)] == ["second", "second", "first"]


@pytest.mark.parametrize("written", [7, "7", "007", Decimal(7)], ids=repr)
@pytest.mark.parametrize("read", [7, "7"], ids=repr)
def test_a_row_is_the_same_row_in_every_form_of_its_key(kept, read, written):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(read)
    origin.answer = "second"
    kept.cache.invalidate(("users", written))
    assert get_user(read) == "second"


def test_rows_with_keys_of_text_are_forgotten_one_by_one(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    known = uuid.uuid4()
    for key in ("Ann Lee", "a-b", "ab", known):
        get_user(key)
    origin.answer = "second"
    kept.cache.invalidate(("users", "a-b"), ("users", str(known)))
    answers = [get_user(key) for key in ("Ann Lee", "a-b", "ab", known)]
    assert answers == ["first", "second", "first", "second"]


def test_a_bulk_write_forgets_every_row(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    origin.answer = "second"
    kept.cache.invalidate("users")
    assert get_user(7) == "second"


@pytest.mark.parametrize(
    "tag", ["products", ("products", 3), "settings", ("orders", 9), "front-page"], ids=repr
)
def test_a_write_to_any_other_dependency_forgets_the_whole_entry(kept, tag):
    origin = Origin()
    depends_on = ("users:{user_id}", "products", "settings", "orders:{locale}")
    get_user = origin.kept_by(kept.entry(depends_on=depends_on, tags=("front-page",)))
    get_user(7, "9")
    origin.answer = "second"
    kept.cache.invalidate(tag)
    assert get_user(7, "9") == "second"


def test_a_write_to_something_else_forgets_nothing(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}", "products")))
    get_user(7)
    kept.cache.invalidate("orders", ("users", 8), "users_archive", "product")
    get_user(7)
    assert len(origin.calls) == 1


def test_the_invalidation_of_another_entry_forgets_nothing_here(kept):
    origin, other = Origin(), kept.cache.entry("other", ttl_seconds=60, depends_on=("users",))
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    other.get_or_compute({"user_id": 7}, lambda: 1)
    other.invalidate(user_id=7)
    other.invalidate_all()
    get_user(7)
    assert len(origin.calls) == 1


def test_everything_can_be_forgotten_at_once(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    origin.answer = "second"
    kept.cache.invalidate_all()
    assert get_user(7) == "second"


def test_a_writer_may_forget_one_key_by_its_arguments(kept):
    origin, entry = Origin(), kept.entry()
    get_user = origin.kept_by(entry)
    get_user(7)
    get_user(8)
    origin.answer = "second"
    entry.invalidate(7)
    entry.invalidate(user_id=7, locale="de")
    assert [get_user(7), get_user(8)] == ["second", "first"]
    entry.invalidate_all()
    assert get_user(8) == "second"


def test_flask_cachings_own_deletion_works_on_the_function(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    get_user(8)
    origin.answer = "second"
    kept.flask_cache.delete_memoized(get_user, 7)
    assert [get_user(7), get_user(8)] == ["second", "first"]
    kept.flask_cache.delete_memoized(get_user)
    assert get_user(8) == "second"
    assert get_user.uncached(9) == "second"


@pytest.mark.parametrize("tag", [("users", 7), "users"], ids=["the row", "the table"])
def test_what_was_being_computed_during_an_invalidation_is_not_served_after_it(kept, tag):
    began, go_on, answers = threading.Event(), threading.Event(), iter(["old", "new"])

    @kept.entry(depends_on=("users:{user_id}",))
    def get_user(user_id):
        answer = next(answers)
        if answer == "old":
            began.set()
            assert go_on.wait(10)
        return answer

    served: list[str] = []
    reader = threading.Thread(target=lambda: served.append(get_user(7)))
    reader.start()
    assert began.wait(10)
    kept.cache.invalidate(tag)
    go_on.set()
    reader.join(10)
    assert served == ["old"]
    assert get_user(7) == "new"


@pytest.mark.parametrize("tag", [("users", 7), "users"], ids=["the row", "the table"])
@pytest.mark.parametrize("moment", [1, 2], ids=["a version is made", "the value has been stored"])
def test_an_invalidation_in_the_moment_in_which_versions_are_written_is_not_lost(
    kept, monkeypatch, tag, moment
):
    """Flask-Caching writes versions when it makes one, and again after a miss."""
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(8)
    write, writes = kept.flask_cache.set_many, itertools.count(1)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(writes) == moment:
            origin.answer = "second"
            kept.cache.invalidate(tag)
        return write(*args, **kwargs)

    monkeypatch.setattr(kept.flask_cache, "set_many", interrupted)
    get_user(7)
    assert next(writes) > moment
    assert get_user(7) == "second"
    assert get_user(8) == ("first" if tag == ("users", 7) else "second")


def test_a_key_that_names_no_row_is_computed_each_time(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    assert [get_user(None), get_user(None)] == ["first", "first"]
    assert len(origin.calls) == 2
    assert [e["reason"] for e in kept.told("bypass")] == ["user_id names no row"] * 2


# What stands in Redis.


def test_everything_in_redis_has_the_namespace_and_expires(kept, redis_url, monkeypatch):
    get_user = Origin().kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    kept.cache.invalidate(("users", 7), ("users", 9), "users")
    get_user(7)
    with redis.Redis.from_url(redis_url) as client:
        names = client.keys("*")
        assert len(names) >= 4
        assert all(name.startswith(b"app:") for name in names)
        assert [name for name in names if client.ttl(name) < 1] == []


def test_the_namespace_of_the_environment_wins(make_kept, redis_url, monkeypatch):
    monkeypatch.setenv("CACHE_NAMESPACE", "verify-1")
    get_user = Origin().kept_by(make_kept().entry())
    get_user(7)
    with redis.Redis.from_url(redis_url) as client:
        assert {name.split(b":")[0] for name in client.keys("*")} == {b"verify-1"}


class Bomb:
    """Makes the file that it names when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_foreign_bytes_in_redis_are_a_miss_and_never_executed(kept, redis_url, tmp_path):
    exploded = tmp_path / "exploded"
    origin = Origin()
    get_user = origin.kept_by(kept.entry())
    poisons = [
        b"!" + pickle.dumps(Bomb(exploded)),
        b"\xff\xfe",
        b"",
        b"17",
        b"m1 ",
        b"m1 0 1 {",
        b'm1 0 1 {"~date":"x"}',
    ]
    with redis.Redis.from_url(redis_url) as client:
        for poison in poisons:
            get_user(7)
            names = client.keys("app:f:*")
            for name in names:
                client.set(name, poison, ex=60)
            assert get_user(7) == "first"
            # A poisoned version is a version like any other; the value under it is looked up, and is not ours.
            for name in names:
                if not name.endswith(b"_memver"):
                    client.set(name, poison, ex=60)
            assert get_user(7) == "first"
    assert not exploded.exists()


def test_the_stored_text_is_json_that_people_can_read(kept, redis_url):
    Origin({"name": "Ann"}).kept_by(kept.entry())(7)
    with redis.Redis.from_url(redis_url) as client:
        values = [client.get(name) or b"" for name in client.keys("app:f:*")]
    assert any(value.endswith(b' {"name":"Ann"}') for value in values)


def test_an_application_keeps_its_own_flask_caching(kept):
    app = Flask("shop")
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_KEY_PREFIX="own:", CACHE_SOURCE_CHECK=True)
    own = flask_caching.Cache(app)
    kept.flask_cache.init_app(app)
    origin = Origin()
    get_user = origin.kept_by(kept.entry())
    own_function = own.memoize(60)(lambda: object())
    with app.app_context():
        assert own_function() is not None
        assert [get_user(7), get_user(7)] == ["first", "first"]
        assert type(own.cache).__name__ == "SimpleCache"
        assert type(kept.flask_cache.cache).__name__ == "TextInRedis"
        kept.cache.invalidate_all()
        assert len(own.cache._cache) == 2  # its value and its version
    assert app.jinja_env.__dict__["_template_fragment_cache"] is own


# Modes.


@pytest.mark.parametrize("options", [{"mode": "off"}, {"url": None}, {"url": ""}], ids=repr)
def test_a_cache_that_is_off_calls_the_function_and_nothing_else(make_kept, redis_url, options):
    kept = make_kept(**options)
    origin, entry = Origin(), kept.entry(depends_on=("users:{user_id}",))
    get_user = origin.kept_by(entry)
    kept.flask_cache.init_app(Flask("shop"))
    get_user(object())
    get_user(7)
    get_user(7)
    entry.invalidate(7)
    entry.invalidate_all()
    kept.cache.invalidate("users")
    assert len(origin.calls) == 3
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_shadow_mode_recomputes_each_hit_and_returns_the_origins_value(make_kept):
    kept = make_kept("shadow")
    origin = Origin({"b": 1, "a": {1, 2}})
    get_user = origin.kept_by(kept.entry())
    get_user(7)
    origin.answer = {"a": {2, 1}, "b": 1}
    assert get_user(7) == {"a": {1, 2}, "b": 1}
    assert [len(kept.told(e)) for e in ("miss", "hit", "mismatch")] == [1, 1, 0]
    origin.answer = {"a": {1, 2}, "b": True}
    assert get_user(7) == {"a": {1, 2}, "b": True}
    (mismatch,) = kept.told("mismatch")
    assert (mismatch["entry"], mismatch["key"]) == ("answer", "user_id=7, locale='en'")
    assert json.loads(mismatch["served"])["b"] == 1
    assert json.loads(mismatch["origin"])["b"] is True
    assert mismatch["stored_t"] <= mismatch["t"]
    assert kept.cache.metrics()["answer"]["mismatches"] == 1


def test_shadow_mode_excuses_a_difference_that_is_announced_while_it_looks(make_kept):
    kept = make_kept("shadow")
    entry = kept.entry(depends_on=("users:{user_id}",))

    @entry
    def get_user(user_id):
        if kept.told("hit"):
            kept.cache.invalidate(("users", 7))
            return "second"
        return "first"

    assert [get_user(7), get_user(7)] == ["first", "second"]
    assert kept.told("mismatch") == []
    assert len(kept.told("uncompared")) == 1


def test_events_and_counts_say_what_happened(kept):
    get_user = Origin("text").kept_by(kept.entry(depends_on=("users:{user_id}",)))
    before = kept.cache.clock()
    get_user(7)
    get_user(7)
    (miss,), (hit,) = kept.told("miss"), kept.told("hit")
    assert {miss["key"], hit["key"]} == {"user_id=7, locale='en'"}
    assert before - 0.01 <= hit["stored_t"] <= hit["t"]
    counts = kept.cache.metrics()["answer"]
    named = ("hits", "misses", "computations", "stores", "errors")
    assert [counts[name] for name in named] == [1, 1, 1, 1, 0]
    assert 'cache_hits_total{entry="answer"} 1' in kept.cache.metrics_prometheus()


# Redis in trouble.


@pytest.mark.parametrize("debug", [False, True], ids=["production", "debug"])
def test_without_redis_the_function_is_called_and_nothing_raises(kept, redis_server, debug):
    origin, entry = Origin(), kept.entry(depends_on=("users:{user_id}",))
    get_user = origin.kept_by(entry)
    app = Flask("shop")
    app.debug = debug
    kept.flask_cache.init_app(app)
    with app.app_context():
        get_user(7)
        redis_server.kill()
        origin.answer = "second"
        assert [get_user(7), get_user(7)] == ["second", "second"]
        kept.cache.invalidate(("users", 7))
        entry.invalidate(7)
        entry.invalidate_all()
        assert kept.told("error")
        redis_server.start()
        eventually(lambda: get_user(7) == "second" and bool(kept.told("hit")))


def test_a_redis_that_hangs_costs_its_budget_once_and_then_nothing(make_kept, redis_server):
    kept = make_kept(budget_ms=50)
    get_user = Origin().kept_by(kept.entry())
    get_user(7)
    redis_server.pause()
    try:
        get_user(7)
        assert len(kept.told("error")) == 1
        reasons = [get_user(7) and kept.told("bypass")[-1]["reason"] for _ in range(20)]
    finally:
        redis_server.resume()
    assert set(reasons) == {"Redis did not answer a moment ago"}
    assert len(kept.told("error")) == 1


def test_an_invalidation_that_redis_did_not_take_is_repeated_before_anything_is_served(
    make_kept, redis_server
):
    kept = make_kept(budget_ms=50)
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    get_user(8)
    redis_server.pause()
    try:
        origin.answer = "second"
        kept.cache.invalidate(("users", 7))
    finally:
        redis_server.resume()
    eventually(lambda: get_user(7) == "second" and bool(kept.told("hit")))
    assert get_user(8) == "first"


def test_a_full_redis_is_only_slower(kept, redis_server, redis_url):
    origin = Origin()
    get_user = origin.kept_by(kept.entry())
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        try:
            assert [get_user(7), get_user(7)] == ["first", "first"]
        finally:
            client.config_set("maxmemory", "0")
    assert get_user(7) == "first"


# An application with a database.

APPLICATION = """
import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from .flask_caching_entry import MemoizedEntry, connect, flask_cache
from .runtime import Cache
from .sqlalchemy_events import watch

db = SQLAlchemy()
cache = Cache(os.environ["REDIS_URL"], "shop", budget_ms=1000)
connect(cache, os.environ["REDIS_URL"], budget_ms=1000)
watcher = watch(cache, {"users": "id"})
user_profile = MemoizedEntry(cache, "user-profile", ttl_seconds=300, depends_on=("users:{user_id}",))
user_count = MemoizedEntry(cache, "user-count", ttl_seconds=300, depends_on=("users",))


class User(db.Model):
    __tablename__ = "users"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String)


@user_profile
def get_user_profile(user_id):
    user = db.session.get(User, user_id)
    return {"name": user.name} if user else None


@user_count
def count_users():
    return db.session.query(User).count()


def rename(user_id, name):
    db.session.get(User, user_id).name = name
    db.session.commit()


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    flask_cache.init_app(app)
    return app
"""


@pytest.fixture
def application(
    tmp_path: Path, redis_url: str, sqlalchemy_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """An application as emit leaves it, with users 1 and 2, in its application context."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", sqlalchemy_url)
    monkeypatch.syspath_prepend(tmp_path)
    package = write_package(tmp_path)
    (tmp_path / package / "application.py").write_text(APPLICATION)
    module = importlib.import_module(f"{package}.application")
    with module.create_app().app_context():
        module.db.create_all()
        module.db.session.add_all([module.User(id=1, name="Ann"), module.User(id=2, name="Bob")])
        module.db.session.commit()
        yield module
        module.db.session.remove()
        module.db.engine.dispose()
    module.watcher.stop()


def hits(application: ModuleType) -> float:
    return sum(counts["hits"] for counts in application.cache.metrics().values())


def test_a_committed_write_is_seen_by_the_next_read(application):
    names = [application.get_user_profile(user_id)["name"] for user_id in (1, 2, 1, 2)]
    assert names == ["Ann", "Bob", "Ann", "Bob"]
    assert hits(application) == 2
    application.rename(1, "Cay")
    names = [application.get_user_profile(user_id)["name"] for user_id in (1, 2)]
    assert names == ["Cay", "Bob"]
    assert hits(application) == 3


def test_a_raw_sql_write_and_a_new_row_forget_what_counts_them(application):
    session, text = application.db.session, application.db.text
    assert [application.count_users(), application.get_user_profile(3)] == [2, None]
    session.add(application.User(id=3, name="Dee"))
    session.commit()
    assert [application.count_users(), application.get_user_profile(3)] == [3, {"name": "Dee"}]
    session.execute(text("DELETE FROM users WHERE id > 1"))
    session.commit()
    assert [application.count_users(), application.get_user_profile(3)] == [1, None]


def test_what_is_not_committed_is_neither_stored_nor_hidden(application):
    assert application.get_user_profile(1) == {"name": "Ann"}
    application.db.session.get(application.User, 1).name = "Eve"
    application.db.session.flush()
    assert application.get_user_profile(1) == {"name": "Eve"}
    application.db.session.rollback()
    assert application.get_user_profile(1) == {"name": "Ann"}


def test_a_writer_may_forget_after_the_commit_of_its_session(application):
    session = application.db.session
    application.get_user_profile(1)
    session.execute(application.db.text("SELECT 1"))
    application.user_profile.invalidate_after_commit(session, user_id=1)
    application.get_user_profile(1)
    assert hits(application) == 1
    session.commit()
    application.get_user_profile(1)
    assert hits(application) == 1


def test_a_write_in_another_process_is_seen_here(application, tmp_path):
    application.get_user_profile(1)
    application.get_user_profile(2)
    application.db.session.remove()
    program = f"""
        from {application.__package__} import application
        with application.create_app().app_context():
            assert application.get_user_profile(1) == {{"name": "Ann"}}
            assert application.cache.metrics()["user-profile"]["hits"] == 1
            application.rename(1, "Cay")
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        timeout=60,
    )
    assert application.get_user_profile(1) == {"name": "Cay"}
    assert application.get_user_profile(2) == {"name": "Bob"}
    assert hits(application) == 1


# The file itself.


def test_the_emitted_file_is_typed_strictly(tmp_path):
    name = write_package(tmp_path)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, f"{name}/{target.FILE.name}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
