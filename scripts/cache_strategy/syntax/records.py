"""Named tuples without the import of `collections`, which costs a hook as much as reading a long file. Python 3.9."""

from _collections import _tuplegetter  # type: ignore[import-not-found]  # not in typeshed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Record(tuple):  # type: ignore[type-arg]  # each has its own fields
    """What a named tuple is: a tuple with names for its places."""

    __slots__ = ()
    _fields: "tuple[str, ...]" = ()

    def __new__(cls, *values: "Any", **named: "Any") -> "_Record":
        if named:
            values += tuple(named.pop(name) for name in cls._fields[len(values) :])
        if named or len(values) != len(cls._fields):
            raise TypeError(f"{cls.__name__} has the fields {', '.join(cls._fields)}")
        return tuple.__new__(cls, values)

    def __getnewargs__(self) -> "tuple[Any, ...]":
        return tuple(self)

    def __repr__(self) -> str:
        pairs = zip(self._fields, self)  # noqa: B905 - Python 3.9
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def _replace(self, **named: "Any") -> "_Record":
        values = [named.pop(name, value) for name, value in zip(self._fields, self)]  # noqa: B905 - Python 3.9
        return type(self)(*values, **named)

    def _asdict(self) -> "dict[str, Any]":
        return dict(zip(self._fields, self))  # noqa: B905 - Python 3.9


def record(module: str, name: str, fields: str) -> "type[_Record]":
    """A named tuple of a module, by its fields' names."""
    names = tuple(fields.split())
    places = {field: _tuplegetter(place, "") for place, field in enumerate(names)}
    return type(name, (_Record,), {"__slots__": (), "__module__": module, "_fields": names, **places})
