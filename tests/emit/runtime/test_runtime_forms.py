"""What an entry can be asked for besides its decorator: a `with`, errors that are kept, one value for a request, a codec."""

import dataclasses
import datetime
import enum
import json
import threading
import typing
import zlib

import pytest
from runtime_scene import EVERY_LAYER, Origin

from cache_strategy.emit.targets.runtime.files import values
from cache_strategy.emit.targets.runtime.files.records import Record


class Colour(enum.Enum):
    RED = "r"
    CRIMSON = "r"  # noqa: PIE796 (another name of it)
    BLUE = ("b", 2)


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Address:
    street: str
    since: datetime.date


@dataclasses.dataclass(frozen=True)
class Person:
    name: str
    colours: tuple[Colour, ...]
    home: "Address | None" = None
    rights: Rights = Rights.READ
    tags: typing.ClassVar[int] = 3


@dataclasses.dataclass(frozen=True)
class Slotted:
    __slots__ = ("x",)
    x: int


@dataclasses.dataclass
class Growing(Address):
    rooms: list[int] = dataclasses.field(default_factory=list)
    doubled: int = dataclasses.field(init=False, default=0)

    def __post_init__(self):
        self.doubled = len(self.rooms) * 2


HOME = Address("Main St", datetime.date(2024, 1, 1))
OBJECTS = [
    *(Colour.RED, Colour.BLUE, Level.LOW, Rights.READ | Rights.WRITE, Rights(0), Slotted(3), HOME),
    *(Person("Ada", (Colour.BLUE, Colour.CRIMSON), HOME, Rights.WRITE), {Colour.RED: {Slotted(1)}}),
    Growing("Side St", datetime.date(2023, 5, 5), [1, 2]),
]


@pytest.mark.parametrize("value", OBJECTS, ids=repr)
@EVERY_LAYER
def test_a_dataclass_or_an_enum_comes_back_exactly(make_cache, layers, value):
    entry, other = (make_cache().entry("e", ttl_seconds=60, layers=layers) for _ in range(2))
    seen = [reader.get_or_compute({}, Origin(value)) for reader in (entry, entry, other)]
    assert seen == [value] * 3
    assert {type(again) for again in seen} == {type(value)}
    assert list(map(repr, seen)) == [repr(value)] * 3
    assert (seen[1] is value) == isinstance(value, enum.Enum)


def test_classes_are_parts_of_a_key(cache):
    entry = cache.entry("e", ttl_seconds=60)
    keys = [*OBJECTS[:-2], 1, "RED", Slotted(1), Person("Ada", ()), Person("Ada", (), HOME), OBJECTS[-1]]
    assert len({entry.slot({"it": key}).name for key in keys}) == len(keys)
    assert entry.slot({"it": Slotted(3)}).name == entry.slot({"it": Slotted(3)}).name


def local_class():
    @dataclasses.dataclass
    class Person:
        name: str

    return Person("Ada")


def with_more():
    person = Address("Main St", datetime.date(2024, 1, 1))
    person.note = "not a field"
    return person


def without_a_field():
    person = Address("Main St", datetime.date(2024, 1, 1))
    del person.street
    return person


@dataclasses.dataclass
class Listing(list):
    name: str = ""


class Plain(Address):
    pass


@pytest.mark.parametrize(
    "value",
    [
        local_class(),
        with_more(),
        without_a_field(),
        Listing("a"),
        Plain("a", None),
        Person("Ada", (object(),)),
        enum.Enum("E", "A").A,
    ],
    ids=["local", "more", "less", "list", "subclass", "object inside", "unnamed"],
)
def test_a_class_that_would_not_come_back_exactly_is_refused(cache, value):
    with pytest.raises(TypeError, match=r"^profile: the value for .* Return plain data"):
        cache.entry("profile", ttl_seconds=60).get_or_compute({}, lambda: value)


def test_no_class_comes_out_of_the_bytes(cache, make_cache, redis, monkeypatch):
    """Only what this process has stored, or was told of, is made again; what has other fields now is a miss."""
    entry, origin = cache.entry("e", ttl_seconds=60, layers=("redis",)), Origin(HOME)
    entry.get_or_compute({}, origin)
    monkeypatch.setattr(values, "_known", {})
    assert (
        make_cache(types=[Address]).entry("e", ttl_seconds=60).get_or_compute({}, Origin("not asked")) == HOME
    )
    monkeypatch.setattr(values, "_known", {})
    reader = make_cache().entry("e", ttl_seconds=60)

    @reader
    def find() -> typing.Optional[list[Person]]:  # noqa: UP045 (annotations of every kind)
        raise AssertionError

    assert {kind.__name__ for kind in values._known.values()} == {"Address", "Colour", "Person", "Rights"}
    monkeypatch.setattr(values, "_known", {})
    assert entry.get_or_compute({}, origin) == HOME
    assert origin.calls == 2
    name = entry.slot({}).redis_name
    record = Record.from_bytes(redis.get(name), 0.0)
    for content in (
        ["subprocess.Popen", {}],
        [f"{__name__}.Address", {"street": 1}],
        [f"{__name__}.Address"],
        7,
    ):
        record.payload = json.dumps({"~": content}).encode()
        redis.set(name, record.to_bytes())
        assert make_cache().entry("e", ttl_seconds=60).get_or_compute({}, origin) == HOME


# A codec, and compression.


class Plainly:
    name = "repr"

    def dumps(self, value):
        return repr(value).encode()

    def loads(self, data):
        return json.loads(data.replace(b"'", b'"').replace(b"(", b"[").replace(b")", b"]"))


def test_a_codec_writes_the_values_and_may_change_none(make_cache, redis):
    entry = make_cache().entry("e", ttl_seconds=60, codec=Plainly())
    assert [entry.get_or_compute({}, lambda: {"a": [1, 2]}) for _ in range(2)] == [{"a": [1, 2]}] * 2
    assert b"{'a': [1, 2]}" in redis.get(entry.slot({}).redis_name)
    for changed in ((1, 2), [(1, 2)], [1.0, 2, ()]):
        with pytest.raises(TypeError, match="that repr would change"):
            entry.get_or_compute({"of": changed}, lambda changed=changed: changed)
    plain, origin = make_cache().entry("e", ttl_seconds=60), Origin("again")
    assert plain.get_or_compute({}, origin) == "again"  # what it cannot read is a miss
    with pytest.raises(ValueError, match="letters, digits"):
        make_cache().entry("e", ttl_seconds=60, codec=type("Odd", (Plainly,), {"name": "a b"})())


def test_values_above_a_size_are_compressed(make_cache, redis):
    page = {"rows": ["the same over and over"] * 1000}
    entry, plain = (make_cache().entry("e", ttl_seconds=60, compress_above=size) for size in (1000, 0))
    entry.get_or_compute({}, Origin(page)), entry.get_or_compute({"small": 1}, Origin("x"))
    stored = redis.get(entry.slot({}).redis_name)
    assert len(stored) < 2000
    assert b"c1 0+" in stored
    assert b"+" not in redis.get(entry.slot({"small": 1}).redis_name).partition(b"\n")[0]
    assert plain.get_or_compute({}, Origin("not asked")) == page


@pytest.mark.parametrize(
    ("claimed", "payload"),
    [
        (10, zlib.compress(b"0" * 10**8)),
        (2, b"{}"),
        (3, zlib.compress(b"{}")),
        (2, zlib.compress(b"{}")[:-2]),
    ],
)
def test_what_is_not_what_was_compressed_is_nothing(claimed, payload):
    assert Record.from_bytes(b"c1 0+%d %d 1 2 3 4\n%s" % (claimed, len(payload), payload), 0.0) is None


# Errors that are kept.


@EVERY_LAYER
def test_errors_of_the_named_classes_are_kept_for_their_time(make_cache, clock, layers):
    cache = make_cache(clock=clock)
    options = {"layers": layers, "errors": (LookupError,), "negative_seconds": 5, "depends_on": ("users",)}
    entry, origin = cache.entry("e", ttl_seconds=60, **options), Origin(LookupError("no user", 7))

    def read():
        with pytest.raises(LookupError) as raised:
            entry.get_or_compute({}, origin)
        return type(raised.value), raised.value.args

    assert {read() for _ in range(3)} == {(LookupError, ("no user", 7))}
    assert origin.calls == 1
    cache.invalidate("users")
    read(), read()
    assert origin.calls == 2
    clock.pass_seconds(6)
    if "memory" in layers:
        read()
        assert origin.calls == 3
    cache.invalidate("users")
    before = origin.calls
    for other in (KeyError("a subclass"), ValueError("another"), LookupError(object())):
        origin.value = other
        for _ in range(2):
            with pytest.raises(type(other)):
                entry.get_or_compute({}, origin)
    assert origin.calls == before + 6
    origin.value = None
    assert [entry.get_or_compute({}, origin) for _ in range(2)] == [None, None]
    assert origin.calls == before + 7


def test_none_may_have_a_shorter_life(cache, redis):
    entry = cache.entry("e", ttl_seconds=600, negative_seconds=5)
    entry.get_or_compute({"id": 1}, Origin(None)), entry.get_or_compute({"id": 2}, Origin(0))
    lives = [redis.pttl(entry.slot({"id": number}).redis_name) for number in (1, 2)]
    assert lives[0] <= 5000
    assert lives[1] > 500_000


# A `with`.


@EVERY_LAYER
def test_a_with_is_given_the_value_or_sets_it(cache, layers):
    entry, seen = cache.entry("e", ttl_seconds=60, layers=layers, depends_on=("users:{id}",)), []
    for _ in range(3):
        with entry.open(id=7) as found:
            seen.append(found.is_missing)
            if found.is_missing:
                found.value = ["a"]
            found.value.append("b")
    assert seen == [True, False, False]
    cache.invalidate(("users", 7))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), entry.open(id=7) as found:
            assert found.is_missing
            found.value = 1 // 0
    with entry.open(id=7) as found:
        pass  # sets nothing
    with entry.open(id=7) as found:
        assert found.is_missing
        cache.invalidate(("users", 7))
        found.value = "from before it"
    with entry.open(id=7) as found:
        assert found.is_missing
    assert entry.counts["computations"] == 6


def test_a_with_holds_the_others_back_while_it_computes(cache):
    entry, inside, values = cache.entry("e", ttl_seconds=60), threading.Event(), []
    other = threading.Thread(
        target=lambda: (inside.wait(), values.append(entry.get_or_compute({}, Origin("own"))))
    )
    other.start()
    with entry.open() as found:
        inside.set()
        other.join(0.1)
        found.value = "of the with"
    other.join()
    assert values == ["of the with"]


# One value for a request.


def test_a_request_is_given_a_value_once_until_it_invalidates_something(make_cache, redis):
    cache, writer, origin = make_cache(), make_cache(), Origin("first")
    alone = cache.entry("alone", ttl_seconds=60, layers=("request",))
    entry = cache.entry("e", ttl_seconds=60, layers=("request", "redis"), depends_on=("users",))
    with cache.request():
        assert entry.get_or_compute({}, origin) == "first"
        origin.value = "second"
        writer.invalidate("users")
        before = redis.info("stats")["total_commands_processed"]
        assert entry.get_or_compute({}, origin) == "first"
        assert redis.info("stats")["total_commands_processed"] <= before + 1  # ours
        cache.invalidate("users")
        assert entry.get_or_compute({}, origin) == "second"
    origin.value = "third"
    writer.invalidate("users")
    assert entry.get_or_compute({}, origin) == "third"  # outside of requests it is as any other
    for expected in (4, 5):
        with cache.request():
            assert [alone.get_or_compute({}, origin), alone.get_or_compute({}, origin)] == ["third"] * 2
        assert origin.calls == expected
    assert [alone.get_or_compute({}, origin) for _ in range(2)] == ["third"] * 2
    assert origin.calls == 7
    assert alone.counts["hits"] == 2


def test_what_a_request_is_given_is_its_own(cache):
    entry = cache.entry("e", ttl_seconds=60, layers=("request",))
    with cache.request():
        entry.get_or_compute({}, lambda: ["a"]).append("b")
        assert entry.get_or_compute({}, lambda: 0) == ["a"]
        with cache.request():
            assert entry.get_or_compute({}, lambda: 0) == 0
        assert entry.get_or_compute({}, lambda: 0) == ["a"]
