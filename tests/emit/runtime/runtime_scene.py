"""The parts of a scene: a clock, an origin, another process, the tables of a shop."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Column, ForeignKey, Integer, Numeric, String, Table
from sqlalchemy.orm import declarative_base, relationship

EVERY_LAYER = pytest.mark.parametrize("layers", [("redis",), ("memory", "redis"), ("memory",)])


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = time.monotonic()

    def __call__(self):
        return self.now

    def pass_seconds(self, seconds):
        self.now += seconds


class Origin:
    """What is cached: a value that a test changes, and how often it was asked for."""

    def __init__(self, value="first"):
        self.value = value
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def eventually(condition, seconds=10):
    """Wait until a real process or thread has done something."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def in_threads(number, call):
    """What each of them returned or raised."""
    results = []

    def run():
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class OtherProcess:
    """`other_process.py`, which answers one line of JSON with another."""

    def __init__(self, *arguments, **environment):
        command = [sys.executable, str(Path(__file__).with_name("other_process.py")), *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env={**os.environ, **environment}, **pipes)

    def tell(self, **order):
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self):
        return json.loads(self._process.stdout.readline())

    def ask(self, **order):
        self.tell(**order)
        return self.answer()

    def kill(self):
        self._process.kill()
        self._process.wait()

    def end(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


Base = declarative_base()

product_tags = Table(
    "product_tags",
    Base.metadata,
    Column("product_id", ForeignKey("products.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True),
)


class Numbered:
    id = Column(Integer, primary_key=True)


class Category(Numbered, Base):
    __tablename__ = "categories"
    name = Column(String, nullable=False)


class Tag(Numbered, Base):
    __tablename__ = "tags"
    name = Column(String, nullable=False)


class Product(Numbered, Base):
    __tablename__ = "products"
    name = Column(String, nullable=False)
    price = Column(Numeric, nullable=False, server_default="0")
    category_id = Column(ForeignKey("categories.id", ondelete="CASCADE"))
    tags = relationship(Tag, secondary=product_tags, passive_deletes=True)


class Review(Numbered, Base):
    __tablename__ = "reviews"
    product_id = Column(ForeignKey("products.id", ondelete="SET NULL"))
    stars = Column(Integer, nullable=False, server_default="5")


class Unwatched(Numbered, Base):
    __tablename__ = "audit_log"
    what = Column(String)


WATCHED = {"categories": "id", "products": "id", "reviews": "id", "tags": "id", "product_tags": None}
