"""
The loops over a trace, in plain Python that numba can compile: `engine.py` decides which of the two runs.

Every array is flat, so that lists do as well. Requests are in time order.
"""

from cache_strategy.simulate.policies.fifo import add, evict, remove, use

Ints = list[int]
Floats = list[float]
Columns = tuple[Floats, Ints, Ints, Ints, Floats, bool]
"""
Time, key, size, digest of the origin's answer (0 where not known), until when that answer stays true (the first write after
it, infinity for none), and whether writes are known.
"""
JUDGED, STALE, AGED, COUNTS = 0, 1, 2, 3
"""Hits per cache that could be judged, the stale ones, and of these those whose age is known."""
BLOCK = 64
FOREVER = float("inf")


def until_next_write(
    time_s: Floats, key: Ints, write_s: Floats, write_key: Ints, following: Floats, until: Floats
) -> None:
    """Fills `until`; a write to key -1 concerns all keys. `following` is infinity per key."""
    at, all_keys = len(write_s) - 1, FOREVER
    for i in range(len(time_s) - 1, -1, -1):
        while at >= 0 and write_s[at] > time_s[i]:
            if write_key[at] < 0:
                all_keys = write_s[at]
            else:
                following[write_key[at]] = write_s[at]
            at -= 1
        until[i] = min(all_keys, following[key[i]])


def many_ttls(columns: Columns, ttls: Floats, where: Ints, counts: Ints, ages: Floats, missed: Ints) -> None:
    """
    A cache without a limit under up to 31 times to live at once.

    Args:
        where: per key and time to live the request that stored the value, -1 for none.
        ages: seconds for which stale values had been stale, their sum per time to live.
        missed: gets one bit per request and time to live.
    """
    time_s, key, _, digest, until, judging = columns
    width = len(ttls)
    for i in range(len(time_s)):
        now, place, bits = time_s[i], key[i] * width, 0
        for j in range(width):
            old = where[place + j]
            if old < 0 or now - time_s[old] >= ttls[j]:
                where[place + j] = i
                bits |= 1 << j
            else:
                judge(j, now - until[old], digest[old], digest[i], judging, counts, ages)
        missed[i] = bits


def judge(j: int, past: float, answer: int, asked: int, judging: bool, counts: Ints, ages: Floats) -> None:
    """One hit of cache `j`, `past` seconds after its answer may have changed (negative: before)."""
    known = answer != 0 and asked != 0
    if known or judging:
        counts[j * COUNTS + JUDGED] += 1
        if (known and answer != asked) or (not known and past >= 0):
            counts[j * COUNTS + STALE] += 1
            if past >= 0:
                counts[j * COUNTS + AGED] += 1
                ages[j] += past


def held_at_most(columns: Columns, ttl: float, missed: Ints, bit: int, stored: Ints) -> int:
    """
    The most bytes that the cache of one time to live of `many_ttls` held at once; `stored` gets the bytes stored before each
    request. Blocks that cannot exceed what was found already are skipped by their sum.
    """
    time_s, _, size, _, _, _ = columns
    many = len(time_s)
    total = most = gone = 0
    for i in range(many):
        stored[i] = total
        total += size[i] * ((missed[i] >> bit) & 1)
    stored[many] = total
    for start in range(0, many, BLOCK):
        end = min(start + BLOCK, many)
        while time_s[gone] <= time_s[start] - ttl:
            gone += 1
        if stored[end] - stored[gone] <= most:
            continue
        alive = gone
        for i in range(start, end):
            while time_s[alive] <= time_s[i] - ttl:
                alive += 1
            most = max(most, stored[i + 1] - stored[alive])
    return most


def one_cache(
    columns: Columns,
    ttl: float,
    capacity: int,
    drops: bool,
    where: Ints,
    head: Ints,
    links: Ints,
    counts: Ints,
    ages: Floats,
    missed: Ints,
) -> int:
    """
    A cache that holds `capacity` bytes, under the policy whose functions stand in for `add`, `use`, `remove` and `evict`;
    the most that it held at once.

    Args:
        drops: whether a write takes the value out, or leaves it to its time to live.
        where: per key the request that stored its value, -1 for none.
        head, links: the policy's memory.
    """
    time_s, key, size, digest, until, judging = columns
    held = most = gone = 0
    for i in range(len(time_s)):
        now, asked = time_s[i], key[i]
        while time_s[gone] <= now - ttl:
            if where[key[gone]] == gone:
                where[key[gone]] = -1
                held -= size[gone]
                remove(head, links, key[gone])
            gone += 1
        old = where[asked]
        if old >= 0 and drops and until[old] <= now:
            held -= size[old]
            remove(head, links, asked)
            where[asked] = old = -1
        if old >= 0:
            use(head, links, asked, now)
            judge(0, now - until[old], digest[old], digest[i], judging, counts, ages)
            continue
        missed[i] = 1
        if size[i] > capacity:
            continue
        while held + size[i] > capacity:
            out = evict(head, links, now)
            held -= size[where[out]]
            where[out] = -1
        add(head, links, asked, size[i], now)
        where[asked] = i
        held += size[i]
        most = max(most, held)
    return most
