"""What a type annotation says of a value."""

from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    ClassRef,
    External,
    Instance,
    Made,
    Mapping,
    Parts,
    Values,
    join,
    many,
    one,
)

ANNOTATED = "typing.Annotated[]"
"""An object that stands for `Annotated[what, note, …]`: its arguments are what stands in the brackets."""

_PLAIN = frozenset(
    """str int float bool bytes complex datetime date time timedelta Decimal UUID None NoneType""".split()
)
_ANY = frozenset("Any object Callable TypeVar T Self".split())
_COLLECTIONS = frozenset(
    """list set frozenset List Set FrozenSet Sequence Iterable Iterator Collection deque MutableSequence
    AbstractSet AsyncIterator AsyncIterable AppenderQuery ScalarResult""".split()
)
_LAZY = frozenset("Generator AsyncGenerator Iterator AsyncIterator".split())
_DICTIONARIES = frozenset("dict Dict Mapping MutableMapping defaultdict DefaultDict OrderedDict".split())
_TRANSPARENT = frozenset(
    """Optional Union Annotated Final ClassVar Mapped Awaitable Coroutine Required NotRequired
    DynamicMapped WriteOnlyMapped InstrumentedAttribute ReadOnly""".split()
)


def values_of(frame: Frame, node: Node) -> Values:
    """What an annotation stands for: instances of classes, collections of them; UNKNOWN where it says nothing."""
    kind = node[0]
    if kind in ("name", "attr"):
        return _named(frame, node)
    if kind == "item":
        return _generic(frame, node)
    if kind == "op" and node[2] == "|":
        return join(*(values_of(frame, item) for item in node[3]))
    if kind == "const":
        return NOTHING if node[1] is None else UNKNOWN
    return UNKNOWN


def _named(frame: Frame, node: Node) -> Values:
    return _meant(_plain_lookup(frame, node), node[2] if node[0] == "name" else node[3])


def _meant(values: Values, last: str) -> Values:
    found: Values = NOTHING
    for value in values:
        if isinstance(value, ClassRef):
            found = join(found, one(Instance(value.index)))
        elif isinstance(value, External):
            if last in _PLAIN:
                found = join(found, PLAIN)
            elif last in _COLLECTIONS:
                found = join(found, many(UNKNOWN))
            elif last in _DICTIONARIES:
                found = join(found, one(Mapping((), UNKNOWN)))
            elif last in _ANY or last == "tuple":
                found = join(found, UNKNOWN)
            else:
                found = join(found, one(External(value.path + "()")))
        elif isinstance(value, Made):
            inner = value.args[0] if value.path == ANNOTATED else NOTHING
            name = next((v.path.rpartition(".")[2] for v in inner if isinstance(v, External)), "")
            found = join(found, _meant(inner, name))
    return found or UNKNOWN


def looked_up(frame: Frame, node: Node) -> Values:
    """What an annotation's expression is, for what stands beside the type in `Annotated[…]`."""
    if node[0] == "item":
        base = node[2]
        name = base[2] if base[0] == "name" else base[3] if base[0] == "attr" else ""
        return frame.expression(node) if name == "Annotated" else NOTHING
    return _plain_lookup(frame, node) if node[0] in ("name", "attr") else NOTHING


def _plain_lookup(frame: Frame, node: Node) -> Values:
    from cache_strategy.profile import attributes

    if node[0] == "name":
        return frame.name(node[2])
    return (
        attributes.get(frame, _plain_lookup(frame, node[2]), node[3], node)
        if node[2][0] in ("name", "attr")
        else UNKNOWN
    )


def _generic(frame: Frame, node: Node) -> Values:
    base = node[2]
    last = base[2] if base[0] == "name" else base[3] if base[0] == "attr" else ""
    inner = node[3]
    items = list(inner[2]) if inner[0] == "seq" else [inner]
    if last == "Annotated":
        return values_of(frame, items[0]) if items else UNKNOWN
    if last in ("Coroutine", "Generator", "AsyncGenerator") and items:
        element = items[-1] if last == "Coroutine" else items[0]
        found = values_of(frame, element)
        return found if last == "Coroutine" else many(found, lazy=True)
    if last in _TRANSPARENT:
        return join(*(values_of(frame, item) for item in items)) or UNKNOWN
    if last in _COLLECTIONS:
        return many(values_of(frame, items[0]) if items else UNKNOWN, lazy=last in _LAZY)
    if last in _DICTIONARIES:
        return one(Mapping((), values_of(frame, items[-1])))
    if last in ("tuple", "Tuple"):
        if len(items) == 2 and items[1] == ("const", 0):
            return many(values_of(frame, items[0]))
        return one(Parts(tuple(values_of(frame, item) for item in items)))
    if last in ("type", "Type"):
        classes = values_of(frame, items[0]) if items else NOTHING
        return frozenset(ClassRef(v.index) for v in classes if isinstance(v, Instance)) or UNKNOWN
    if last == "Literal":
        return PLAIN
    return _named(frame, base) if base[0] in ("name", "attr") else UNKNOWN
