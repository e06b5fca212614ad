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
HERE = Path(__file__).resolve().parent


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
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "other_process.py"), *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, **order):
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self):
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, **order):
        self.tell(**order)
        return self.answer()

    def kill(self):
        self._process.kill()
        self._process.wait()

    def end(self):
        assert self._process.stdin is not None and self._process.stdout is not None
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


class Category(Base):
    __tablename__ = "categories"
    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False)


class Tag(Base):
    __tablename__ = "tags"
    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False)


class Product(Base):
    __tablename__ = "products"
    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False)
    price = Column(Numeric, nullable=False, server_default="0")
    category_id = Column(ForeignKey("categories.id", ondelete="CASCADE"))
    tags = relationship(Tag, secondary=product_tags, passive_deletes=True)


class Review(Base):
    __tablename__ = "reviews"
    id = Column(Integer, primary_key=True)
    product_id = Column(ForeignKey("products.id", ondelete="SET NULL"))
    stars = Column(Integer, nullable=False, server_default="5")


class Unwatched(Base):
    __tablename__ = "audit_log"
    id = Column(Integer, primary_key=True)
    what = Column(String)


WATCHED = {"categories": "id", "products": "id", "reviews": "id", "tags": "id", "product_tags": None}
