"""
Every example of the founding document, on the example application: its contract has an entry for each, `emit` writes it,
and here it runs on the real component. Each step is a process of its own, so that nothing but Redis and the database is shared.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import redis

SCENE = """
import json, sys
from shop import create_app
from shop.extensions import db
from shop import accounts, catalog, orders, stock
from shop.caching import entries as caches
app = create_app({"SECRET_KEY": "test", "PASSWORD_METHOD": "pbkdf2:sha256:1"})
def count(entry, what): return int(caches.cache.metrics()[entry][what])
out = {}
with app.app_context():
%s
print(json.dumps(out, default=str))
"""


class Shop:
    """The example application with its contract in force."""

    def __init__(self, repository: Path, redis_url: str, database_url: str) -> None:
        self.repository = repository
        self.redis = redis.Redis.from_url(redis_url)
        self.env = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database_url, "FLASK_APP": "shop"}

    def run(self, code: str, **env: str) -> dict:
        """What `out` holds after `code` ran in a new process of the application."""
        source = SCENE % textwrap.indent(textwrap.dedent(code), "    ")
        done = subprocess.run(
            [sys.executable, "-c", source],
            cwd=self.repository,
            env={**self.env, **env},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def flask(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=self.repository,
            env=self.env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keys(self, part: str) -> list[bytes]:
        return [key for key in self.redis.scan_iter(count=1000) if part.encode() in key]


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """The example application after `emit --apply`."""
    import shutil

    root = Path(__file__).resolve().parents[2]
    repository = tmp_path_factory.mktemp("examples") / "flask_shop"
    junk = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".cache-strategy")
    shutil.copytree(root / "tests" / "apps" / "flask_shop", repository, ignore=junk)
    done = subprocess.run(
        [sys.executable, "-m", "cache_strategy", "emit", repository, "--apply"],
        env={**os.environ, "PYTHONPATH": str(root / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return repository


@pytest.fixture
def shop(patched, redis_url, postgres_url):
    made = Shop(patched, redis_url, postgres_url)
    made.run("db.create_all()\nfrom shop import demo\ndemo.fill(users=5, products=12, orders=20)")
    made.redis.flushall()
    return made


def test_an_in_memory_cache_with_invalidation(shop):
    seen = shop.run("""
        out["first"] = catalog.get_category(1)
        out["second"] = catalog.get_category(1)
        out["hits"] = count("category", "hits")
        catalog.update_category(1, {"name": "Renamed"})
        out["after"] = catalog.get_category(1)["name"]
    """)
    assert seen["first"] == seen["second"]
    assert seen["hits"] == 1
    assert seen["after"] == "Renamed"
    assert not shop.keys(":e:category/"), "its values stay in the process"


def test_a_redis_cache_is_shared_between_processes_and_holds_what_was_falsy(shop):
    first = shop.run(
        'out["profile"] = accounts.get_user_profile(1); out["hits"] = count("user-profile", "hits")'
    )
    second = shop.run(
        'out["profile"] = accounts.get_user_profile(1); out["hits"] = count("user-profile", "hits")'
    )
    assert first["profile"] == second["profile"]
    assert (first["hits"], second["hits"]) == (0, 1)
    empty = shop.run("""
        catalog.list_products("no-such-category"); catalog.list_products("no-such-category")
        out["hits"] = count("product-list", "hits")
    """)
    assert empty["hits"] == 1, "an empty list is a value"


def test_a_multi_layer_cache_asks_memory_first_and_redis_behind_it(shop):
    shop.run("catalog.list_products()")
    seen = shop.run("""
        catalog.list_products()
        out["from_redis"] = count("product-list", "hits")
        caches.cache.link.call("DEL", *[k for k in caches.cache.link.call("KEYS", "*:e:product-list/*")])
        catalog.list_products()
        out["from_memory"] = count("product-list", "hits")
    """)
    assert (seen["from_redis"], seen["from_memory"]) == (1, 2)


def test_flask_caching_keeps_a_function_and_forgets_it_after_a_commit(shop):
    seen = shop.run("""
        before = catalog.best_sellers(); catalog.best_sellers()
        out["hits"] = count("best-sellers", "hits")
        out["before"] = before[0]["pieces"]
        orders.place_order(1, [{"product_id": before[0]["id"], "quantity": 7}])
        out["after"] = catalog.best_sellers()[0]["pieces"]
    """)
    assert seen["hits"] == 1
    assert seen["after"] == seen["before"] + 7


def test_cache_control_and_etag_answer_a_browser(shop):
    seen = shop.run("""
        client = app.test_client()
        first = client.get("/api/products")
        again = client.get("/api/products", headers={"If-None-Match": first.headers["ETag"]})
        other = client.get("/api/products?category=books", headers={"If-None-Match": first.headers["ETag"]})
        out["control"] = first.headers["Cache-Control"]
        out["status"] = [first.status_code, again.status_code, other.status_code]
        out["body"] = len(again.data)
        out["me"] = client.get("/me").headers.get("Cache-Control", "")
    """)
    assert seen["control"] == "public, max-age=300"
    assert seen["status"] == [200, 304, 200]
    assert seen["body"] == 0
    assert "public" not in seen["me"]


def test_cdn_rules_are_written_for_nginx_and_cloudflare(patched):
    nginx = (patched / "deploy/cdn/nginx-cache.conf").read_text()
    worker = (patched / "deploy/cdn/cloudflare-worker.mjs").read_text()
    assert "proxy_cache " in nginx
    assert "immutable" in nginx
    assert "immutable" in worker


def test_a_materialized_view_is_refreshed_and_read(shop):
    shop.run(
        "from sqlalchemy import text\ndb.session.execute(text('DROP MATERIALIZED VIEW IF EXISTS daily_sales_mv')); db.session.commit()"
    )
    assert "daily-sales: 1" in shop.flask("cache-warm")
    seen = shop.run("""
        from sqlalchemy import text
        out["views"] = list(db.session.execute(text("SELECT matviewname FROM pg_matviews")).scalars())
        out["reads"] = caches.daily_sales.query(db.session)
        before = orders.daily_sales()
        orders.place_order(1, [{"product_id": 1, "quantity": 1}])
        after = orders.daily_sales()
        out["grew"] = sum(r["order_count"] for r in after) - sum(r["order_count"] for r in before)
        out["rows"] = db.session.execute(text("SELECT SUM(order_count) FROM daily_sales_mv")).scalar()
        out["orders"] = db.session.execute(text("SELECT COUNT(*) FROM orders")).scalar()
    """)
    assert seen["views"] == ["daily_sales_mv"]
    assert "daily_sales_mv" in seen["reads"]
    assert seen["grew"] == 1
    assert int(seen["rows"]) == seen["orders"], "the view itself was refreshed"


def test_each_kind_of_data_has_its_time_to_live(shop):
    shop.run("accounts.get_user_profile(1); catalog.list_products(); catalog.get_settings()")
    limits = {"user-profile": 300, "product-list": 3600, "settings": 604_800}
    for entry, ttl_seconds in limits.items():
        (key,) = shop.keys(f":e:{entry}/")
        assert 0.8 * ttl_seconds < shop.redis.pttl(key) / 1000 <= ttl_seconds * 1.01
    assert all(shop.redis.pttl(key) > 0 for key in shop.redis.scan_iter()), "nothing in Redis lives for ever"


def test_write_through_drops_the_key_in_the_writer_itself(shop):
    source = (shop.repository / "shop/catalog.py").read_text()
    assert "db.session.commit()\n    caches.settings.invalidate()\n" in source
    seen = shop.run("""
        out["before"] = catalog.get_settings()["title"]
        catalog.set_setting("title", "Mall")
        out["after"] = catalog.get_settings()["title"]
        caches.watcher.stop()
        catalog.set_setting("title", "Arcade")
        out["without_events"] = catalog.get_settings()["title"]
    """)
    assert (seen["before"], seen["after"]) == ("Shop", "Mall")
    assert seen["without_events"] == "Arcade", "the writer's own call is enough"


def test_events_invalidate_after_the_commit_and_not_after_a_rollback(shop):
    seen = shop.run("""
        from sqlalchemy import update
        from shop.models import Product
        before = catalog.list_products()
        db.session.execute(update(Product).values(stock=Product.stock + 1)); db.session.rollback()
        catalog.list_products()
        out["hits_after_rollback"] = count("product-list", "hits")
        catalog.change_prices(10)
        out["changed"] = catalog.list_products()[0]["price"] != before[0]["price"]
    """)
    assert seen == {"hits_after_rollback": 1, "changed": True}


def test_a_tag_forgets_everything_that_carries_it_and_nothing_else(shop):
    seen = shop.run("""
        catalog.featured_products(); catalog.list_products()
        caches.cache.invalidate("window")
        catalog.featured_products(); catalog.list_products()
        out["featured"] = count("featured", "hits"); out["list"] = count("product-list", "hits")
    """)
    assert seen == {"featured": 0, "list": 1}
    assert 'caches.cache.invalidate("window")' in (shop.repository / "shop/stock.py").read_text()


def test_a_deployment_warms_the_users_who_were_active_last(shop):
    shop.run(
        "accounts.check_password('user1@example.org', 'demo'); accounts.check_password('user3@example.org', 'demo')"
    )
    assert "user-profile: 2" in shop.flask("cache-warm")
    seen = shop.run("""
        for user_id in accounts.recently_active_users():
            accounts.get_user_profile(user_id)
        catalog.featured_products()
        out["hits"] = [count("user-profile", "hits"), count("featured", "hits")]
    """)
    assert seen["hits"] == [2, 1]


def test_the_first_request_of_a_process_warms_its_memory_beside_it(shop):
    seen = shop.run("""
        import threading
        app.test_client().get("/api/products")
        warming = [t for t in threading.enumerate() if t.name == "cache-warming"]
        for thread in warming: thread.join(20)
        catalog.get_category(1); catalog.get_category(8)
        out["hits"] = count("category", "hits")
    """)
    assert seen["hits"] == 2


def test_metrics_are_served_as_json_and_for_prometheus(shop):
    seen = shop.run("""
        accounts.get_user_profile(1); accounts.get_user_profile(1)
        client = app.test_client()
        out["json"] = client.get("/metrics/cache").json
        out["text"] = client.get("/metrics/cache?format=prometheus").text
    """)
    profile = seen["json"]["entries"]["user-profile"]
    assert (profile["hits"], profile["misses"]) == (1, 1)
    assert 'cache_hits_total{entry="user-profile"} 1' in seen["text"]


def test_the_report_has_every_part(patched, cache_strategy):
    done = cache_strategy("run", patched)
    assert done.returncode == 0, done.stderr
    report = (patched / ".cache-strategy/report.md").read_text()
    for part in (
        "## Summary", "Opportunities", "Expected hit rate", "Expected improvement", "Infrastructure", "Answer time", "in the database",
        "Request volume", "reads per write", "Staleness", "Layer", "Time to live", "Key", "Invalidated by", "Warming",
        "on a miss", "on average", "## Invalidation strategy", "## Monitoring", "## Impact", "## Rejected", "## Not examined",
        "## Next steps", "/metrics/cache",
    ):  # fmt: skip
        assert part in report, part
    for entry in (
        "category",
        "user-profile",
        "product-list",
        "products-response",
        "featured",
        "settings",
        "daily-sales",
    ):
        assert re.search(rf"^### \d+\. {entry}$", report, re.M), entry
