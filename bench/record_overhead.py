"""
What recording costs: requests with the probe and without, in turns.

Usage:
    python bench/record_overhead.py [--rounds 30] [--requests 100]

Each application answers in two processes by its own test client, one plain and one under `record`, a hundred requests each in
turns. Times are of the processor, which other work on the machine disturbs least. Printed are the medians over the rounds: microseconds per request
at the median without and with, the difference, and the share of requests per second of processor that is lost (of a server that
also waits for its database less). "shop" are the reads of the example shop on PostgreSQL, whose pages cost some milliseconds; the others answer next to nothing, which shows
the probe's own time best and its share worst.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from cache_strategy.record.command import _probe_environment  # noqa: E402 - below the path that finds it
from servers import PostgresServer  # noqa: E402 - below the path that finds it

TIMED = """
import sys, time
from application import ask
numbers = iter(range(10**9))
for line in sys.stdin:
    took, began = [], time.process_time()
    for _ in range(int(line)):
        at = time.thread_time_ns()
        ask(next(numbers))
        took.append(time.thread_time_ns() - at)
    took.sort()
    print(took[len(took) // 2] / 1e3, (time.process_time() - began) / len(took) * 1e6, flush=True)
"""
FLASK = """
from flask import Flask, jsonify
from flask_sqlalchemy import SQLAlchemy
db = SQLAlchemy()
class Product(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String)
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
db.init_app(app)
@app.get("/products/<int:product_id>")
def product(product_id):
    return jsonify(name=db.session.get(Product, product_id).name)
with app.app_context():
    db.create_all()
    db.session.add_all([Product(id=n, name="x") for n in range(1, 100)])
    db.session.commit()
client = app.test_client()
ask = lambda n: client.get(f"/products/{n % 99 + 1}").data
"""
DJANGO = """
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
import django
django.setup()
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.http import JsonResponse
from django.test import Client
from django.urls import path
call_command("migrate", verbosity=0)
Group.objects.bulk_create([Group(name=str(n)) for n in range(1, 100)])
urlpatterns = [path("groups/<int:group_id>", lambda request, group_id: JsonResponse({"name": Group.objects.get(pk=group_id).name}))]
client = Client()
ask = lambda n: client.get(f"/groups/{n % 99 + 1}").content
"""
FASTAPI = """
import asyncio, sqlite3
from fastapi import FastAPI
app = FastAPI()
made = sqlite3.connect(":memory:")
made.executescript("CREATE TABLE a (id INTEGER PRIMARY KEY, name)")
made.executemany("INSERT INTO a VALUES (?, 'x')", [(n,) for n in range(1, 100)])
@app.get("/a/{a_id}")
async def a(a_id: int):
    return {"name": made.execute("SELECT name FROM a WHERE id = ?", (a_id,)).fetchone()[0]}
loop = asyncio.new_event_loop()
async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}
async def send(message):
    pass
def ask(n):
    path = f"/a/{n % 99 + 1}"
    loop.run_until_complete(app({"type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [], "root_path": "", "scheme": "http", "server": ("x", 80), "client": ("y", 1)}, receive, send))
"""
PAGE = """
import os, random, sys
sys.path.insert(0, os.environ["SHOP"])
from load import READS, Load, create_app, db, demo
app = create_app()
with app.app_context():
    db.create_all()
    demo.fill()
chance = random.Random(1)
load = Load(app, chance)
kinds = random.Random(2).choices(list(READS), list(READS.values()), k=9999)
ask = lambda n: getattr(load, kinds[n])().data
"""
APPLICATIONS = {"Flask, SQLAlchemy": FLASK, "Django": DJANGO, "FastAPI, sqlite3": FASTAPI, "shop": PAGE}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=100)
    options = parser.parse_args()
    server = PostgresServer()
    print(f"{'application':<20} {'without':>9} {'with':>9} {'more':>8} {'throughput lost':>16}")
    for name, code in APPLICATIONS.items():
        with tempfile.TemporaryDirectory() as folder, Pair(Path(folder), code, server) as pair:
            pair.ask(max(200, options.requests))
            rounds = [pair.ask(options.requests) for _ in range(options.rounds)]
        plain, recorded = (statistics.median(one[which][0] for one in rounds) for which in (0, 1))
        more = statistics.median(one[1][0] - one[0][0] for one in rounds)
        lost = statistics.median(1 - one[0][1] / one[1][1] for one in rounds)
        print(
            f"{name:<20} {plain:>6.0f} us {recorded:>6.0f} us {more:>5.0f} us {100 * lost:>14.1f} %",
            flush=True,
        )
    server.stop()


class Pair:
    """The same application in two processes, one of them recorded, asked in turns."""

    def __init__(self, folder: Path, code: str, server: PostgresServer) -> None:
        (folder / "application.py").write_text(code)
        (folder / "timed.py").write_text(TIMED)
        (folder / "trace").mkdir()
        self._processes = []
        for more in ({}, _probe_environment(folder, folder / "trace", False, ())):
            url = server.url(server.create_database()).replace("postgresql://", "postgresql+psycopg://")
            env = {
                **os.environ,
                "SHOP": str(ROOT / "tests/apps/flask_shop"),
                "DATABASE_URL": url,
                "SECRET_KEY": "x",
                **more,
            }
            command = [sys.executable, "timed.py"]
            self._processes.append(
                subprocess.Popen(command, cwd=folder, env=env, stdin=-1, stdout=-1, text=True)
            )

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *about: object) -> None:
        for process in self._processes:
            process.communicate()

    def ask(self, many: int) -> list[tuple[float, float]]:
        """Of each process microseconds at the median, and at the mean with all that is done beside."""
        found = []
        for process in self._processes:
            assert process.stdin and process.stdout
            process.stdin.write(f"{many}\n")
            process.stdin.flush()
            median, mean = process.stdout.readline().split()
            found.append((float(median), float(mean)))
        return found


if __name__ == "__main__":
    main()
