"""Staleness of the emitted cache: what was computed before an invalidation is never served after it."""

import random
import threading

import pytest
from runtime_scene import Origin

EVERY_LAYER = pytest.mark.parametrize("layers", [("redis",), ("memory", "redis"), ("memory",)])


@EVERY_LAYER
@pytest.mark.parametrize("how", ["key", "row", "table", "tag", "entry", "everything"])
def test_a_reader_that_stores_after_the_invalidation_does_not_make_it_fresh(make_cache, layers, how):
    """The forced race: the reader reads the old value, the writer writes and invalidates, the reader's set lands."""
    reader, writer = make_cache(), make_cache()
    read, write = (
        cache.entry("user", ttl_seconds=60, layers=layers, depends_on=("users:{user_id}",), tags=("people",))
        for cache in (reader, writer)
    )
    invalidate = {
        "key": lambda: write.invalidate(user_id=7),
        "row": lambda: writer.invalidate(("users", 7)),
        "table": lambda: writer.invalidate("users"),
        "tag": lambda: writer.invalidate("people"),
        "entry": lambda: write.invalidate_all(),
        "everything": lambda: writer.invalidate_all(),
    }[how]
    row = "old"

    def slow_read():
        nonlocal row
        seen, row = row, "new"
        invalidate()
        return seen

    assert read.get_or_compute({"user_id": 7}, slow_read) == "old"
    for cached in (read, write):
        assert cached.get_or_compute({"user_id": 7}, lambda: row) == "new"


@pytest.mark.parametrize("seed", range(4))
def test_no_interleaving_of_readers_and_writers_leaves_an_old_value(make_cache, seed):
    """Readers and writers in threads, each with caches of its own; every read after a write sees it or a later one."""
    written, announced, lock = 0, 0, threading.Lock()
    stale = []

    def write(cache, dice):
        nonlocal written, announced
        for _ in range(60):
            with lock:
                written += 1
                number = written
            cache.invalidate(dice.choice(["rows", ("rows", 1)]))
            with lock:
                announced = max(announced, number)

    def read(cache):
        entry = cache.entry("row", ttl_seconds=60, depends_on=("rows:{row_id}",))
        for _ in range(150):
            least = announced
            seen = entry.get_or_compute({"row_id": 1}, lambda: written)
            if seen < least:
                stale.append((seen, least))

    threads = [
        threading.Thread(target=write, args=(make_cache(), random.Random(seed * 10 + n))) for n in range(2)
    ]
    threads += [threading.Thread(target=read, args=(make_cache(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stale == []


def test_another_process_sees_an_invalidation_at_once(cache, redis, other_processes):
    other = other_processes()
    redis.set("origin", "old")
    assert [other.ask(do="read"), other.ask(do="read")] == ["old", "old"]
    redis.set("origin", "new")
    cache.invalidate(("products", 2))
    assert other.ask(do="read") == "old"
    cache.invalidate(("products", 1))
    assert other.ask(do="read") == "new"


def test_what_one_process_stored_another_one_reads(cache, redis, other_processes):
    redis.set("origin", "value")
    one, two = other_processes(), other_processes()
    assert [one.ask(do="read"), two.ask(do="read"), two.ask(do="read")] == ["value"] * 3
    assert redis.get("origin-calls") == b"1"


def test_an_invalidation_in_another_process_reaches_this_one(cache, other_processes):
    entry, origin = cache.entry("page", ttl_seconds=60, depends_on=("products:{product_id}",)), Origin()
    entry.get_or_compute({"product_id": 1}, origin)
    other_processes().ask(do="invalidate", product_id=1)
    origin.value = "second"
    assert entry.get_or_compute({"product_id": 1}, origin) == "second"


@pytest.mark.parametrize("lost", ["the version", "every version"])
def test_a_version_that_redis_has_evicted_brings_no_old_value_back(make_cache, redis, lost):
    one, two = (
        cache.entry("user", ttl_seconds=60, layers=("redis",), depends_on=("users",), wait_seconds=0.01)
        for cache in (make_cache(), make_cache())
    )
    redis.delete("shop:v:users")
    one.get_or_compute({}, lambda: "old")
    one.cache.invalidate("users")
    redis.delete(*(["shop:v:users"] if lost == "the version" else redis.keys("shop:v:*")))
    # while the first one computes, the second one meets the old value under versions made anew
    assert one.get_or_compute({}, lambda: two.get_or_compute({}, lambda: "new")) == "new"
    assert two.get_or_compute({}, lambda: "not asked") == "new"


def test_a_value_computed_in_an_older_transaction_is_served_but_not_stored(make_cache, clock):
    cache = make_cache(clock=clock)
    entry, origin = cache.entry("user", ttl_seconds=60, depends_on=("users",)), Origin("old")
    entry.get_or_compute({}, origin)  # the versions exist
    began = clock()
    clock.pass_seconds(1)
    cache.invalidate("users")
    cache.snapshot_began = lambda: began
    assert entry.get_or_compute({}, origin) == "old"
    cache.snapshot_began = lambda: None
    origin.value = "new"
    assert entry.get_or_compute({}, origin) == "new"


def test_a_value_computed_in_a_younger_transaction_is_stored(make_cache, clock):
    cache = make_cache(clock=clock)
    entry, origin = cache.entry("user", ttl_seconds=600, depends_on=("users",)), Origin()
    entry.get_or_compute({}, origin)
    cache.snapshot_began = lambda: clock() - 0.001
    entry.invalidate()
    threading.Event().wait(0.01)  # Redis' own clock has to pass the last change by more than a millisecond
    clock.pass_seconds(0.01)
    for _ in range(2):
        assert entry.get_or_compute({}, origin) == "first"
    assert origin.calls == 2


def test_what_this_thread_has_written_and_not_committed_goes_past_the_cache(cache):
    entry, origin = cache.entry("user", ttl_seconds=60, depends_on=("users:{user_id}",)), Origin("old")
    entry.get_or_compute({"user_id": 7}, origin)
    origin.value = "uncommitted"
    cache.pending_tags = lambda: {"users", "users:7"}
    assert entry.get_or_compute({"user_id": 7}, origin) == "uncommitted"
    cache.pending_tags = lambda: ()
    assert entry.get_or_compute({"user_id": 7}, origin) == "old"


def test_a_computation_that_writes_is_not_stored(cache):
    entry, origin = cache.entry("user", ttl_seconds=60, depends_on=("users:{user_id}",)), Origin("created")

    def get_or_create():
        cache.pending_tags = lambda: {"users", "users:7"}
        return origin()

    assert entry.get_or_compute({"user_id": 7}, get_or_create) == "created"
    cache.pending_tags = lambda: ()
    assert entry.get_or_compute({"user_id": 7}, Origin("committed")) == "committed"


def test_nothing_is_stored_while_a_commit_may_be_under_way(cache):
    entry, origin = cache.entry("user", ttl_seconds=60, depends_on=("users",)), Origin()
    held_until = cache.bump({"users"}, hold_seconds=30)
    for calls in (1, 2):
        entry.get_or_compute({}, origin)
        assert origin.calls == calls
    cache.bump({"users"}, release=held_until)
    entry.get_or_compute({}, origin), entry.get_or_compute({}, origin)
    assert origin.calls == 3


def test_the_end_of_one_commit_does_not_end_another_ones_hold(cache):
    entry, origin = cache.entry("user", ttl_seconds=60, depends_on=("users",)), Origin()
    first = cache.bump({"users"}, hold_seconds=30)
    cache.bump({"users"}, hold_seconds=30)
    cache.bump({"users"}, release=first)
    entry.get_or_compute({}, origin), entry.get_or_compute({}, origin)
    assert origin.calls == 2


def test_memory_is_trusted_for_its_window_and_no_longer(make_cache, clock):
    cache, writer = make_cache(clock=clock, push=False), make_cache()
    entry, origin = cache.entry("e", ttl_seconds=60, depends_on=("users",), window_seconds=5), Origin("old")
    entry.get_or_compute({}, origin)
    origin.value = "new"
    writer.invalidate("users")
    clock.pass_seconds(4.9)
    assert entry.get_or_compute({}, origin) == "old"
    clock.pass_seconds(0.2)
    assert entry.get_or_compute({}, origin) == "new"


def test_the_window_begins_when_the_versions_were_read_not_when_the_value_was_stored(make_cache, clock):
    cache, writer = make_cache(clock=clock, push=False), make_cache()
    entry = cache.entry("e", ttl_seconds=60, depends_on=("users",), window_seconds=5)

    def slow():
        writer.invalidate("users")
        clock.pass_seconds(4)
        return "old"

    assert entry.get_or_compute({}, slow) == "old"
    clock.pass_seconds(1.5)
    assert entry.get_or_compute({}, lambda: "new") == "new"


def test_the_window_does_not_hide_what_this_process_invalidates(make_cache, clock):
    cache = make_cache(clock=clock, push=False)
    entry, origin = cache.entry("e", ttl_seconds=60, depends_on=("users",), window_seconds=5), Origin("old")
    entry.get_or_compute({}, origin)
    clock.pass_seconds(1)
    origin.value = "new"
    cache.invalidate("users")
    assert entry.get_or_compute({}, origin) == "new"


def test_another_process_with_a_window_asks_redis_again_after_it(cache, redis, other_processes):
    other = other_processes(PUSH="")
    redis.set("origin", "old")
    assert other.ask(do="read-window") == "old"
    redis.set("origin", "new")
    cache.invalidate("products")
    assert other.ask(do="read-window") == "old"  # within its 30 s
    other.ask(do="invalidate", product_id=9)
    assert other.ask(do="read-window") == "new"


def test_a_value_is_renewed_by_one_caller_before_it_expires(make_cache, clock):
    cache, other = make_cache(clock=clock), make_cache(clock=clock)
    entry, elsewhere = (c.entry("e", ttl_seconds=100) for c in (cache, other))
    entry.get_or_compute({}, lambda: "first")
    clock.pass_seconds(90)

    def renew():
        assert elsewhere.get_or_compute({}, Origin("not asked")) == "first"
        return "second"

    assert entry.get_or_compute({}, renew) == "second"
    newcomer = make_cache().entry("e", ttl_seconds=100)
    assert newcomer.get_or_compute({}, Origin("not asked")) == "second"


def test_memory_takes_over_what_another_process_has_renewed(make_cache):
    cache, other = make_cache(), make_cache()
    entry, elsewhere = cache.entry("e", ttl_seconds=100), other.entry("e", ttl_seconds=10_000)
    entry.get_or_compute({}, lambda: "first")
    assert elsewhere.get_or_compute({}, Origin("not asked")) == "first"
    other.link.clock_offset += 95
    assert elsewhere.get_or_compute({}, lambda: "second") == "second"
    assert entry.get_or_compute({}, Origin("not asked")) == "first"
    cache.link.clock_offset += 95  # the first is due, the second is not
    assert entry.get_or_compute({}, Origin("not asked")) == "second"


def test_an_invalidated_value_is_served_to_others_within_its_bound_only(make_cache, clock):
    cache, other = make_cache(clock=clock), make_cache(clock=clock)
    entry, elsewhere = (
        c.entry("e", ttl_seconds=600, depends_on=("users",), staleness_bound_seconds=10, wait_seconds=0.01)
        for c in (cache, other)
    )
    entry.get_or_compute({}, lambda: "first")
    clock.pass_seconds(5)
    cache.invalidate("users")

    def renew(now, others):
        def compute():
            assert elsewhere.get_or_compute({}, Origin("computed elsewhere")) == others
            return now

        return compute

    assert entry.get_or_compute({}, renew("second", others="first")) == "second"
    assert other.metrics()["e"]["stale_served"] == 1
    clock.pass_seconds(11)
    cache.invalidate("users")
    assert entry.get_or_compute({}, renew("third", others="computed elsewhere")) == "third"
