"""
Random interleavings of reads and writes over all entries of an application, with Redis killed and restarted on the way.

    python bench/interleavings.py [REPOSITORY] [--contract proposed] [--number 10000] [--restarts 2] [--seed 1] [--deaf]

REPOSITORY is the example application unless named; a copy of it gets the patch of its contract. Its generated entries, with
the listeners that the patch wires, run in several processes of several threads on a real Redis and a real PostgreSQL, on
tables of the names, keys and columns that the contract has; where the patch keeps statements, entries are asked through them.
Writers change a row by its key, rows by another column, or put a new row in the place of one, and commit or roll back.

A read is stale if it began after a write of what it depends on was acknowledged and shows what was there before it; a leak
if it shows an answer to another key. Reads that began less than a second after Redis came back are counted apart: there an
invalidation may still be on its way from the process that wrote (it is delivered within 0.1 s, see link.py).
"""

import argparse
import asyncio
import importlib
import importlib.util
import inspect
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]
ROWS = 3
PROCESSES, THREADS = 2, 4
WRITES = 0.05
SETTLING_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repository", nargs="?", type=Path, default=ROOT / "tests/apps/flask_shop")
    parser.add_argument("--contract", choices=("own", "proposed"), default="own")
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--deaf", action="store_true", help="a control: nobody hears of writes, so it must fail"
    )
    options = parser.parse_args()
    from servers import PostgresServer, RedisServer

    redis, postgres = RedisServer(), PostgresServer()
    with tempfile.TemporaryDirectory() as folder:
        caches = patched(options.repository, Path(folder) / "repository", options.contract == "proposed")
        redis.start()
        os.environ.update(
            REDIS_URL=redis.url,
            DATABASE_URL=postgres.url(postgres.create_database()),
            CACHE_MODE="on",
            CACHE_NAMESPACE="bench",
            CACHE_BUDGET_MS="1000",
            BENCH_DEAF="1" if options.deaf else "",
        )
        found = run(caches, options, redis)
    redis.stop()
    postgres.stop()
    print(json.dumps(found, indent=1))
    return int(bool(found["stale"] or found["leaks"] or found["errors"]))


def patched(repository: Path, copy: Path, proposed: bool) -> Path:
    """The folder of the caches in a copy of the repository with the patch."""
    shutil.copytree(repository, copy)
    if proposed:
        (copy / "cache-strategy.yaml").unlink(missing_ok=True)
    for verb in (("run", "."), ("emit", "--apply", ".")):
        command = (sys.executable, "-m", "cache_strategy", *verb)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
        subprocess.run(command, cwd=copy, check=True, capture_output=True, env=environment)
    (entries,) = copy.rglob("caching/entries.py")
    return entries.parent


def run(caches: Path, options: argparse.Namespace, redis: Any) -> dict[str, Any]:
    """Starts the processes, kills Redis on the way, and adds up what they saw."""
    context = multiprocessing.get_context("spawn")
    first = Scene(caches)
    names = sorted(first.tables)
    acknowledged = context.Array("q", len(names) * (ROWS + 1))
    back_at, done = context.Value("d", 0.0), context.Value("q", 0)
    first.create()
    results = context.Queue()
    each = options.number // PROCESSES
    arguments = [
        (caches, each, options.seed * 1000 + n, acknowledged, back_at, done, results)
        for n in range(PROCESSES)
    ]
    processes = [context.Process(target=work, args=given) for given in arguments]
    for process in processes:
        process.start()
    for number in range(options.restarts):
        while done.value < options.number * (number + 1) / (options.restarts + 1) and any(
            p.is_alive() for p in processes
        ):
            time.sleep(0.05)
        redis.kill()
        time.sleep(0.5)
        redis.start()
        back_at.value = time.monotonic()
    counts: Counter[str] = Counter()
    for _ in processes:
        counts.update(results.get(timeout=1200))
    for process in processes:
        process.join()
    counted = ("reads", "hits", "writes", "rollbacks", "stale", "stale_after_restart", "leaks", "errors")
    return {
        "entries": len(first.entries),
        "statements": first.statements is not None,
        "restarts": options.restarts,
        **{name: counts[name] for name in counted},
    }


def work(
    caches: Path, number: int, seed: int, acknowledged: Any, back_at: Any, done: Any, results: Any
) -> None:
    """One process: its threads read and write until the number is reached."""
    scene, counts, lock = Scene(caches), Counter[str](), threading.Lock()

    def loop(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(number // THREADS):
            try:
                step(scene, chance, acknowledged, back_at, counts, lock)
            except Exception as error:
                with lock:
                    counts["errors"] += 1
                print(repr(error)[:300], file=sys.stderr)
            with done.get_lock():
                done.value += 1

    threads = [threading.Thread(target=loop, args=(seed + n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts["hits"] += int(scene.hits())
    results.put(dict(counts))


def step(
    scene: "Scene", chance: random.Random, acknowledged: Any, back_at: Any, counts: Any, lock: Any
) -> None:
    names = sorted(scene.tables)
    if chance.random() < WRITES:
        table, row, commits = chance.choice(names), chance.randint(1, ROWS), chance.random() < 0.8
        value = scene.write(table, row, commits, chance.random())
        place = names.index(table) * (ROWS + 1) + row
        with acknowledged.get_lock():
            if commits:
                acknowledged[place] = max(acknowledged[place], value)
        with lock:
            counts["writes" if commits else "rollbacks"] += 1
        return
    name, entry = chance.choice(scene.entries)
    key = {part: chance.randint(1, ROWS) for part in scene.parts(entry)}
    began = time.monotonic()
    places = [(n, t, r) for n, (t, r) in enumerate(scene.read_rows(entry, key))]
    floor = [acknowledged[names.index(t) * (ROWS + 1) + r] for _, t, r in places]
    served = scene.read(entry, key)
    settled = back_at.value == 0 or began > back_at.value + SETTLING_S
    is_stale = any(value < least for value, least in zip(served["values"], floor, strict=True))
    with lock:
        counts["reads"] += 1
        counts["leaks"] += served["key"] != [name, [list(item) for item in sorted(key.items())]]
        if is_stale:
            counts["stale" if settled else "stale_after_restart"] += 1


def entries_module() -> Any:
    """The generated entries; what only their keys are made with need not be installed, no request is made here."""
    while True:
        try:
            return importlib.import_module("patched_caches.entries")
        except ModuleNotFoundError as error:
            sys.modules[str(error.name)] = MagicMock()


class Scene:
    """The generated entries of an application, on tables of their dependencies' names."""

    def __init__(self, caches: Path) -> None:
        text = (caches / "entries.py").read_text(encoding="utf-8")
        self.database: Any = ThroughDjango() if "django_events" in text else ThroughSQLAlchemy()
        spec = importlib.util.spec_from_file_location(
            "patched_caches", caches / "__init__.py", submodule_search_locations=[str(caches)]
        )
        assert spec and spec.loader
        sys.modules["patched_caches"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["patched_caches"])
        self.module = entries_module()
        self.tables: dict[str, str | None] = self.module.watcher.tables
        self.columns: dict[str, list[str]] = self.module.watcher.columns
        self.statements: Any = getattr(self.module, "statements", None)
        if os.environ.get("BENCH_DEAF"):
            self.module.watcher.stop()
        kept = [getattr(self.module, name) for name in dir(self.module)]
        self.entries = [
            (entry.name, entry)
            for entry in kept
            if hasattr(type(entry), "get_or_compute")
            and getattr(entry, "depends_on", ())
            and self._tables_of(entry) <= set(self.tables)
        ]

    def _tables_of(self, entry: Any) -> set[str]:
        return {tag.partition(":")[0] for tag in entry.depends_on}

    def hits(self) -> float:
        caches = [c for c in (self.module.cache, getattr(self.module, "async_cache", None)) if c]
        return sum(counts["hits"] for cache in caches for counts in cache.metrics().values())

    def create(self) -> None:
        for table, key in self.tables.items():
            others = [column for column in self.columns.get(table, ()) if column != key]
            more = "".join(f', "{column}" INTEGER' for column in others)
            self.database.run(f'CREATE TABLE "{table}" ("{key or "id"}" INTEGER PRIMARY KEY, n BIGINT{more})')
            for row in range(1, ROWS + 1):
                self.database.run(f'INSERT INTO "{table}" VALUES ({row}, 0{f", {row}" * len(others)})')

    def parts(self, entry: Any) -> list[str]:
        """Two parts of any key: its rows, and who asks."""
        return sorted({tag.partition(":")[2].strip("{}") for tag in entry.depends_on if ":" in tag} | {"who"})

    def read_rows(self, entry: Any, key: dict[str, int]) -> list[tuple[str, int]]:
        found = []
        for tag in entry.depends_on:
            table, _, part = tag.partition(":")
            rows = [key[part.strip("{}")]] if part else range(1, ROWS + 1)
            found += [(table, row) for row in rows]
        return found

    def read(self, entry: Any, key: dict[str, int]) -> dict[str, Any]:
        chosen = random.Random(repr(sorted(key.items())))  # the same statements for the same key

        def compute() -> dict[str, Any]:
            values = [
                self.database.value(t, chosen.choice(self.names_of(t)), r)
                for t, r in self.read_rows(entry, key)
            ]
            time.sleep(random.random() * 0.004)  # for a write to come between
            return {"key": [entry.name, [list(item) for item in sorted(key.items())]], "values": values}

        if self.statements is not None:
            self.database.begin()
            return dict(self.statements.get_or_compute(entry, key, compute))
        if not inspect.iscoroutinefunction(entry.get_or_compute):
            return dict(entry.get_or_compute(key, compute))

        async def compute_later() -> dict[str, Any]:
            return await asyncio.to_thread(compute)

        return dict(asyncio.run(entry.get_or_compute(key, compute_later)))

    def names_of(self, table: str) -> list[str]:
        """The columns by which rows are asked for."""
        return [self.tables[table] or "id", *self.columns.get(table, ())]

    def write(self, table: str, row: int, commits: bool, how: float) -> int:
        names = self.names_of(table)
        return int(self.database.write(table, names, names[int(how * len(names))], row, commits, how < 0.2))


class ThroughSQLAlchemy:
    def __init__(self) -> None:
        from sqlalchemy import create_engine

        url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
        self.engine = create_engine(url, pool_size=10)

    def run(self, sql: str) -> None:
        from sqlalchemy import text

        with self.engine.begin() as connection:
            connection.execute(text(sql))

    def value(self, table: str, name: str, row: int) -> int:
        from sqlalchemy import Column, Integer, MetaData, Table, select

        asked = Table(table, MetaData(), Column(name, Integer), Column("n", Integer))
        with self.engine.connect() as connection:
            return int(connection.execute(select(asked.c.n).where(asked.c[name] == row)).scalar_one())

    def write(self, table: str, names: list[str], name: str, row: int, commits: bool, replaces: bool) -> int:
        from sqlalchemy import Column, Integer, MetaData, Table
        from sqlalchemy.orm import Session

        others = [Column(other, Integer) for other in names[1:] if other != names[0]]
        mapped = Table(
            table, MetaData(), Column(names[0], Integer, primary_key=True), *others, Column("n", Integer)
        )
        change = mapped.update().where(mapped.c[name] == row).values(n=mapped.c.n + 1).returning(mapped.c.n)
        with Session(self.engine) as session:
            value = session.execute(change).scalar_one_or_none()
            if value is None:  # another writer has just put a new row in its place
                session.rollback()
                return self.write(table, names, name, row, commits, replaces)
            if replaces:
                session.execute(mapped.delete().where(mapped.c[name] == row))
                session.execute(mapped.insert().values({**dict.fromkeys(names, row), "n": value}))
            session.commit() if commits else session.rollback()
        return int(value)

    def begin(self) -> None:
        """A request begins."""


class ThroughDjango:
    def __init__(self) -> None:
        import django
        from django.conf import settings
        from psycopg.conninfo import conninfo_to_dict

        parts = conninfo_to_dict(os.environ["DATABASE_URL"])
        names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
        options = {ours: parts[theirs] for theirs, ours in names.items() if theirs in parts}
        database = {"ENGINE": "django.db.backends.postgresql", **options}
        settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[], USE_TZ=True)
        django.setup()

    def begin(self) -> None:
        from django.core.signals import request_started

        request_started.send(self)

    def _execute(
        self, sql: str, params: Any = None, fetch: Callable[[Any], Any] = lambda cursor: None
    ) -> Any:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return fetch(cursor)

    def run(self, sql: str) -> None:
        self._execute(sql)

    def value(self, table: str, name: str, row: int) -> int:
        sql = f'SELECT "{table}"."n" FROM "{table}" WHERE "{table}"."{name}" = %s'
        return int(self._execute(sql, [row], lambda cursor: cursor.fetchone()[0]))

    def write(self, table: str, names: list[str], name: str, row: int, commits: bool, replaces: bool) -> int:
        from django.db import transaction

        where = f'WHERE "{table}"."{name}" = %s'
        with transaction.atomic():
            sql = f'UPDATE "{table}" SET "n" = n + %s {where} RETURNING "n"'
            found = self._execute(sql, [1, row], lambda cursor: cursor.fetchone())
            if found is None:  # another writer has just put a new row in its place
                return self.write(table, names, name, row, commits, replaces)
            value = found[0]
            if replaces:
                self._execute(f'DELETE FROM "{table}" {where}', [row])
                own = list(dict.fromkeys(names))
                columns, holes = (
                    ", ".join(f'"{each}"' for each in [*own, "n"]),
                    ", ".join(["%s"] * (len(own) + 1)),
                )
                self._execute(
                    f'INSERT INTO "{table}" ({columns}) VALUES ({holes})', [*[row] * len(own), value]
                )
            transaction.set_rollback(not commits)
        return int(value)


if __name__ == "__main__":
    sys.exit(main())
