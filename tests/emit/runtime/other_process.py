"""
Another process with the same cache as the tests: reads orders from standard input, one line of JSON each.

Usage:
    python other_process.py REDIS_URL FOLDER_OF_CACHING
"""

import json
import os
import sys
import threading
import time

import redis

sys.path.insert(0, sys.argv[2])
from caching import Cache  # as `emit --runtime` writes it: alone

client = redis.Redis.from_url(sys.argv[1], protocol=2)
cache = Cache(sys.argv[1], "shop", budget_ms=float(os.environ.get("BUDGET_MS", "5000")))
page = cache.entry("page", ttl_seconds=60, depends_on=("products:{product_id}",))


def origin():
    """The value that the test has put into Redis; counts how often it was asked for."""
    client.incr("origin-calls")
    if client.get("origin-waits"):
        deadline = time.monotonic() + 10
        while client.get("origin-waits") and time.monotonic() < deadline:
            time.sleep(0.002)
    return (client.get("origin") or b"").decode()


def read(order):
    return page.get_or_compute({"product_id": order.get("product_id", 1)}, origin)


def read_in_threads(order):
    values = []

    def call():
        client.incr("callers")
        values.append(read(order))

    threads = [threading.Thread(target=call) for _ in range(order["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return values


def read_in_fork(order):
    """The value as a forked child reads it, while a thread of the parent holds every lock."""
    reader, writer = os.pipe()
    with cache.lock, cache.memory.lock:
        child = os.fork()
        if child == 0:
            os.write(writer, json.dumps([read(order), cache.link.call("CLIENT", "ID")]).encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        value, connection = json.loads(pipe.read())
    os.waitpid(child, 0)
    is_own = connection != cache.link.call("CLIENT", "ID")
    return {"value": value, "own_connection": is_own, "parent": read(order)}


def invalidate(order):
    cache.invalidate(("products", order["product_id"]))


ORDERS = {
    "read": read,
    "read-in-threads": read_in_threads,
    "read-in-fork": read_in_fork,
    "invalidate": invalidate,
}

for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps(ORDERS.get(order["do"], bool)(order)), flush=True)
