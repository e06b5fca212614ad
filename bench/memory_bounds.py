"""
What the caches hold after very many keys: in the memory of the process, and in Redis.

    python tests/servers.py -- python bench/memory_bounds.py [--keys 1000000] [--operations 10000000] [--tags 1000000]

Distinct keys through an entry with both bounds of memory in reach, then operations on a hot set and new keys in turn; then
tagged values that expire, while their tags are invalidated again and again. Beside the counts: the resident set.
"""

import argparse
import gc
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import redis

from cache_strategy.emit.targets.runtime.files.records import Memory, Record
from cache_strategy.emit.targets.runtime.files.runtime import Cache

MEBIBYTE = 2**20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--operations", type=int, default=10_000_000)
    parser.add_argument("--tags", type=int, default=1_000_000)
    options = parser.parse_args()
    url = os.environ["REDIS_URL"]
    bounds(options.keys, options.operations)
    whole(Cache(url, "keys", memory_entries=10_000, budget_ms=5000), options.keys // 10)
    orphans(Cache(url, "tags", budget_ms=5000), redis.Redis.from_url(url), options.tags)
    return 0


def resident() -> float:
    """In MiB; the peak where the system does not tell."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MEBIBYTE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bounds(keys: int, operations: int) -> None:
    """Memory alone: what it says that it holds, and what it takes."""
    before, memory = resident(), Memory(10**9, 64 * MEBIBYTE)
    for number in range(keys):
        keep(memory, number)
    first = resident() - before
    print(
        f"{keys:,} keys: {memory.bytes / MEBIBYTE:.1f} of 64 MiB counted, {first:.1f} MiB taken ({first / 64 - 1:+.1%})"
    )
    for number in range(operations):
        if number % 10:
            memory.get(f"page/1/s1:xi{keys - number % 1000};")
        else:
            keep(memory, keys + number)
    taken = resident() - before
    print(
        f"{operations:,} operations more: {memory.bytes / MEBIBYTE:.1f} MiB counted, {taken:.1f} MiB taken",
        flush=True,
    )


def keep(memory: Memory, number: int) -> None:
    stamp = 1_700_000_000_000_000 + number
    record = Record(
        b"%d,%d,%d" % (stamp, stamp, stamp),
        b'"%s"' % (b"v" * 500),
        b"0",
        stamp,
        stamp + 1,
        stamp + 2,
        float(number),
    )
    memory.put(f"page/1/s1:xi{number};", record)


def whole(cache: Any, keys: int) -> None:
    """The same through an entry, Redis and all."""
    before, started = resident(), time.monotonic()
    entry = cache.entry("page", ttl_seconds=5)
    for number in range(keys):
        entry.get_or_compute({"x": number}, lambda: "v" * 100)
    seconds, state = time.monotonic() - started, cache.state()
    print(
        f"{keys:,} keys through an entry: {state['memory_entries']:,} of 10,000 kept, {resident() - before:.1f} MiB, {seconds:.0f} s",
        flush=True,
    )


def orphans(cache: Any, client: Any, tags: int) -> None:
    """What is left when all values have expired and tags have been named so many times."""
    entry = cache.entry("tagged", ttl_seconds=1, layers=("redis",), tags=("group:{group}", "all"))
    for number in range(1000):
        entry.get_or_compute({"group": number % 50, "number": number}, lambda: 1)
    most = 0
    for turn in range(tags // 100):
        cache.invalidate(*(("group", number) for number in range(100)))
        most = max(most, 0 if turn % 1000 else sum(1 for _ in client.scan_iter("tags:*", count=1000)))
    endless = sum(client.pttl(name) < 0 for name in client.scan_iter("tags:*", count=1000))
    print(f"{tags:,} tags named: at most {most:,} keys in Redis, {endless} without an end", flush=True)
    time.sleep(61)
    left = sum(1 for _ in client.scan_iter("tags:*", count=1000))
    print(f"a minute later: {left} left (the server's name, and no more than the tags of the last minute)")


if __name__ == "__main__":
    sys.exit(main())
