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
MISSED, FRESH, OLD = 1, 2, 4
"""What `one_cache` notes of a request: not served; served and known to be right, or stale."""


def until_next_write(
    time_s: Floats, key: Ints, write_s: Floats, write_key: Ints, following: Floats, until: Floats
) -> float:
    """
    Fills `until`; a write to key -1 concerns all keys, and the first of these is returned. `following` is infinity per key,
    and the first write of each key afterwards.
    """
    at, all_keys = len(write_s) - 1, FOREVER
    for i in range(len(time_s) - 1, -2, -1):
        since = time_s[i] if i >= 0 else -FOREVER
        while at >= 0 and write_s[at] > since:
            if write_key[at] < 0:
                all_keys = write_s[at]
            else:
                following[write_key[at]] = write_s[at]
            at -= 1
        if i >= 0:
            until[i] = min(all_keys, following[key[i]])
    return all_keys


def by_key(key: Ints, following: Ints, order: Ints) -> None:
    """Fills `order` with the requests by key, those of a key in time order; `following` has where each key's begin."""
    for i in range(len(key)):
        place = following[key[i]]
        order[place] = i
        following[key[i]] = place + 1


def many_ttls(
    columns: Columns,
    order: Ints,
    starts: Ints,
    ttls: Floats,
    drops: bool,
    held: tuple[Floats, Floats, Ints],
    counts: tuple[Ints, Ints, Ints],
    ages: Floats,
    missed: Ints,
) -> None:
    """
    A cache without a limit under up to 31 times to live at once, key by key, as no key concerns another.

    Args:
        order, starts: the requests by key, and where those of each key begin.
        drops: whether a write takes the value out.
        held: per time to live when the key's value was stored, until when it is true, its digest.
        counts: per time to live the hits that digests judge, the stale ones of all, and of these those whose age is known.
        ages: seconds for which stale values had been stale, their sum per time to live.
        missed: gets one bit per request and time to live.
    """
    time_s, _, _, digest, until, _ = columns
    stored_s, true_until, answer = held
    told, stale, aged = counts
    width = len(ttls)
    for k in range(len(starts) - 1):
        for j in range(width):
            stored_s[j] = -FOREVER
        for place in range(starts[k], starts[k + 1]):
            i = order[place]
            now, true, asked, bits = time_s[i], until[i], digest[i], 0
            for j in range(width):
                past = now - true_until[j]
                is_stale = past >= 0
                if now - stored_s[j] >= ttls[j] or (drops and is_stale):
                    stored_s[j], true_until[j], answer[j] = now, true, asked
                    bits |= 1 << j
                    continue
                # as `judge`, with which this loop would take six times as long
                if asked != 0 and answer[j] != 0:
                    told[j] += 1
                    is_stale = answer[j] != asked
                if is_stale:
                    stale[j] += 1
                    if past >= 0:
                        aged[j] += 1
                        ages[j] += past
            missed[i] = bits


def judge(j: int, past: float, answer: int, asked: int, judging: bool, counts: Ints, ages: Floats) -> int:
    """One hit of cache `j`, `past` seconds after its answer may have changed (negative: before): FRESH, OLD, or 0."""
    known = answer != 0 and asked != 0
    if not known and not judging:
        return 0
    counts[j * COUNTS + JUDGED] += 1
    if (known and answer == asked) or (not known and past < 0):
        return FRESH
    counts[j * COUNTS + STALE] += 1
    if past >= 0:
        counts[j * COUNTS + AGED] += 1
        ages[j] += past
    return OLD


def count_misses(missed: Ints, bit: int, edges: Ints, misses: Ints) -> None:
    """Fills `misses` with how many requests between two edges were missed."""
    for part in range(len(edges) - 1):
        found = 0
        for i in range(edges[part], edges[part + 1]):
            found += (missed[i] >> bit) & 1
        misses[part] = found


def held_at_most(time_s: Floats, size: Ints, ttl: float, missed: Ints, bit: int, stored: Ints) -> int:
    """
    The most bytes that the cache of one time to live of `many_ttls` held at once; `stored` gets the bytes stored before each
    request. Blocks that cannot exceed what was found already are skipped by their sum.
    """
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


def held_replaced(
    time_s: Floats, key: Ints, size: Ints, ttl: float, missed: Ints, bit: int, where: Ints
) -> int:
    """As `held_at_most`, where a value may be replaced before its time; `where` is -1 per key."""
    held = most = gone = 0
    for i in range(len(time_s)):
        while gone < i and time_s[gone] <= time_s[i] - ttl:
            if where[key[gone]] == gone:
                where[key[gone]] = -1
                held -= size[gone]
            gone += 1
        if (missed[i] >> bit) & 1:
            old = where[key[i]]
            held += size[i] - (size[old] if old >= 0 else 0)
            where[key[i]] = i
            most = max(most, held)
    return most


def crowds(
    time_s: Floats, key: Ints, took_s: Floats, missed: Ints, bit: int, busy: Floats, waiting: Ints
) -> tuple[int, int]:
    """
    How many requests came while another computed the value of their key, and the most at once for one key.

    Args:
        busy: minus infinity per key.
        waiting: any integers, one per key.
    """
    together = most = 0
    for i in range(len(time_s)):
        asked = key[i]
        if time_s[i] < busy[asked]:
            waiting[asked] += 1
            together += 1
            most = max(most, waiting[asked])
        elif (missed[i] >> bit) & 1:
            busy[asked], waiting[asked] = time_s[i] + took_s[i], 1
    return together, most


def nth_to_expire(order: Ints, n: int) -> int:
    """With one time to live what was stored first expires first."""
    return n


def life_of(lives: Floats, kind: Ints, key: int) -> float:
    return lives[0]


def nth_of_order(order: Ints, n: int) -> int:
    return order[n]


def life_of_kind(lives: Floats, kind: Ints, key: int) -> float:
    return lives[kind[key]]


def one_cache(
    columns: Columns,
    lives: Floats,
    kind: Ints,
    order: Ints,
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
        lives, kind, order: times to live, which one a key has, and the requests as their values expire; these two are
            looked at by `life_of_kind` and `nth_of_order` only, where they stand in.
        drops: whether a write takes the value out, or leaves it to its time to live.
        where: per key the request that stored its value, -1 for none.
        head, links: the policy's memory.
    """
    time_s, key, size, digest, until, judging = columns
    held = most = gone = 0
    for i in range(len(time_s)):
        now, asked = time_s[i], key[i]
        while gone < i:
            old = nth_to_expire(order, gone)
            if time_s[old] > now - life_of(lives, kind, key[old]):
                break
            if where[key[old]] == old:
                where[key[old]] = -1
                held -= size[old]
                remove(head, links, key[old])
            gone += 1
        old = where[asked]
        if old >= 0 and drops and until[old] <= now:
            held -= size[old]
            remove(head, links, asked)
            where[asked] = old = -1
        if old >= 0:
            use(head, links, asked, now)
            missed[i] = judge(0, now - until[old], digest[old], digest[i], judging, counts, ages)
            continue
        missed[i] = MISSED
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
