"""Functions kept by Flask-Caching: the emitted file on a real Flask and Redis."""

import importlib
import itertools
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import flask_caching
import pytest
import redis
from flask import Flask
from web_origin import eventually

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
        self.package = package
        self.runtime: ModuleType = importlib.import_module(f"{package}.runtime")
        self.module: ModuleType = importlib.import_module(f"{package}.flask_caching_entry")
        self.cache: Any = self.runtime.Cache(url, "app", budget_ms=budget_ms)
        self.events: list[dict[str, Any]] = []
        self.cache.listeners.append(self.events.append)
        self.module.connect(self.cache, url)
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


# Hits and keys. What a key or a value may be is the runtime's, and so are its tests.


def test_the_second_call_is_a_hit_within_and_without_a_request(kept):
    answer = {"name": "Ann", "since": Decimal("1.50"), "tags": ["a"]}
    origin = Origin(answer)
    get_user = origin.kept_by(kept.entry())
    app = Flask("shop")
    kept.flask_cache.init_app(app)
    app.add_url_rule("/", view_func=lambda: get_user(7)["name"])
    assert app.test_client().get("/").text == "Ann"
    assert app.test_client().get("/").text == "Ann"
    with app.app_context():
        get_user(7)["tags"].append("changed by a caller")
    assert get_user(user_id=7, locale="en") == answer
    assert origin.calls == [(7, "en")]
    counts = kept.cache.metrics()["answer"]
    assert [counts[name] for name in ("hits", "misses", "computations", "stores", "errors")] == [
        3,
        1,
        1,
        1,
        0,
    ]
    assert {e["key"] for e in kept.told("hit") + kept.told("miss")} == {"locale='en', user_id=7"}


def test_arguments_of_every_kind_have_keys_of_their_own(kept):
    origin = Origin()
    get_user = origin.kept_by(kept.entry())
    keys = [1, "1", True, None, ("a", "b:c"), ("a:b", "c"), "\ud800", "long" * 99]
    for key in (*keys, *keys):
        get_user(key)
    assert len(origin.calls) == len(keys)


def test_two_entries_never_share_a_value_nor_a_name(kept):
    first, second = Origin("one"), Origin("two")
    one, two = first.kept_by(kept.entry("a-b")), second.kept_by(kept.entry("ab"))
    assert [one(1), two(1), one(1), two(1)] == ["one", "two", "one", "two"]
    with pytest.raises(ValueError, match="an entry of this name already"):
        kept.entry("ab")


def test_an_entry_before_flask_caching_knows_its_redis_or_without_a_life_is_refused(kept):
    with pytest.raises(ValueError, match="1 or more"):
        kept.entry(ttl_seconds=0)
    kept.flask_cache.config = None
    with pytest.raises(RuntimeError, match="call connect"):
        kept.entry()


# Invalidation.


def after(kept: Kept, write: Callable[[Any, Any], object], **options: Any) -> list[str]:
    """What users 7, in two locales, and 8 are told after a write, in and out of an application that was never initialised."""
    origin, entry = Origin(), kept.entry(**{"depends_on": ("users:{user_id}", "products"), **options})
    get_user = origin.kept_by(entry)
    keys = ((7, "en"), (7, "de"), (8, "en"))
    with Flask("worker").app_context():
        assert [get_user(*key) for key in keys * 2] == ["first"] * 6
        assert len(origin.calls) == 3
    origin.answer = "second"
    write(entry, get_user)
    with Flask("worker").app_context():
        return [get_user(*key) for key in keys]


ALL = ["second", "second", "second"]
ROW = ["second", "second", "first"]
KEY = ["second", "first", "first"]


@pytest.mark.parametrize(
    ("tag", "forgotten"),
    [
        (("users", 7), ROW),
        (("users", "007"), ROW),
        ("users", ALL),
        ("products", ALL),
        (("products", 3), ALL),
        ("front-page", ALL),
        (("users", 9), ["first"] * 3),
        ("users_archive", ["first"] * 3),
    ],
    ids=repr,
)
def test_a_write_forgets_what_depends_on_it_and_nothing_else(kept, tag, forgotten):
    assert after(kept, lambda *_: kept.cache.invalidate(tag), tags=("front-page",)) == forgotten


@pytest.mark.parametrize(
    ("forget", "forgotten"),
    [
        (lambda entry, f: entry.invalidate(user_id=7, locale="en"), KEY),
        (lambda entry, f: entry.invalidate(user_id=7), KEY),
        (lambda entry, f: entry.invalidate_all(), ALL),
        (lambda entry, f: entry.cache.invalidate_all(), ALL),
    ],
    ids=["one key", "one key by its defaults", "the entry", "everything"],
)
def test_a_writer_may_forget_by_name(kept, forget, forgotten):
    assert after(kept, forget) == forgotten


@pytest.mark.parametrize(("arguments", "forgotten"), [((7,), KEY), ((7, "en"), KEY), ((), ALL)])
def test_flask_cachings_own_deletion_works_on_the_function(kept, arguments, forgotten):
    assert after(kept, lambda _, f: kept.flask_cache.delete_memoized(f, *arguments)) == forgotten


def test_a_function_of_another_cache_is_refused(kept):
    with pytest.raises(TypeError, match="the Cache that memoizes it"):
        kept.flask_cache.delete_memoized(len)


@pytest.mark.parametrize("tag", [("users", 7), "users"], ids=["the row", "the table"])
@pytest.mark.parametrize("deletes", [False, True], ids=["a write", "delete_memoized"])
def test_what_was_being_computed_during_an_invalidation_is_not_served_after_it(kept, tag, deletes):
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
    if deletes:
        kept.flask_cache.delete_memoized(get_user, 7)
    else:
        kept.cache.invalidate(tag)
    go_on.set()
    reader.join(10)
    assert served == ["old"]
    assert get_user(7) == "new"


# What stands in Redis.


@pytest.mark.parametrize("namespace", ["", "verify-1"])
def test_everything_in_redis_has_the_namespace_and_expires(make_kept, redis_url, monkeypatch, namespace):
    monkeypatch.setenv("CACHE_NAMESPACE", namespace)
    kept = make_kept()
    get_user = Origin({"name": "Ann"}).kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    kept.cache.invalidate(("users", 7), ("users", 9), "users")
    get_user(7)
    prefix = (namespace or "app").encode()
    with redis.Redis.from_url(redis_url) as client:
        names = client.keys("*")
        assert {name.split(b":")[0] for name in names} == {prefix}
        assert [name for name in names if client.ttl(name) < 1] == []
        (value,) = [client.get(name) or b"" for name in client.keys(prefix + b":f:*")]
    assert value.endswith(b'\n{"name":"Ann"}')


class Bomb:
    """Makes the file that it names when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_foreign_bytes_in_redis_are_a_miss_and_never_executed(kept, redis_url, tmp_path):
    exploded = tmp_path / "exploded"
    get_user = Origin().kept_by(kept.entry())
    get_user(7)
    with redis.Redis.from_url(redis_url) as client:
        (name,) = client.keys("app:f:*")
        whole = client.get(name) or b""
        for poison in (
            b"!" + pickle.dumps(Bomb(exploded)),
            b"\xff\xfe",
            b"",
            b"17",
            whole[:-2],
            whole.replace(b'"first"', b'"fir\xff"'),
        ):
            client.set(name, poison, ex=60)
            assert get_user(7) == "first"
        assert kept.cache.metrics()["answer"]["hits"] == 0
        client.delete(name)
        client.lpush(name, "another type")
        assert get_user(7) == "first"
    assert not exploded.exists()


def test_an_application_keeps_its_own_flask_caching(kept):
    app = Flask("shop")
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_KEY_PREFIX="own:", CACHE_SOURCE_CHECK=True)
    own = flask_caching.Cache(app)
    kept.flask_cache.init_app(app)
    get_user = Origin().kept_by(kept.entry())
    numbered = itertools.count()
    own_function = own.memoize(60)(lambda: next(numbered))
    with app.app_context():
        assert own_function() == own_function()
        assert [get_user(7), get_user(7)] == ["first", "first"]
        assert type(own.cache).__name__ == "SimpleCache"
        assert type(kept.flask_cache.cache).__name__ == "BytesInRedis"
        kept.cache.invalidate_all()
        kept.flask_cache.clear()
        assert own_function() == own_function()
    assert app.jinja_env.__dict__["_template_fragment_cache"] is own


# Modes.


@pytest.mark.parametrize("options", [{"mode": "off"}, {"url": None}, {"url": ""}], ids=repr)
def test_a_cache_that_is_off_calls_the_function_and_nothing_else(make_kept, redis_url, options):
    kept = make_kept(**options)
    origin, entry = Origin(), kept.entry(depends_on=("users:{user_id}",))
    get_user = origin.kept_by(entry)
    kept.flask_cache.init_app(Flask("shop"))
    for key in (object(), 7, 7):
        get_user(key)
    entry.invalidate(user_id=7)
    entry.invalidate_all()
    kept.cache.invalidate("users")
    assert len(origin.calls) == 3
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


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
        entry.invalidate(user_id=7)
        entry.invalidate_all()
        assert kept.cache.metrics()["answer"]["bypasses"]
        redis_server.start()
        eventually(lambda: get_user(7) == "second" and bool(kept.told("hit")))


def test_a_redis_that_hangs_costs_its_budget_once_and_its_invalidations_are_not_lost(make_kept, redis_server):
    kept = make_kept(budget_ms=50)
    origin = Origin()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    get_user(7)
    get_user(8)
    redis_server.pause()
    try:
        origin.answer = "second"
        kept.cache.invalidate(("users", 7))
        assert {get_user(key) for key in (7, 8)} == {"second"}
        assert kept.cache.state()["redis_up"] == 0  # nobody asks again, nobody waits
    finally:
        redis_server.resume()
    eventually(lambda: get_user(7) == "second" and bool(kept.told("hit")))
    assert get_user(8) == "first"


def test_what_another_process_stores_and_forgets_counts_here(make_kept, tmp_path, redis_url):
    """An application with a database is `flask_shop`, whose contract has an entry of Flask-Caching."""
    origin, kept = Origin(), make_kept()
    get_user = origin.kept_by(kept.entry(depends_on=("users:{user_id}",)))
    assert [get_user(7), get_user(8)] == ["first", "first"]
    program = f"""
        import sys
        sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parent)!r}]
        from test_flask_caching import Kept, Origin
        kept, origin = Kept({kept.package!r}, {redis_url!r}), Origin("second")
        get_user = origin.kept_by(kept.entry(depends_on=("users:{{user_id}}",)))
        assert get_user(7) == "first"
        kept.cache.invalidate(("users", 7))
        assert get_user(7) == "second"
    """
    path = os.pathsep.join(sys.path)
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env={**os.environ, "PYTHONPATH": path}, check=True
    )
    assert [get_user(7), get_user(8)] == ["second", "first"]
    assert len(origin.calls) == 2


def test_the_emitted_file_is_typed_strictly(tmp_path):
    file = f"{write_package(tmp_path)}/{target.FILE.name}"
    strictly = ("mypy", "--strict", "--config-file", os.devnull)
    checked = subprocess.run(
        [sys.executable, "-m", *strictly, file], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
