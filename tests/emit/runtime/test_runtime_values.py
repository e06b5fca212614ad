"""Values of the emitted cache: what comes back is what went in, or it was refused; never something else."""

import collections
import contextlib
import datetime
import decimal
import enum
import uuid
import zoneinfo
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runtime_scene import EVERY_LAYER, Origin
from test_runtime_keys import VALUES, typed

from cache_strategy.emit.targets.runtime.files.records import Record
from cache_strategy.emit.targets.runtime.files.values import GARBAGE, encode_value


def round_trip(value):
    payload, form = encode_value(value)
    record = Record(b"1,2", payload, form, 3, 4, 5, 0.0)
    again = Record.from_bytes(record.to_bytes(), 0.0)
    assert again.to_bytes() == record.to_bytes()
    return again.value()


@settings(max_examples=400, deadline=None)
@given(VALUES)
@example({"~tuple": [1]})
@example({"~": {"~dict": []}})
@example({1: "a", "1": "b", None: "c"})
@example("\ud83d\ude00 as two halves, and \ud800 alone")
@example([0.1, -0.0, 1e308, float("inf"), float("-inf"), 10**300])
@example(datetime.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")))
@example(datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))))
def test_a_value_comes_back_exactly(value):
    assert typed(round_trip(value)) == typed(value)


def test_a_zone_comes_back_as_the_zone_it_was():
    moment = datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"))
    assert round_trip(moment).tzinfo is moment.tzinfo


class Point(NamedTuple):
    x: int


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


class Zone(datetime.tzinfo):
    def utcoffset(self, moment):
        return datetime.timedelta(0)


def numbers():
    yield 1


ENDLESS = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Point(1), "Point"),
        (Text("a"), "Text"),
        (collections.OrderedDict(a=1), "OrderedDict"),
        (collections.defaultdict(int), "defaultdict"),
        (numbers(), "generator"),
        (object(), "object"),
        ({"rows": [object()]}, "object"),
        (datetime.datetime(2024, 1, 1, tzinfo=Zone()), "datetime"),
        (datetime.time(1, tzinfo=datetime.UTC), "time"),
        (1j, "complex"),
        (bytearray(b"a"), "bytearray"),
        (ENDLESS, "list"),
        (10**5000, "int"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_not_come_back_exactly_is_refused_by_name(cache, value, named):
    entry = cache.entry("profile", ttl_seconds=60)
    with pytest.raises(
        TypeError, match=rf"^profile: the value for user_id=7 holds a .*{named}.* Return plain data"
    ):
        entry.get_or_compute({"user_id": 7}, lambda: value)
    assert entry.get_or_compute({"user_id": 7}, lambda: 1) == 1


@pytest.mark.parametrize("value", [None, 0, "", [], {}, False, 0.0, (), set(), b"", decimal.Decimal(0)])
@EVERY_LAYER
def test_an_empty_value_is_a_hit(cache, value, layers):
    entry, origin = cache.entry("e", ttl_seconds=60, layers=layers), Origin(value)
    for _ in range(3):
        assert typed(entry.get_or_compute({}, origin)) == typed(value)
    assert origin.calls == 1


@EVERY_LAYER
def test_a_caller_that_changes_what_it_got_does_not_change_the_cache(cache, layers):
    entry = cache.entry("e", ttl_seconds=60, layers=layers)
    for _ in range(4):
        value = entry.get_or_compute({}, lambda: {"tags": ["a"], "on": [datetime.date(2024, 1, 1)]})
        assert value == {"tags": ["a"], "on": [datetime.date(2024, 1, 1)]}
        value["tags"].append("b")
        value["on"].clear()


def test_a_shared_value_is_one_object_and_not_the_first_callers(cache):
    entry, made = cache.entry("e", ttl_seconds=60, shared=True), {"a": [1]}
    first = entry.get_or_compute({}, lambda: made)
    first["a"].append(2)
    second, third = (entry.get_or_compute({}, lambda: made) for _ in range(2))
    assert second is third
    assert second == {"a": [1]}


def bomb(data):
    return b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."


@pytest.mark.parametrize(
    "spoil",
    [
        bomb,
        *(lambda data, text=text: text for text in (b"", b"garbage", b"1", b'{"a": 1}', b"\x00" * 100)),
        *(
            lambda data, text=text: text
            for text in (b"c1 x y z a b c\n{}", b"c1 0 2\n{}", b"c9 0 2 1 1 1 1\n{}")
        ),
        *(lambda data, cut=cut: data[:-cut] for cut in (1, 5, 40)),
        lambda data: data.replace(b"~UUID", b"~UUOD"),
    ],
)
def test_what_is_spoiled_in_redis_is_a_miss_and_heals(make_cache, redis, spoil):
    entry, origin = make_cache().entry("e", ttl_seconds=60), Origin([uuid.UUID(int=7), 123456789])
    entry.get_or_compute({}, origin)
    name = entry.slot({}).redis_name
    redis.set(name, spoil(redis.get(name)))
    for _ in range(2):
        reader = make_cache().entry("e", ttl_seconds=60)
        assert reader.get_or_compute({}, origin) == [uuid.UUID(int=7), 123456789]
        assert origin.calls == 2


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=80)
    | st.binary(max_size=40).map(lambda tail: b"c1 1 %d 1 1 1 1\n%s" % (len(tail), tail))
)
@example(b'c1 1 13 1 1 1 1\n{"~UUID":"x"}')
@example(b'c1 1 14 1 1 1 1\n{"~unknown":1}')
@example(b"c1 0 100000 1 1 1 1\n" + b"[" * 100000)
def test_no_bytes_make_reading_fail_in_another_way(data):
    record = Record.from_bytes(data, 0.0)
    if record is not None:
        with contextlib.suppress(*GARBAGE):
            record.value()


def test_a_name_of_another_type_in_redis_is_a_miss_and_heals(make_cache, redis):
    entry, origin = make_cache().entry("e", ttl_seconds=60, depends_on=("users",)), Origin()
    slot = entry.slot({})
    for name in (slot.redis_name, *slot.version_keys):
        redis.delete(name)
        redis.rpush(name, "a list")
    assert [entry.get_or_compute({}, origin) for _ in range(3)] == ["first"] * 3
    assert origin.calls == 1
    assert all(redis.type(name) == b"string" for name in (slot.redis_name, *slot.version_keys))
