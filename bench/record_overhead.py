"""
What recording costs: requests with the probe and without, in turns.

Usage:
    python bench/record_overhead.py [--rounds 5] [--requests 1500]

Each application answers in its own process by its own test client, once plain and once under `record`, in turns. Printed are
the medians over the rounds: microseconds per request at the median without and with, the difference, and the share of the
throughput that is lost. "shop" are the reads of the example shop on PostgreSQL, whose pages cost some milliseconds; the others answer next to nothing, which shows
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

from cache_strategy.record import run_recorded  # noqa: E402
from servers import PostgresServer  # noqa: E402

TIMED = """
import sys, time
def timed(ask, many):
    for n in range(max(50, many // 5)):
        ask(n)
    took, began = [], time.perf_counter()
    for n in range(many):
        at = time.perf_counter()
        ask(n)
        took.append(time.perf_counter() - at)
    whole = time.perf_counter() - began
    took.sort()
    print(took[many // 2] * 1e6, many / whole)
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1500)
    options = parser.parse_args()
    server = PostgresServer()
    shop = ROOT / "tests" / "apps" / "flask_shop"
    print(f"{'application':<20} {'without':>9} {'with':>9} {'more':>8} {'throughput lost':>16}")
    for name, code in APPLICATIONS.items():
        found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        many = options.requests if name != "shop" else options.requests // 3
        for _ in range(options.rounds):
            for is_recorded in (False, True):
                url = server.url(server.create_database()).replace("postgresql://", "postgresql+psycopg://")
                env = {"SHOP": str(shop), "DATABASE_URL": url, "SECRET_KEY": "x"}
                found[is_recorded].append(once(code, many, is_recorded, env))
        plain, recorded = (
            [statistics.median(column) for column in zip(*found[which], strict=True)]
            for which in (False, True)
        )
        lost = 1 - recorded[1] / plain[1]
        print(
            f"{name:<20} {plain[0]:>6.0f} us {recorded[0]:>6.0f} us {recorded[0] - plain[0]:>5.0f} us {100 * lost:>14.1f} %"
        )
    server.stop()


def once(code: str, many: int, is_recorded: bool, env: dict[str, str]) -> tuple[float, float]:
    """Microseconds at the median, and requests per second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "application.py").write_text(code)
        (folder / "timed.py").write_text(f"{TIMED}\nfrom application import ask\ntimed(ask, {many})\n")
        command = [sys.executable, "timed.py"]
        if is_recorded:
            done = run_recorded(command, folder, folder / "trace", quiet=True, env=env)
            code, output = done.exit_code, done.output_tail
        else:
            plain = subprocess.run(
                command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True
            )
            code, output = plain.returncode, plain.stdout + plain.stderr
        if code:
            sys.exit(output)
        median, rate = output.splitlines()[-1].split()
        return float(median), float(rate)


if __name__ == "__main__":
    main()
