"""Keys of the emitted cache: two calls share a value only if they are the same call."""

import datetime
import decimal
import enum
import uuid

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cache_strategy.emit.targets.runtime.files.keys import encode_key, row_text
from cache_strategy.emit.targets.runtime.files.runtime import Cache

# characters that the encoding itself uses
SPITEFUL = st.text(alphabet="nftisx0123456789:;()[]{}<>^$~ ", max_size=12)
SCALARS = (
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), SPITEFUL),
    *(st.binary(max_size=6), st.decimals(allow_nan=False), st.uuids(), st.dates(), st.times()),
    *(st.timedeltas(), st.datetimes(timezones=st.none() | st.just(datetime.UTC))),
)
HASHABLE = st.recursive(
    st.one_of(SCALARS), lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
VALUES = st.recursive(
    st.one_of(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.frozensets(HASHABLE, max_size=3)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=8,
)


def typed(value):
    """A value that is equal to another's only if type and value are the same, all the way down."""
    if isinstance(value, dict):
        return dict, frozenset((typed(name), typed(item)) for name, item in value.items())
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(map(typed, value))
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(typed, value))
    if isinstance(value, (float, decimal.Decimal)):
        return type(value), repr(value)
    if isinstance(value, (datetime.datetime, datetime.time)):
        return type(value), value.isoformat(), value.fold
    return type(value), value


@settings(max_examples=300, deadline=None)
@given(VALUES | st.lists(SPITEFUL, max_size=4), VALUES | st.lists(SPITEFUL, max_size=4))
@example(("a", "b:c"), ("a:b", "c"))
@example({"a": 1, "b": 2}, {"b": 2, "a": 1})
def test_two_values_have_one_text_only_if_they_are_one(left, right):
    assert (encode_key(left) == encode_key(right)) == (typed(left) == typed(right))


def test_arguments_that_look_alike_have_different_keys(cache):
    entry = cache.entry("e", ttl_seconds=60)
    alike = [
        *(1, "1", True, 1.0, decimal.Decimal(1), b"1", None, "None", "", 0, False, "0", "True"),
        *((1,), [1], (1, None), ("1",), {1}, frozenset({1}), {1: None}, "(1,)", ()),
        *(("a", "b:c"), ("a:b", "c"), ("a b", "c"), ("a", "b c"), "a" * 300, "a" * 301),
        *(datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), "2024-01-01", uuid.UUID(int=1)),
    ]
    slots = [entry.slot({"argument": value}) for value in alike]
    for other in (
        cache.entry("a/1", ttl_seconds=60),
        Cache("redis://", "shop").entry("e", ttl_seconds=60, version=2),
    ):
        slots += [other.slot(key) for key in ({"x": 1, "y": 2}, {"x": 2, "y": 1}, {"x": 1}, {"y": 1}, {})]
    assert len({slot.name for slot in slots}) == len(slots)


def test_one_call_has_one_key_however_it_is_written_and_no_other_call_has_it(cache):
    entry, calls = cache.entry("e", ttl_seconds=60), []

    @entry
    def price(product_id, currency="EUR", *, net=False):
        calls.append(product_id)
        return product_id

    for _ in range(2):
        price(7)
        price(7, "EUR")
        price(7, currency="EUR")
        price(product_id=7, net=False)
        price(net=False, currency="EUR", product_id=7)
    assert calls == [7]
    for again in (True, 7.0, "7", 8):
        price(again), price(again)
    price(7, net=True)
    assert calls == [7, True, 7.0, "7", 8, 7]
    entry.invalidate(product_id=7)  # its defaults are spelled out, too
    price(7), price(8)
    assert calls[6:] == [7]


def test_an_object_as_an_argument_is_refused_with_the_way_out(cache):
    colour = enum.Enum("Colour", "RED").RED
    entry = cache.entry("profile", ttl_seconds=60)
    for thing in (object(), colour, [object()], lambda: 1):
        with pytest.raises(TypeError, match=r"^profile: .* cannot be part of a key; pass what identifies it"):
            entry.get_or_compute({"thing": thing}, lambda: 1)


def test_a_dependency_on_a_part_that_the_key_lacks_is_refused(cache):
    entry = cache.entry("profile", ttl_seconds=60, depends_on=("users:{user_id}",))
    with pytest.raises(TypeError, match=r'its key has no part "user_id"'):
        entry.get_or_compute({"id": 7}, lambda: 1)
    with pytest.raises(ValueError, match=r'write "table" or'):
        cache.entry("other", ttl_seconds=60, depends_on=("users:user_id}",))


ONE_UUID = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"


@pytest.mark.parametrize(
    "forms",
    [
        (7, "7", "007", " 7 ", "+7", "7.0", decimal.Decimal(7), decimal.Decimal("7.00")),
        (1, True, "1"),
        (uuid.UUID(ONE_UUID), ONE_UUID, ONE_UUID.lower(), f"{{{ONE_UUID}}}", ONE_UUID.replace("-", "")),
        ("Ada", "ada", "ADA "),
    ],
)
def test_all_forms_of_one_primary_key_name_one_row(forms):
    assert len({row_text(form) for form in forms}) == 1


@pytest.mark.parametrize("value", [None, 1.5, (1, 2), b"7", decimal.Decimal("NaN"), decimal.Decimal("1.5")])
def test_what_is_no_primary_key_names_no_row_and_depends_on_the_whole_table(cache, value):
    assert row_text(value) is None
    entry = cache.entry("e", ttl_seconds=60, depends_on=("users:{user_id}",))
    assert "users" in entry.slot({"user_id": value}).tags
    assert {"users:*", "users:7"} <= set(entry.slot({"user_id": "07"}).tags)
