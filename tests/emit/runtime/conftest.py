"""What the tests of the emitted cache share: caches of one Redis, other processes, a shop in PostgreSQL."""

import pytest
import redis as redis_client
from runtime_scene import WATCHED, Base, Clock, OtherProcess
from sqlalchemy import create_engine

from cache_strategy.emit import runtime_source
from cache_strategy.emit.targets.runtime.files import sqlalchemy_events
from cache_strategy.emit.targets.runtime.files.runtime import Cache


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def redis(redis_url):
    """A client of the test's own."""
    with redis_client.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def make_cache(redis_url):
    """
    `make_cache(**options)`: a cache as another process would have it: same Redis, same namespace.

    Its budget is long, so that a loaded machine is not taken for an outage.
    """

    def make(**options):
        options.setdefault("budget_ms", 5000)
        return Cache(options.pop("url", redis_url), options.pop("namespace", "shop"), **options)

    return make


@pytest.fixture
def cache(make_cache):
    return make_cache()


@pytest.fixture
def events(cache):
    heard = []
    cache.listeners.append(heard.append)
    return heard


@pytest.fixture
def other_processes(redis_url, tmp_path):
    """`other_processes(**environment)`: one more process with the same cache."""
    started = []

    def start(**environment):
        (tmp_path / "caching.py").write_text(runtime_source())
        started.append(OtherProcess(redis_url, str(tmp_path), **environment))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.fixture(scope="session")
def shop_engine(postgres_server):
    database = postgres_server.create_database()
    url = postgres_server.url(database).replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
    postgres_server.drop_database(database)


RESTOCK = """
DELETE FROM product_tags; DELETE FROM reviews; DELETE FROM products; DELETE FROM tags; DELETE FROM categories;
INSERT INTO categories (id, name) VALUES (1, 'tools'), (2, 'toys');
INSERT INTO products (id, name, price, category_id) VALUES (1, 'hammer', 10, 1), (2, 'saw', 20, 1), (3, 'drill', 30, 1);
INSERT INTO reviews (id, product_id) VALUES (1, 1), (2, 1);
INSERT INTO tags (id, name) VALUES (1, 'steel');
INSERT INTO product_tags VALUES (1, 1);
SELECT setval('categories_id_seq', 2), setval('products_id_seq', 3), setval('reviews_id_seq', 2), setval('tags_id_seq', 1)
"""


@pytest.fixture
def engine(shop_engine):
    """The shop: two categories, three products of the first, two reviews and one tag of the first product."""
    with shop_engine.begin() as connection:
        connection.exec_driver_sql(RESTOCK)
    return shop_engine


@pytest.fixture
def watch():
    """`watch(cache, tables, …)`: a watcher until the test ends."""
    watchers = []

    def start(*arguments, kind=sqlalchemy_events.Watcher, **options):
        watchers.append(kind(*arguments, **{"metadata": (), **options}))
        watchers[-1].start()

    yield start
    for watcher in watchers:
        watcher.stop()


@pytest.fixture
def watched(cache, engine, watch):
    """The cache, invalidated by the writes of the shop."""
    watch(cache, WATCHED)
    return cache


@pytest.fixture
def tags(events):
    """`tags()`: what each invalidation so far has named."""
    return lambda: [event["tags"] for event in events if event["event"] == "invalidate"]
