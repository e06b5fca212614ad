"""Staleness of the emitted cache: what was computed before an invalidation is never served after it."""

import random
import threading

import pytest
from runtime_scene import EVERY_LAYER, Origin, in_threads


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
    """Threads with caches of their own; every read after a write sees it or a later one."""
    written, announced, lock, stale = 0, 0, threading.Lock(), []

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

    work = [lambda n=n: write(make_cache(), random.Random(seed * 10 + n)) for n in range(2)]
    work += [lambda: read(make_cache())] * 4
    assert in_threads(len(work), lambda: work.pop()()) == [None] * 6
    assert stale == []


def test_what_a_process_stores_or_invalidates_the_others_see_at_once(cache, redis, other_processes):
    one, two = other_processes(), other_processes()
    redis.set("origin", "old")
    assert [one.ask(do="read"), two.ask(do="read"), two.ask(do="read")] == ["old"] * 3
    assert redis.get("origin-calls") == b"1"
    redis.set("origin", "new")
    cache.invalidate(("products", 2))
    assert two.ask(do="read") == "old"
    one.ask(do="invalidate", product_id=1)
    assert two.ask(do="read") == "new"


@pytest.mark.parametrize("lost", ["shop:v:users", "shop:v:*"])
def test_a_version_that_redis_has_evicted_brings_no_old_value_back(make_cache, redis, lost):
    one, two = (
        cache.entry("user", ttl_seconds=60, layers=("redis",), depends_on=("users",), wait_seconds=0.01)
        for cache in (make_cache(), make_cache())
    )
    one.get_or_compute({}, lambda: "old")
    one.cache.invalidate("users")
    assert redis.delete(*redis.keys(lost))
    # while the first one computes, the second one meets the old value under versions made anew
    assert one.get_or_compute({}, lambda: two.get_or_compute({}, lambda: "new")) == "new"
    assert two.get_or_compute({}, lambda: "not asked") == "new"


@pytest.fixture
def timed(make_cache, clock):
    """`timed(**options)`: an entry that depends on users, by the test's clock, alone with its window."""

    def make(**options):
        cache = make_cache(clock=clock, push=False)
        return cache.entry("e", depends_on=("users",), **{"ttl_seconds": 600, **options})

    return make


def test_a_value_computed_in_an_older_transaction_is_served_but_not_stored(timed, clock):
    entry = timed()
    entry.get_or_compute({}, lambda: "old")  # the versions exist
    began = clock()
    clock.pass_seconds(1)
    entry.cache.invalidate("users")
    entry.cache.snapshot_began = lambda: began
    assert entry.get_or_compute({}, lambda: "old") == "old"
    entry.cache.snapshot_began = lambda: None
    assert entry.get_or_compute({}, lambda: "new") == "new"


def test_a_value_computed_in_a_younger_transaction_is_stored(timed, clock):
    entry, origin = timed(), Origin()
    entry.get_or_compute({}, origin)
    entry.cache.snapshot_began = lambda: clock() - 0.001
    entry.invalidate()
    threading.Event().wait(0.01)  # Redis' own clock has to pass the last change by more than a millisecond
    clock.pass_seconds(0.01)
    assert [entry.get_or_compute({}, origin) for _ in range(2)] == ["first"] * 2
    assert origin.calls == 2


def test_what_this_thread_has_written_and_not_committed_goes_past_the_cache(timed):
    entry = timed()

    def set_pending(tags):
        entry.cache.pending_tags = lambda: tags

    def create():
        set_pending({"users"})
        return "created"

    assert entry.get_or_compute({}, create) == "created"  # a computation that writes
    set_pending(())
    assert entry.get_or_compute({}, lambda: "old") == "old"
    set_pending({"users"})
    assert entry.get_or_compute({}, lambda: "uncommitted") == "uncommitted"
    set_pending(())
    assert entry.get_or_compute({}, lambda: "not asked") == "old"


def test_nothing_is_stored_while_a_commit_may_be_under_way(timed):
    entry, origin = timed(), Origin()

    def computed_twice():
        before = origin.calls
        entry.get_or_compute({}, origin), entry.get_or_compute({}, origin)
        return origin.calls - before == 2

    held = entry.cache.bump({"users"}, hold_seconds=30)
    assert computed_twice()
    entry.cache.bump({"users"}, release=held)
    assert not computed_twice()
    first, _ = (entry.cache.bump({"users"}, hold_seconds=30) for _ in range(2))
    entry.cache.bump({"users"}, release=first)  # the end of one commit does not end another one's hold
    assert computed_twice()


def test_memory_is_trusted_for_its_window_and_no_longer(timed, make_cache, clock):
    entry, writer = timed(window_seconds=5), make_cache()

    def slow():
        writer.invalidate("users")
        clock.pass_seconds(4)  # the window begins when the versions were read, not when the value was stored
        return "old"

    assert entry.get_or_compute({}, slow) == "old"
    clock.pass_seconds(0.9)
    assert entry.get_or_compute({}, lambda: "not asked") == "old"
    clock.pass_seconds(0.2)
    assert entry.get_or_compute({}, lambda: "new") == "new"
    entry.cache.invalidate("users")  # the window does not hide what this process invalidates
    assert entry.get_or_compute({}, lambda: "newest") == "newest"


def test_a_value_is_renewed_by_one_caller_before_it_expires(timed, make_cache, clock):
    entry, elsewhere = timed(ttl_seconds=100), timed(ttl_seconds=100)
    entry.get_or_compute({}, lambda: "first")
    clock.pass_seconds(90)

    def renew():
        assert elsewhere.get_or_compute({}, Origin("not asked")) == "first"
        return "second"

    assert entry.get_or_compute({}, renew) == "second"
    newcomer = make_cache().entry("e", ttl_seconds=100, depends_on=("users",))
    assert newcomer.get_or_compute({}, Origin("not asked")) == "second"


def test_where_most_is_missing_a_value_is_renewed_before_it_expires_as_well(make_cache, redis):
    """There the lock is asked for without a look: that a value is there does not mean that it is not due."""
    entry, elsewhere = (make_cache().entry("e", ttl_seconds=100) for _ in range(2))
    for number in range(12):
        entry.get_or_compute({"x": number}, lambda: "first")
        elsewhere.get_or_compute({"y": number}, lambda: "first")
    name = entry.slot({"x": 11}).redis_name
    words = redis.get(name).split(b" ", 5)
    redis.set(name, b" ".join([*words[:4], words[3], words[5]]), px=60_000)  # due since it was stored
    entry.cache.memory.records.clear()

    def renew():
        assert elsewhere.get_or_compute({"x": 11}, Origin("not asked")) == "first"
        return "second"

    assert entry.get_or_compute({"x": 11}, renew) == "second"


def test_memory_takes_over_what_another_process_has_renewed(make_cache):
    entry, elsewhere = (make_cache().entry("e", ttl_seconds=ttl) for ttl in (100, 10_000))
    entry.get_or_compute({}, lambda: "first")
    assert elsewhere.get_or_compute({}, Origin("not asked")) == "first"
    elsewhere.cache.link.clock_offset += 95
    assert elsewhere.get_or_compute({}, lambda: "second") == "second"
    assert entry.get_or_compute({}, Origin("not asked")) == "first"
    entry.cache.link.clock_offset += 95  # the first is due, the second is not
    assert entry.get_or_compute({}, Origin("not asked")) == "second"


def test_an_invalidated_value_is_served_to_others_within_its_bound_only(timed, clock):
    entry, elsewhere = (timed(staleness_bound_seconds=10, wait_seconds=0.5) for _ in range(2))

    def renew(now, others):
        def compute():
            assert elsewhere.get_or_compute({}, Origin("computed elsewhere")) == others
            return now

        assert entry.get_or_compute({}, compute) == now

    entry.get_or_compute({}, lambda: "first")
    clock.pass_seconds(5)
    entry.cache.invalidate("users")
    renew("second", others="first")
    assert elsewhere.counts["stale_served"] == 1
    clock.pass_seconds(11)
    entry.cache.invalidate("users")
    renew("third", others="computed elsewhere")
