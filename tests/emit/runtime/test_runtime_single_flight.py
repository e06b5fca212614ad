"""One computation per key, whatever number of threads and processes ask; and none that waits for ever."""

import threading

import pytest
from runtime_scene import EVERY_LAYER, Origin, eventually, in_threads


@EVERY_LAYER
def test_thirty_two_threads_compute_once(cache, layers):
    entry, calls, arrived = cache.entry("e", ttl_seconds=60, layers=layers), [], threading.Semaphore(0)

    def compute():
        calls.append(1)
        for _ in range(32):
            assert arrived.acquire(timeout=10)
        return {"value": []}

    def call():
        arrived.release()
        return entry.get_or_compute({}, compute)

    values = in_threads(32, call)
    assert values == [{"value": []}] * 32
    assert len({id(value) for value in values}) == 32
    assert len(calls) == 1


def test_four_processes_of_eight_threads_compute_once(redis, other_processes):
    processes = [other_processes() for _ in range(4)]
    redis.mset({"origin": "value", "origin-waits": "1"})
    for process in processes:
        process.ask(do="nothing")
    for process in processes:
        process.tell(do="read-in-threads", threads=8)
    eventually(lambda: int(redis.get("callers") or 0) == 32)
    redis.delete("origin-waits")
    assert [process.answer() for process in processes] == [["value"] * 8] * 4
    assert redis.get("origin-calls") == b"1"


@pytest.fixture
def hanging():
    """`hanging(entry)`: a thread computes "old" for it until the test ends or says so."""
    started, over, threads = threading.Event(), threading.Event(), []

    def hang():
        started.set()
        assert over.wait(10)
        return "old"

    def begin(entry):
        threads.append(threading.Thread(target=lambda: entry.get_or_compute({}, hang)))
        threads[0].start()
        assert started.wait(10)

    def end():
        over.set()
        threads[0].join()

    begin.end = end
    yield begin
    end()


def test_who_comes_after_an_invalidation_does_not_wait_for_who_came_before(cache, hanging):
    entry = cache.entry("e", ttl_seconds=60, depends_on=("users",), wait_seconds=60)
    hanging(entry)
    cache.invalidate("users")
    assert entry.get_or_compute({}, lambda: "new") == "new"
    hanging.end()
    assert entry.get_or_compute({}, lambda: "new") == "new"


def test_who_has_waited_long_enough_computes_itself(make_cache, hanging):
    here, elsewhere = (c.entry("e", ttl_seconds=60, wait_seconds=0.05) for c in (make_cache(), make_cache()))
    hanging(here)
    assert here.get_or_compute({}, lambda: "same process") == "same process"
    assert elsewhere.get_or_compute({"other": 1}, lambda: "another key") == "another key"
    here.invalidate()
    assert elsewhere.get_or_compute({}, lambda: "another process") == "another process"


def test_a_failed_computation_is_the_callers_own_and_holds_up_nobody(cache):
    entry, barrier = cache.entry("e", ttl_seconds=60), threading.Barrier(8)

    def compute():
        raise LookupError(threading.get_ident())

    def call():
        barrier.wait(10)
        return entry.get_or_compute({}, compute)

    assert len({error.args[0] for error in in_threads(8, call)}) == 8
    assert entry.get_or_compute({}, lambda: "value") == "value"


def test_a_process_that_dies_while_it_computes_holds_up_the_others_for_a_moment_only(
    cache, redis, other_processes
):
    redis.mset({"origin": "value", "origin-waits": "1"})
    dying = other_processes()
    dying.tell(do="read")
    eventually(lambda: redis.get("origin-calls"))
    dying.kill()
    redis.delete("origin-waits")
    entry = cache.entry("page", ttl_seconds=60, depends_on=("products:{product_id}",), wait_seconds=0.2)
    assert entry.get_or_compute({"product_id": 1}, lambda: "computed here") == "computed here"


def test_a_function_that_calls_itself_with_the_same_key_does_not_wait_for_itself(cache):
    entry, depth = cache.entry("e", ttl_seconds=60, wait_seconds=30), 0

    def compute():
        nonlocal depth
        depth += 1
        return depth if depth == 3 else entry.get_or_compute({}, compute)

    assert entry.get_or_compute({}, compute) == 3


def test_a_fork_has_connections_and_locks_of_its_own(redis, other_processes):
    redis.set("origin", "value")
    process = other_processes()
    process.ask(do="read")
    for product_id, value in ((1, "value"), (2, "other")):
        answer = process.ask(do="read-in-fork", product_id=product_id)
        assert answer == {"value": value, "own_connection": True, "parent": value}
        redis.set("origin", "other")


def test_no_lock_and_no_flight_is_left_behind(cache, redis):
    entry = cache.entry("e", ttl_seconds=60)
    entry.get_or_compute({}, Origin())
    for value in (LookupError(), object()):
        with pytest.raises((LookupError, TypeError)):
            entry.get_or_compute({"failed": 1}, Origin(value))
    assert cache.flights == {}
    eventually(lambda: not [name for name in redis.scan_iter() if name.endswith(b":lock")])
