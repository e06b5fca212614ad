"""What an entry does for the code that uses it: computing, invalidating, modes, counting, telling."""

import asyncio

import pytest
from runtime_scene import EVERY_LAYER, Origin


@EVERY_LAYER
def test_every_way_to_invalidate_reaches_exactly_what_it_names(cache, layers):
    entry = cache.entry("e", ttl_seconds=60, layers=layers, depends_on=("users:{user_id}",), tags=("people",))
    other = cache.entry("other", ttl_seconds=60, layers=layers, depends_on=("products",))
    tagged = cache.entry("tagged", ttl_seconds=60, layers=layers, tags=("category:{category}",))
    origin = Origin()

    def computed():
        """The keys that had to be computed again."""
        again = []
        for name, asked, key in (
            ("1", entry, {"user_id": 1}),
            ("2", entry, {"user_id": 2}),
            ("other", other, {}),
            ("tools", tagged, {"category": "tools"}),
            ("toys", tagged, {"category": "toys"}),
        ):
            before = origin.calls
            assert asked.get_or_compute(key, origin) == "first"
            again += [name] * (origin.calls - before)
        return again

    everything = ["1", "2", "other", "tools", "toys"]
    assert computed() == everything
    assert computed() == []
    for invalidate, reached in (
        (lambda: entry.invalidate(user_id=1), ["1"]),
        (lambda: cache.invalidate(("users", 1)), ["1"]),
        (lambda: cache.invalidate(("users", "01")), ["1"]),
        (lambda: cache.invalidate("users"), ["1", "2"]),
        (lambda: cache.invalidate("people"), ["1", "2"]),
        (lambda: entry.invalidate_all(), ["1", "2"]),
        (lambda: cache.invalidate("products"), ["other"]),
        (lambda: cache.invalidate(("products", 9)), ["other"]),
        (lambda: cache.invalidate("users", "products"), ["1", "2", "other"]),
        (lambda: cache.invalidate(("users", 3), "orders"), []),
        (lambda: cache.invalidate(("category", "tools")), ["tools"]),
        (lambda: cache.invalidate_all(), everything),
    ):
        invalidate()
        assert computed() == reached
        assert computed() == []


@EVERY_LAYER
def test_an_exception_is_raised_and_never_stored(cache, layers):
    entry, origin = cache.entry("e", ttl_seconds=60, layers=layers), Origin(LookupError("no such user"))
    for _ in range(2):
        with pytest.raises(LookupError, match="no such user"):
            entry.get_or_compute({}, origin)
    origin.value = "found"
    assert entry.get_or_compute({}, origin) == "found"
    assert origin.calls == 3


def test_what_cannot_be_stored_is_refused_when_it_is_decorated(cache):
    async def coroutine():
        return await asyncio.sleep(0, 1)

    async def stream():
        yield 1

    def generator():
        yield 1

    entry = cache.entry("e", ttl_seconds=60)
    for function, word in ((coroutine, "async"), (stream, "generator"), (generator, "generator")):
        with pytest.raises(TypeError, match=word):
            entry(function)


def test_an_entry_belongs_to_one_function_and_one_name(cache):
    entry = cache.entry("e", ttl_seconds=60)
    cached = entry(len_of)
    assert (cached.__name__, cached.__doc__, cached.__wrapped__("a")) == ("len_of", "How long it is.", 1)
    entry(len_of)  # a reload of its module
    with pytest.raises(ValueError, match=r"caches .*len_of already"):
        entry(len)
    with pytest.raises(ValueError, match="an entry of this name"):
        cache.entry("e", ttl_seconds=60)


def len_of(text):
    """How long it is."""
    return len(text)


class Shop:
    def __init__(self, name):
        self.name = name


class KnownShop(Shop):
    def __cache_key__(self):
        return self.name


def test_a_method_never_mixes_objects_and_keeps_none_alive(cache):
    calls = []

    @cache.entry("e", ttl_seconds=60)
    def greeting(self, word):
        calls.append(word)
        return f"{word} {self.name}"

    Shop.greet = KnownShop.greet = greeting
    for number in range(200):  # addresses come back
        assert Shop(number).greet("hello") == f"hello {number}"
    shop = Shop("toys")
    assert [shop.greet("hello") for _ in range(3)] == ["hello toys"] * 3
    assert len(calls) == 201
    assert [KnownShop("tools").greet("hello") for _ in range(3)] == ["hello tools"] * 3
    assert len(calls) == 202


@pytest.mark.parametrize("environment", [{"CACHE_MODE": "off"}, {"url": None}, {"url": ""}])
def test_off_means_that_every_call_computes(make_cache, monkeypatch, redis, environment):
    options = dict(environment)
    monkeypatch.setenv("CACHE_MODE", options.pop("CACHE_MODE", ""))
    cache = make_cache(**options)
    entry, origin = cache.entry("e", ttl_seconds=60, depends_on=("users",)), Origin(object())
    for _ in range(2):
        assert entry.get_or_compute({"any": object()}, origin) is origin.value
    assert entry(len_of)("four") == 4
    cache.invalidate("users")
    entry.invalidate(text="a")
    assert (cache.mode, origin.calls, redis.dbsize()) == ("off", 2, 0)


def test_the_environment_gives_each_run_a_mode_and_a_namespace_of_its_own(make_cache, monkeypatch, redis):
    origin = Origin()
    make_cache().entry("e", ttl_seconds=60).get_or_compute({}, origin)
    monkeypatch.setenv("CACHE_NAMESPACE", "run-2")
    make_cache().entry("e", ttl_seconds=60).get_or_compute({}, origin)
    assert origin.calls == 2
    assert {name.partition(b":")[0] for name in redis.scan_iter()} == {b"shop", b"run-2"}
    monkeypatch.setenv("CACHE_MODE", "maybe")
    with pytest.raises(ValueError, match=r'CACHE_MODE is "maybe"; it can be on, off or shadow\.'):
        make_cache()


def test_options_in_the_url_do_not_change_how_answers_are_read(make_cache, redis_url):
    entry = make_cache(url=f"{redis_url}?decode_responses=true&socket_timeout=30").entry("e", ttl_seconds=60)
    assert [entry.get_or_compute({}, Origin("é")) for _ in range(2)] == ["é", "é"]


def test_everything_in_redis_expires(cache, redis):
    entry = cache.entry("e", ttl_seconds=60, depends_on=("users:{user_id}", "products"), tags=("people",))
    for user_id in range(20):
        entry.get_or_compute({"user_id": user_id}, Origin())
    cache.invalidate("users", ("users", 7), "never read", ("orders", 3))
    entry.invalidate(user_id=3), entry.invalidate_all(), cache.invalidate_all()
    names = list(redis.scan_iter())
    assert len(names) > 60
    assert [name for name in names if redis.pttl(name) <= 0] == []
    assert 54_000 <= redis.pttl(entry.slot({"user_id": 5}).redis_name) <= 60_000


def test_a_value_in_memory_expires(make_cache, clock):
    entry, origin = make_cache(clock=clock).entry("e", ttl_seconds=60, layers=("memory",)), Origin()
    for seconds, calls in ((0, 1), (30, 1), (31, 2)):
        clock.pass_seconds(seconds)
        entry.get_or_compute({}, origin)
        assert origin.calls == calls


def test_memory_stays_within_its_number_of_entries_and_its_size(make_cache):
    few, small = make_cache(memory_entries=50), make_cache(memory_bytes=100_000)
    for cache, size in ((few, 1), (small, 1000)):
        entry = cache.entry("e", ttl_seconds=60, layers=("memory",))
        for number in range(500):
            entry.get_or_compute({"number": number}, lambda size=size: "x" * size)
    entry.get_or_compute({"number": 0}, lambda: "x" * 200_000)
    assert len(few.memory.records) == 50
    used, origin = few.entries["e"], Origin("not asked")
    assert used.get_or_compute({"number": 450}, origin) == "x"  # what was used last stays
    used.get_or_compute({"number": 500}, lambda: "x")
    assert used.get_or_compute({"number": 450}, origin) == "x"
    assert used.get_or_compute({"number": 451}, origin) == "not asked"
    assert 50 <= len(small.memory.records) <= 100
    assert 80_000 <= small.memory.bytes <= 100_000


def test_listeners_hear_what_happened_and_when(make_cache, clock):
    cache, heard = make_cache(clock=clock), []
    entry = cache.entry("profile", ttl_seconds=60, depends_on=("users:{user_id}",))
    cache.listeners.append(heard.append)
    start = clock()
    entry.get_or_compute({"user_id": 7}, Origin())
    clock.pass_seconds(5)
    entry.get_or_compute({"user_id": 7}, Origin())
    cache.invalidate(("users", 7))
    entry.invalidate(user_id=7)
    assert [event["event"] for event in heard] == ["miss", "store", "hit", "invalidate", "invalidate"]
    hit = heard[2]
    assert (hit["entry"], hit["key"], hit["t"]) == ("profile", "user_id=7", start + 5)
    assert abs(hit["stored_t"] - start) < 1
    assert all(isinstance(version, int) for version in hit["versions"])
    assert heard[3]["tags"] == ["users", "users:7"]
    assert (heard[4]["entry"], heard[4]["key"]) == ("profile", "user_id=7")


def test_metrics_count_per_entry(cache):
    entry = cache.entry('a "quoted" name', ttl_seconds=60)
    cache.entry("unused", ttl_seconds=60)
    for _ in range(3):
        entry.get_or_compute({}, Origin("x" * 1000))
    entry.invalidate()
    counts = cache.metrics()['a "quoted" name']
    wanted = {"hits": 2, "misses": 1, "computations": 1, "stores": 1, "invalidations": 1, "errors": 0}
    assert {name: counts[name] for name in wanted} == wanted
    assert counts["bytes"] > 1000
    assert counts["hit_ms"] > 0
    text = cache.metrics_prometheus()
    assert '\ncache_hits_total{entry="a \\"quoted\\" name"} 2\n' in text
    assert 'cache_hits_total{entry="unused"} 0\n' in text
    assert "\ncache_redis_up 1\n" in text


def test_a_cache_that_is_not_strict_computes_what_it_cannot_keep_and_says_so_once(make_cache):
    entry = make_cache(strict=False).entry("anything", ttl_seconds=60)
    with pytest.warns(RuntimeWarning, match="computed at each call") as told:
        assert [entry.get_or_compute({}, lambda: KeyError) for _ in range(2)] == [KeyError, KeyError]
        assert entry.get_or_compute({"row": object()}, lambda: 1) == 1
    assert len(told) == 1
    assert (entry.counts["errors"], entry.counts["stores"]) == (3, 0)
    assert entry.get_or_compute({"row": 7}, lambda: 1) == entry.get_or_compute({"row": 7}, lambda: 2) == 1
