"""Functions kept by Flask-Caching: the emitted file on a real Flask and Redis."""

import importlib
import itertools
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask_caching
import pytest
import redis
from flask import Flask
from web_origin import eventually

from cache_strategy.emit.targets import flask_caching as target
from cache_strategy.emit.targets import runtime

numbers = itertools.count()


class Kept:
    """The emitted package, connected to one Redis, with a function to keep that counts its calls."""

    def __init__(self, package: str, url: str | None, budget_ms: float = 1000) -> None:
        self.package = package
        self.module = importlib.import_module(f"{package}.flask_caching_entry")
        self.cache: Any = importlib.import_module(f"{package}.runtime").Cache(url, "app", budget_ms=budget_ms)
        self.module.connect(self.cache, url)
        self.flask_cache: flask_caching.Cache = self.module.flask_cache
        self.answer: object = "first"
        self.calls: list[tuple[Any, ...]] = []

    def entry(self, name: str = "answer", **options: Any) -> Any:
        options = {"ttl_seconds": 300, "depends_on": ("users:{user_id}", "products"), **options}
        return self.module.MemoizedEntry(self.cache, name, **options)

    def function(self, entry: Any = None) -> Any:
        @(entry or self.entry())
        def get_user(user_id: object, locale: str = "en") -> Any:
            self.calls.append((user_id, locale))
            return self.answer

        return get_user

    def hits(self) -> float:
        return sum(counts["hits"] for counts in self.cache.metrics().values())


@pytest.fixture
def make_kept(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kept]:
    monkeypatch.syspath_prepend(tmp_path)

    def make(mode: str = "on", url: str | None = redis_url, **options: Any) -> Kept:
        monkeypatch.setenv("CACHE_MODE", mode)
        package = tmp_path / f"caching_{next(numbers)}"
        package.mkdir()
        (package / "__init__.py").touch()
        for file in (*runtime.FILES.glob("*.py"), target.FILE):
            shutil.copy(file, package)
        return Kept(package.name, url, **options)

    return make


@pytest.fixture
def kept(make_kept: Callable[..., Kept]) -> Kept:
    return make_kept()


def test_the_second_call_is_a_hit_within_and_without_a_request(kept):
    get_user = kept.function()
    kept.answer = {"name": "Ann", "tags": ["a"]}
    app = Flask("shop")
    kept.flask_cache.init_app(app)
    app.add_url_rule("/", view_func=lambda: get_user(7)["name"])
    assert [app.test_client().get("/").text for _ in range(2)] == ["Ann", "Ann"]
    with app.app_context():
        get_user(7)["tags"].append("changed by a caller")
    assert get_user(user_id=7, locale="en") == {"name": "Ann", "tags": ["a"]}
    assert kept.calls == [(7, "en")]
    counts = kept.cache.metrics()["answer"]
    assert [counts[name] for name in ("hits", "misses", "stores", "errors")] == [3, 1, 1, 0]


def test_what_cannot_be_an_entry_is_refused(kept):
    kept.entry()
    with pytest.raises(ValueError, match="of this name already"):
        kept.entry()
    with pytest.raises(ValueError, match="1 or more"):
        kept.entry("other", ttl_seconds=0)
    with pytest.raises(TypeError, match="the Cache that memoizes it"):
        kept.flask_cache.delete_memoized(len)
    kept.flask_cache.config = None
    with pytest.raises(RuntimeError, match="call connect"):
        kept.entry("third")


# What users 7, in two locales, and 8 are told afterwards.
ALL, ROW, KEY, NONE = "new new new", "new new old", "new old old", "old old old"


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda kept, f: kept.cache.invalidate(("users", 7)), ROW),
        (lambda kept, f: kept.cache.invalidate(("users", "007")), ROW),
        (lambda kept, f: kept.cache.invalidate("users"), ALL),
        (lambda kept, f: kept.cache.invalidate(("products", 3)), ALL),
        (lambda kept, f: kept.cache.invalidate("front-page"), ALL),
        (lambda kept, f: kept.cache.invalidate(("users", 9), "users_archive"), NONE),
        (lambda kept, f: f.cache_entry.invalidate(user_id=7), KEY),
        (lambda kept, f: f.cache_entry.invalidate_all(), ALL),
        (lambda kept, f: kept.cache.invalidate_all(), ALL),
        (lambda kept, f: kept.flask_cache.delete_memoized(f, 7), KEY),
        (lambda kept, f: kept.flask_cache.delete_memoized(f, 7, locale="en"), KEY),
        (lambda kept, f: kept.flask_cache.delete_memoized(f), ALL),
    ],
)
def test_a_write_forgets_what_depends_on_it_and_nothing_else(kept, write, told):
    get_user = kept.function(kept.entry(tags=("front-page",)))
    keys = ((7, "en"), (7, "de"), (8, "en"))
    kept.answer = "old"
    with Flask("never initialised").app_context():
        assert [get_user(*key) for key in keys * 2] == ["old"] * 6
    assert len(kept.calls) == 3
    kept.answer = "new"
    write(kept, get_user)
    assert " ".join(get_user(*key) for key in keys) == told


class Bomb:
    """Makes the file that it names when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_what_lies_in_redis_expires_and_is_json_and_anything_else_is_a_miss(kept, redis_url, tmp_path):
    get_user, exploded = kept.function(), tmp_path / "exploded"
    get_user(7)
    with redis.Redis.from_url(redis_url) as client:
        assert [name for name in client.keys("*") if client.ttl(name) < 1] == []
        (name,) = client.keys("app:f:*")
        whole = client.get(name) or b""
        assert whole.endswith(b'\n"first"')
        no_text = whole.replace(b'"first"', b'"fir\xff"')
        for poison in (b"!" + pickle.dumps(Bomb(exploded)), b"\xff\xfe", b"", b"17", whole[:-2], no_text):
            client.set(name, poison, ex=60)
            assert get_user(7) == "first"
        client.delete(name)
        client.lpush(name, "another type")
        assert get_user(7) == "first"
    assert kept.hits() == 0
    assert not exploded.exists()


def test_an_application_keeps_its_own_flask_caching(kept):
    app = Flask("shop")
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_KEY_PREFIX="own:", CACHE_SOURCE_CHECK=True)
    own, get_user = flask_caching.Cache(app), kept.function()
    kept.flask_cache.init_app(app)
    numbered = itertools.count()
    own_function = own.memoize(60)(lambda: next(numbered))
    with app.app_context():
        assert [own_function(), own_function(), get_user(7), get_user(7)] == [0, 0, "first", "first"]
        kept.cache.invalidate_all()
        kept.flask_cache.clear()
        assert own_function() == 0
    assert app.jinja_env.__dict__["_template_fragment_cache"] is own


@pytest.mark.parametrize("options", [{"mode": "off"}, {"url": None}, {"url": ""}], ids=repr)
def test_a_cache_that_is_off_calls_the_function_and_nothing_else(make_kept, redis_url, options):
    kept = make_kept(**options)
    get_user = kept.function()
    kept.flask_cache.init_app(Flask("shop"))
    for key in (object(), 7, 7):
        get_user(key)
    get_user.cache_entry.invalidate(user_id=7)
    get_user.cache_entry.invalidate_all()
    kept.cache.invalidate("users")
    assert len(kept.calls) == 3
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize(("fails", "debug"), [("kill", True), ("pause", False)])
def test_without_redis_the_function_is_called_and_no_invalidation_is_lost(
    make_kept, redis_server, fails, debug
):
    kept = make_kept(budget_ms=50)
    get_user = kept.function()
    app = Flask("shop")
    app.debug = debug
    kept.flask_cache.init_app(app)
    with app.app_context():
        get_user(7)
        getattr(redis_server, fails)()
        try:
            kept.answer = "second"
            kept.cache.invalidate(("users", 7))
            get_user.cache_entry.invalidate(user_id=8)
            assert {get_user(key) for key in (7, 8)} == {"second"}
            assert kept.cache.state()["redis_up"] == 0  # nobody asks again, nobody waits
        finally:
            redis_server.resume() if fails == "pause" else redis_server.start()
        eventually(lambda: get_user(7) == "second" and kept.hits())
