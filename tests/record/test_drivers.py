"""Statements and transactions of psycopg and asyncpg on a real PostgreSQL, and what a statement is."""

from __future__ import annotations

import sys

import pytest

from cache_strategy.record import read_trace, run_recorded
from cache_strategy.record.probe.statements import kind_and_tables

PSYCOPG = """
import os, psycopg
from psycopg import sql
url = os.environ["DATABASE_URL"]
def plain():
    with psycopg.connect(url) as c:
        c.execute("CREATE TABLE a (id int)"); c.execute("CREATE TABLE b (id int)")
def undone():
    with psycopg.connect(url) as c:
        c.execute("INSERT INTO a VALUES (1)")
        c.rollback()
def nested():
    with psycopg.connect(url) as c, c.transaction():
        c.execute("INSERT INTO a VALUES (2)")
        try:
            with c.transaction():
                c.cursor().executemany("INSERT INTO b VALUES (%s)", [(1,), (2,)])
                raise ValueError
        except ValueError:
            pass
def at_once():
    with psycopg.connect(url, autocommit=True) as c:
        c.execute(sql.SQL("UPDATE {} SET id = 3").format(sql.Identifier("a")))
async def task():
    async with await psycopg.AsyncConnection.connect(url) as c:
        await c.execute("DELETE FROM a")
import asyncio
for step in (plain, undone, nested, at_once):
    step()
asyncio.run(task())
"""
ASYNCPG = """
import asyncio, asyncpg, os
async def plain(c):
    await c.execute("CREATE TABLE a (id int)"); await c.execute("CREATE TABLE b (id int)")
async def undone(c):
    transaction = c.transaction()
    await transaction.start()
    await c.execute("INSERT INTO a VALUES ($1)", 1)
    await transaction.rollback()
async def nested(c):
    async with c.transaction():
        await c.fetchval("INSERT INTO a VALUES (2) RETURNING id")
        try:
            async with c.transaction():
                await c.executemany("INSERT INTO b VALUES ($1)", [(1,), (2,)])
                raise ValueError
        except ValueError:
            pass
async def at_once(c):
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1) as pool:
        await pool.execute("UPDATE a SET id = 3")
async def task(c):
    statement = await c.prepare("DELETE FROM a RETURNING id")
    await statement.fetch()
async def main():
    c = await asyncpg.connect(os.environ["DATABASE_URL"])
    for step in (plain, undone, nested, at_once, task):
        await step(c)
    await c.close()
asyncio.run(main())
"""
ASYNC_ENGINE = """
import asyncio, os
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
address = os.environ.get("DATABASE_URL")
engine = create_async_engine("postgresql+asyncpg://" + address.split("://")[1] if address else "sqlite+aiosqlite:///a.db")
async def plain():
    async with engine.begin() as c:
        await c.execute(text("CREATE TABLE a (id int)"))
    async with engine.begin() as c:
        await c.execute(text("CREATE TABLE b (id int)"))
async def undone():
    async with engine.connect() as c:
        await c.execute(text("INSERT INTO a VALUES (1)")); await c.rollback()
async def nested():
    async with engine.begin() as c:
        await c.execute(text("INSERT INTO a VALUES (2)"))
        try:
            async with c.begin_nested():
                await c.execute(text("INSERT INTO b VALUES (:id)"), [{"id": 1}, {"id": 2}])
                raise ValueError
        except ValueError:
            pass
async def at_once():
    async with engine.connect() as c:
        c = await c.execution_options(isolation_level="AUTOCOMMIT")
        await c.execute(text("UPDATE a SET id = 3"))
async def task():
    async with engine.begin() as c:
        await c.run_sync(lambda connection: connection.execute(text("DELETE FROM a")))
async def main():
    for step in (plain, undone, nested, at_once, task):
        await step()
    await engine.dispose()
asyncio.run(main())
"""


@pytest.mark.parametrize("address", ["postgres", "sqlite"])
def test_an_async_engine_tells_each_statement_once_and_who_waits_for_it(tmp_path, request, address):
    known = {"DATABASE_URL": request.getfixturevalue("postgres_url")} if address == "postgres" else {}
    (tmp_path / "script.py").write_text(ASYNC_ENGINE)
    done = run_recorded([sys.executable, "script.py"], tmp_path, tmp_path / "trace", quiet=True, env=known)
    assert done.exit_code == 0, done.output_tail
    trace = read_trace(tmp_path / "trace")
    written = [(w.qualname.split(".")[0], ",".join(w.tables)) for w in trace.writes]
    assert written == [("plain", "a"), ("plain", "b"), ("nested", "a"), ("at_once", "a"), ("task", "a")]
    assert [(w.qualname, ",".join(w.tables)) for w in trace.undone] == [("undone", "a"), ("nested", "b")]


@pytest.mark.parametrize("script", [PSYCOPG, ASYNCPG], ids=["psycopg", "asyncpg"])
def test_writes_count_from_their_commit_and_not_when_they_were_undone(tmp_path, postgres_url, script):
    (tmp_path / "script.py").write_text(script)
    done = run_recorded(
        [sys.executable, "script.py"],
        tmp_path,
        tmp_path / "trace",
        quiet=True,
        env={"DATABASE_URL": postgres_url},
    )
    assert done.exit_code == 0, done.output_tail
    trace = read_trace(tmp_path / "trace")
    written = [(w.qualname, ",".join(w.tables)) for w in trace.writes]
    assert written == [("plain", "a"), ("plain", "b"), ("nested", "a"), ("at_once", "a"), ("task", "a")]
    assert [(w.qualname, ",".join(w.tables)) for w in trace.undone] == [("undone", "a"), ("nested", "b")]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("SELECT * FROM a", "read a"),
        (
            'SELECT x.id FROM "public"."a" AS x LEFT OUTER JOIN b ON b.id = x.b, LATERAL (SELECT 1 FROM c) y',
            "read a,b,c",
        ),
        ("SELECT 1 FROM a x, s.b AS y, c WHERE x.id = y.id", "read a,b,c"),
        ("SELECT 1 FROM a, b WHERE c IN (SELECT id FROM d)", "read a,b,d"),
        ("WITH t AS (SELECT * FROM a), u (id) AS (SELECT 1) SELECT * FROM t JOIN u ON true", "read a"),
        ("SELECT EXTRACT(year FROM made) FROM a WHERE x IS DISTINCT FROM y", "read a"),
        ("SELECT * FROM generate_series(1, 3)", "read "),
        ("SELECT 'x FROM secret' FROM a -- FROM b", "read a"),
        ("INSERT INTO a SELECT * FROM b", "write a,b"),
        ("UPDATE a SET n = 1 WHERE id IN (SELECT id FROM b)", "write a,b"),
        ("SAVEPOINT x", " "),
        ("COMMIT", " "),
    ],
)
def test_a_statement_is_a_read_or_a_write_of_tables(statement, what):
    assert " ".join(kind_and_tables(statement)[0]) == what
