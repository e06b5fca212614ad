"""The evidence of the example application, against what its code says to a reader."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cache_strategy.model.document import from_data, to_data
from cache_strategy.model.evidence import Evidence
from cache_strategy.profile import profile

SHOP = Path(__file__).parents[1] / "apps" / "flask_shop"
PACKAGE = str(Path(__file__).parents[2] / "scripts")
GOODS = {"products", "categories", "product_tags", "tags"}
READS = {
    "GET /": GOODS | {"order_lines", "settings", "users"},
    "GET /products/{product_id}": GOODS | {"settings", "users"},
    "GET /api/users/{user_id}": {"users", "orders"},
    "GET /api/products": GOODS,
    "GET /api/tags/{name}/products": GOODS,
    "GET /api/products/{product_id}": GOODS,
    "GET /api/categories/{category_id}": {"categories", "products"},
    "GET /api/reports/daily-sales": {"orders", "permissions", "users"},
    "GET /me": {"users", "permissions", "orders", "order_lines", "products"},
}
WRITES = {
    "PUT /api/users/{user_id}": {"users"},
    "POST /api/products": {"products", "product_tags", "tags"},
    "PUT /api/products/{product_id}": {"products", "product_tags", "tags"},
    "DELETE /api/products/{product_id}": {"products", "product_tags", "order_lines"},
    "PUT /api/categories/{category_id}": {"categories"},
    "POST /api/orders": {"orders", "order_lines", "products"},
    "POST /login": {"users"},
    "POST /logout": set(),
}
CONTEXT = {
    "GET /": {"session"},
    "GET /products/{product_id}": {"session"},
    "GET /api/products": {"query"},
    "GET /api/reports/daily-sales": {"session"},
    "GET /me": {"session"},
}
WRITERS = {
    "users": {"update_user", "check_password", "insert_all"},
    "products": {"create_product", "update_product", "delete_product", "change_prices", "restock", "take_from_stock"},
    "product_tags": {"create_product", "update_product", "delete_product", "fill"},
    "tags": {"create_product", "update_product", "insert_all"},
    "categories": {"update_category", "insert_all"},
    "settings": {"set_setting", "fill"},
    "orders": {"place_order", "fill"},
    "order_lines": {"place_order", "delete_product", "fill"},
    "permissions": {"grant", "revoke", "fill"},
}  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Evidence:
    return profile(SHOP, jobs=1)


def test_every_endpoint_is_found_once(shop):
    ids = [endpoint.id for endpoint in shop.endpoints]

    assert len(ids) == len(set(ids))
    assert set(ids) == READS.keys() | WRITES.keys()


@pytest.mark.parametrize("name", sorted(READS))
def test_an_endpoint_reads_its_tables_and_depends_on_its_context(shop, name):
    (endpoint,) = [e for e in shop.endpoints if e.id == name]

    assert set(endpoint.reads) == READS[name]
    assert endpoint.writes == ()
    assert set(endpoint.context) == CONTEXT.get(name, set())


@pytest.mark.parametrize("name", sorted(WRITES))
def test_an_endpoint_writes_its_tables(shop, name):
    (endpoint,) = [e for e in shop.endpoints if e.id == name]

    assert set(endpoint.writes) == WRITES[name]


@pytest.mark.parametrize("table", sorted(WRITERS))
def test_every_writer_of_a_table_is_known(shop, table):
    writers = {w.qualname for w in shop.writers if table in w.tables}

    assert WRITERS[table] <= writers
    assert not any("?" in w.tables for w in shop.writers)


def test_nothing_of_the_shop_is_unread_or_unknown(shop):
    assert shop.unread == ()
    assert not any("?" in endpoint.reads for endpoint in shop.endpoints)


def test_what_the_shop_could_cache_is_found(shop):
    functions = {c.qualname: c for c in shop.candidates if c.kind == "function"}

    assert {
        "get_user_profile", "get_category", "list_products", "featured_products", "get_settings", "best_sellers",
        "get_product", "navigation", "popular_categories", "daily_sales",
    } <= functions.keys()  # fmt: skip
    assert [(r.table, r.key) for r in functions["get_user_profile"].rows] == [("users", "user_id")]
    assert all(c.returns == "plain" or c.against for c in functions.values())
    assert [c.qualname for c in shop.candidates if c.kind == "query"] == ["daily_sales"]
    assert {"get_permissions", "current_user"} <= {r.qualname for r in shop.rejected}


def test_evidence_survives_its_file(shop):
    assert from_data(Evidence, to_data(shop), "evidence.json") == shop


def test_emitted_caches_change_nothing_of_what_is_known(shop, tmp_path):
    shutil.copytree(SHOP, tmp_path / "shop")
    command = [sys.executable, "-m", "cache_strategy", "emit", str(tmp_path / "shop"), "--apply"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": PACKAGE})
    applied = profile(tmp_path / "shop", jobs=1)

    def seen(evidence):
        return {(e.id, e.reads, e.writes, e.context, e.guards) for e in evidence.endpoints}

    assert applied.unread == ()
    assert seen(applied) == seen(shop)
    assert {(c.path, c.qualname, c.kind, *c.sql.split()) for c in applied.candidates} == {
        (c.path, c.qualname, c.kind, *c.sql.split()) for c in shop.candidates
    }
    assert {(w.path, w.qualname, w.tables) for w in applied.writers} == {
        (w.path, w.qualname, w.tables) for w in shop.writers
    }
