"""`profile --pg` on a real PostgreSQL."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import psycopg
import pytest

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.profile.measurements import load_sources, postgres
from cache_strategy.profile.sql import is_one_select, read_statement

READ = load_sources()["pg"].read


@pytest.fixture
def shop(postgres_url):
    """A database in which somebody worked: 20,000 products, 30 reads of one, an aggregate, 5 updates."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        run = connection.execute
        if run("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'").fetchone():
            run("CREATE EXTENSION pg_stat_statements")
            run("SELECT pg_stat_statements_reset()")
        run("CREATE TABLE products (id int PRIMARY KEY, category text, price int, name text)")
        run("INSERT INTO products SELECT n, 'c' || n % 7, n % 100, 'p' FROM generate_series(1, 20000) n")
        run("ANALYZE products")
        for number in range(30):
            run("SELECT name FROM products WHERE id = %s", [number])
        run("SELECT category, avg(price) FROM products WHERE price > %s GROUP BY category", [3])
        for number in range(5):
            run("UPDATE products SET price = price + 1 WHERE id = %s", [number + 1])
        run("SELECT pg_stat_force_next_flush()") if connection.info.server_version >= 150000 else None
    return postgres_url


def has_statements(url):
    with psycopg.connect(url) as connection:
        return bool(
            connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'").fetchone()
        )


def test_statements_tables_and_plans_are_read_and_joined_with_the_code(shop, evidence_of_shop):
    found = READ(shop, evidence_of_shop)
    by_name = {(o.kind, o.name): o for o in found.observations}
    table = by_name["table", "products"]
    assert table.figures["rows"].value == 20000
    assert table.figures["size_bytes"].value > 500_000
    assert "GET /api/products/{product_id}" in table.endpoints
    if not has_statements(shop):
        assert any("CREATE EXTENSION pg_stat_statements" in note for note in found.notes)
        return
    assert table.figures["row_writes"].value == 20005
    lookup = by_name["statement", "SELECT name FROM products WHERE id = $1"]
    assert lookup.figures["calls"].value == 30
    assert lookup.figures["rows_per_call"].value == pytest.approx(29 / 30, abs=0.001)
    assert lookup.tables == ("products",)
    assert "shop/catalog.py:all_products" in lookup.functions
    assert not [o for o in found.observations if o.name.startswith("CREATE")]
    update = next(o for o in found.observations if o.name.startswith("UPDATE products"))
    assert update.figures["calls"].value == 5
    (plan,) = (o for o in found.observations if o.kind == "plan" and "avg(price)" in o.name)
    assert plan.figures["plan_cost"].source == "derived"
    assert not [o for o in found.observations if "pg_stat" in o.name], "none of our own questions"


def test_nothing_is_changed_and_no_aggregate_is_run(shop, evidence_of_shop):
    READ(shop, evidence_of_shop)
    if has_statements(shop):
        READ(shop, evidence_of_shop)
        with psycopg.connect(shop) as connection:
            ran = connection.execute(
                "SELECT calls FROM pg_stat_statements WHERE query LIKE 'SELECT category, avg%'"
            )
            assert ran.fetchall() == [(1,)]


def test_a_user_without_permission_is_told_what_to_grant(shop, evidence_of_shop):
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    try:
        found = READ(shop.replace("postgres@", "guest@"), evidence_of_shop)
        if has_statements(shop):
            assert any("run: GRANT pg_read_all_stats TO guest" in note for note in found.notes)
        assert any(o.name == "products" for o in found.observations), "the rest goes on"
    finally:
        with psycopg.connect(shop, autocommit=True) as connection:
            connection.execute("DROP ROLE guest")


def test_a_missing_extension_is_told_how_to_enable_it(postgres_url, evidence_of_shop):
    found = READ(postgres_url, evidence_of_shop)
    assert [note for note in found.notes if "CREATE EXTENSION pg_stat_statements" in note]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((r"/[^/]*$", "/nowhere"), 'database "nowhere" does not exist'),
        ((r":\d+/", ":1/"), "no server answers there"),
        ((r"^.*$", "no address"), "write postgresql://"),
        ((r"^.*$", "postgresql://me:s3cr3t@127.0.0.1:1/x"), "no server answers there"),
    ],
)
def test_a_wrong_address_is_one_line_without_the_password(postgres_url, evidence_of_shop, change, said):
    with pytest.raises(CacheStrategyError, match=re.escape(said)) as caught:
        READ(re.sub(*change, postgres_url), evidence_of_shop)
    assert "\n" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3cr3t@w0rd@127.0.0.1:1/x",
        "postgresql://me:s3cr3t@w0rd:17117@127.0.0.1:1/x",
        "postgresql://me:s3cr3t/w0rd@127.0.0.1:1/x",
        "postgresql://me:17117/s3cr3t@127.0.0.1:1/x",
        "postgresql://me:s3cr3t@w0rd?a@127.0.0.1:1/x",
        "postgresql://127.0.0.1?port=1&password=s3cr3t@w0rd",
        "postgresql://127.0.0.1:1/x?user=me&password=s3cr3t@w0rd",
        "host=127.0.0.1 port=1 password = s3cr3t@w0rd",
        "host=127.0.0.1 port=1 password='s3cr3t w0rd'",
        "host=127.0.0.1 port=1 password=17117 s3cr3t",
        "host=127.0.0.1 port=1 password=17117 s3cr3t=w0rd",
    ],
)
def test_no_part_of_a_password_is_said(evidence_of_shop, address):
    with pytest.raises(CacheStrategyError, match="write postgresql://USER") as caught:
        READ(address, evidence_of_shop)
    assert not re.search("s3cr3t|w0rd|17117", str(caught.value)), str(caught.value)


def test_the_verb_says_no_part_of_a_password(flask_shop, cache_strategy):
    done = cache_strategy("profile", flask_shop, "--pg", "postgresql://me:s3cr3t@wurd@127.0.0.1:1/x")
    assert done.returncode != 0 and "--pg postgresql://…: is not clear" in done.stderr
    assert not re.search("s3cr3t|wurd", done.stdout + done.stderr)


ATTACKS = [
    r"SELECT count(*) FROM victims WHERE name = E'\''; COMMIT; DELETE FROM victims; SELECT ' '",
    "SELECT count(*) FROM victims /* ' */; COMMIT; DELETE FROM victims; SELECT ' '",
    """SELECT count(*) AS "'" FROM victims; COMMIT; DELETE FROM victims; SELECT ' '""",
    "SELECT count(*) FROM victims WHERE name = $$'$$; COMMIT; DELETE FROM victims; SELECT ' '",
    r"SELECT count(*) FROM victims WHERE id = $1 AND name = E'\''; COMMIT; DELETE FROM victims; SELECT ' '",
    "WITH gone AS (DELETE FROM victims RETURNING id) SELECT count(*) FROM gone; SELECT 1",
]


@pytest.fixture
def attacked(postgres_url, evidence_of_shop):
    """A database with ten victims, and code that has the texts."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE victims (id int, name text)")
        connection.execute("INSERT INTO victims SELECT n, 'n' FROM generate_series(1, 10) n")
    first = evidence_of_shop.candidates[0]
    texts = [*ATTACKS, "SELECT max(id) FROM victims WHERE id < $1 AND name <> ';'"]
    code = [dataclasses.replace(first, sql=text) for text in texts]
    yield postgres_url, dataclasses.replace(evidence_of_shop, candidates=tuple(code))
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM victims").fetchone() == (10,)
        assert connection.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone() == (0,)


def test_texts_of_several_commands_are_not_asked_for_a_plan(attacked):
    found = READ(*attacked)
    assert [o.name for o in found.observations if o.kind == "plan" and "victims" in o.name] == [
        "SELECT max(id) FROM victims WHERE id < $1 AND name <> ';'"
    ]
    (note,) = (note for note in found.notes if "no plan is asked" in note)
    assert "does not see exactly one SELECT that writes nothing: SELECT count(*) FROM victims" in note
    assert note.endswith("and 5 more")
    assert not any(is_one_select(text) for text in ATTACKS)
    assert read_statement(ATTACKS[0]).writes == ("victims",)


def test_the_server_itself_refuses_several_commands(attacked, monkeypatch):
    """As if the parser had let them pass."""
    monkeypatch.setattr(postgres, "is_one_select", lambda text: True)
    read = postgres.read_statement
    monkeypatch.setattr(
        postgres,
        "read_statement",
        lambda text: (found := read(text)) and dataclasses.replace(found, verb="select", writes=()),
    )
    found = READ(*attacked)
    assert [o.name for o in found.observations if o.kind == "plan" and "max(id)" in o.name]
    assert not [o for o in found.observations if o.kind == "plan" and "DELETE" in o.name]


def test_the_session_is_read_only_after_a_commit_and_leaves_the_statements_of_others(postgres_url):
    with postgres._connected(postgres_url) as connection:
        connection.execute("PREPARE of_another AS SELECT 1")
        connection.commit()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE things ()")
        connection.rollback()
        reading = postgres._Reading(connection, None)
        assert reading._plan("SELECT count(*) FROM pg_class WHERE relpages > $1")
        names = connection.execute("SELECT name FROM pg_prepared_statements WHERE from_sql").fetchall()
        assert names == [("of_another",)]


def test_a_wrong_password_is_said(postgres_url, evidence_of_shop):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        file = Path(connection.execute("SHOW hba_file").fetchone()[0])
        rules = file.read_text()
        try:
            file.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{rules}")
            connection.execute("SELECT pg_reload_conf()")
            wrong = postgres_url.replace("postgres@", "locked:wr0ng@")
            with pytest.raises(CacheStrategyError, match="the password is wrong") as caught:
                READ(wrong, evidence_of_shop)
            assert "wr0ng" not in str(caught.value)
        finally:
            file.write_text(rules)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP ROLE locked")


def test_the_verb_takes_an_address_and_writes_it_down_without_its_password(flask_shop, cache_strategy, shop):
    done = cache_strategy(
        "profile", flask_shop, "--pg", shop.replace("postgres@", "postgres:s3cr3t@"), "--json"
    )
    assert done.returncode == 0, done.stderr
    evidence = json.loads(done.stdout)
    assert {"table"} <= {o["kind"] for o in evidence["observations"]}
    assert (
        "s3cr3t"
        not in done.stdout + done.stderr + (flask_shop / ".cache-strategy" / "evidence.json").read_text()
    )
