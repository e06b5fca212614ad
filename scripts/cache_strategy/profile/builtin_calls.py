"""Built-in functions, and methods of built-in containers."""

import re

from cache_strategy.profile import external_calls, rows, sql
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.plugins import Arguments, given
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Constant,
    Instance,
    Many,
    Mapping,
    Page,
    Parts,
    Query,
    Value,
    Values,
    join,
    literal,
    many,
    one,
    text_of,
)

_COLLECTING = frozenset("list tuple set frozenset sorted reversed iter aiter".split())
_CHOOSING = frozenset("next min max anext".split())
_CONVERTING = frozenset({"int", "str", "float"})
_MOST_NAMES = 20
_FIELD = re.compile(r"\{(\w*)\}")
_LONGEST_TEXT = 20_000
_CHANGING = frozenset("append remove add extend clear insert pop discard update".split())
_GROWING = frozenset("append add insert extend update appendleft setdefault".split())


def builtin(frame: Frame, name: str, arguments: Arguments) -> Values:
    from cache_strategy.profile import attributes, calls, serialization

    first = arguments.get(0)
    if name in _CONVERTING:
        # a number made of an argument still picks the same row
        kept = frozenset(v for v in first if isinstance(v, Argument))
        constants = frozenset(v for v in first if isinstance(v, Constant) and name == "str")
        _consume(frame, arguments)
        if kept and len(kept) == len(first):
            return kept
        return constants if constants and len(constants) == len(first) else PLAIN
    if name in _COLLECTING:
        items = frame.iterate(first, arguments.node) if arguments.positional else NOTHING
        _apply_key(frame, items, arguments)
        return many(items)
    if name in _CHOOSING:
        several = len(arguments.positional) > 1 and name in ("min", "max")
        items = join(*arguments.positional) if several else frame.iterate(first, arguments.node)
        _apply_key(frame, items, arguments)
        return join(items, *arguments.positional[1:])
    if name == "enumerate":
        return many(one(Parts((PLAIN, frame.iterate(first, arguments.node)))))
    if name == "zip":
        return many(one(Parts(tuple(frame.iterate(v, arguments.node) for v in arguments.positional))))
    if name in ("map", "filter"):
        return _mapped(frame, name, arguments)
    if name == "dict":
        return _dictionary(frame, arguments)
    if name == "getattr":
        keys = _names(arguments.get(1))
        if not keys:
            for value in first:
                if isinstance(value, Instance):
                    # any relationship may be meant
                    serialization.close_over(frame, value, arguments.node)
            return UNKNOWN
        found = (attributes.get(frame, first, key, arguments.node) for key in keys)
        return join(*found, *arguments.positional[2:])
    if name == "setattr":
        return _set_attribute(frame, arguments)
    if name == "open":
        return external_calls.call_library(frame, "builtins.open", arguments)
    if name == "type":
        return frozenset(ClassRef(v.index) for v in first if isinstance(v, Instance)) or UNKNOWN
    if name in ("exec", "eval", "__import__", "compile"):
        calls.note_unknown(frame, arguments.node)
        return UNKNOWN
    calls.run_callbacks(frame, arguments)
    _consume(frame, arguments)
    return PLAIN


def _consume(frame: Frame, arguments: Arguments) -> None:
    for values in arguments.positional:
        frame.consume(values, arguments.node)


def _apply_key(frame: Frame, items: Values, arguments: Arguments) -> None:
    from cache_strategy.profile import calls

    frame.loops += 1
    for value in arguments.get(-1, "key"):
        calls.call_value(frame, value, given(arguments.node, items))
    frame.loops -= 1


def _mapped(frame: Frame, name: str, arguments: Arguments) -> Values:
    from cache_strategy.profile import calls

    items = join(*(frame.iterate(v, arguments.node) for v in arguments.positional[1:]))
    if name == "filter":
        return many(items, lazy=True)
    inner = given(arguments.node, items)
    frame.loops += 1
    found = join(*(calls.call_value(frame, value, inner) for value in arguments.get(0)))
    frame.loops -= 1
    return many(found or UNKNOWN, lazy=True)


def _dictionary(frame: Frame, arguments: Arguments) -> Values:
    fields: dict[str, Values] = {}
    rest: Values = NOTHING
    for value in arguments.get(0):
        if isinstance(value, Mapping):
            fields.update(value.fields)
            rest = join(rest, value.rest)
        elif isinstance(value, Parts):
            # a result row
            rest = join(rest, *value.parts)
        elif not isinstance(value, Constant):
            for pair in frame.iterate(one(value), arguments.node):
                rest = join(
                    rest, pair.parts[1] if isinstance(pair, Parts) and len(pair.parts) == 2 else UNKNOWN
                )
    for name, values in arguments.keywords:
        if name:
            fields[name] = values
        else:
            rest = join(rest, values)
    return one(Mapping(tuple(fields.items()), rest))


def _set_attribute(frame: Frame, arguments: Arguments) -> Values:
    keys = _names(arguments.get(1))
    for value in arguments.get(0):
        mapped = frame.analysis.row(value)
        if mapped is not None and not keys and not mapped.explicit:
            frame.note_write(mapped.table, "orm", arguments.node)
        for key in keys:
            if mapped is not None:
                rows.store(frame, mapped, key, arguments.get(2), arguments.node)
            elif isinstance(value, Instance):
                frame.analysis.store(value.index, key, arguments.get(2))
    return NOTHING


def _names(values: Values) -> list[str]:
    """The names that an attribute given as a value may have; none where it may have any."""
    found = [text for text in map(literal, values) if text is not None]
    return sorted(found) if len(found) == len(values) <= _MOST_NAMES else []


def method(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values:
    if isinstance(receiver, Many):
        return _of_many(frame, receiver, name, arguments)
    if isinstance(receiver, Mapping):
        return _of_mapping(frame, receiver, name, arguments)
    if isinstance(receiver, Query):
        frame.consume(one(receiver), arguments.node)
        return UNKNOWN
    text = literal(receiver)
    if text is not None:
        return _of_text(frame, text, name, arguments)
    if isinstance(receiver, Parts):
        return one(Mapping((), join(*receiver.parts) or PLAIN)) if name == "_asdict" else PLAIN
    if isinstance(receiver, Page):
        return one(receiver) if name in ("next", "prev") else PLAIN
    if name == "join":
        frame.iterate(arguments.get(0), arguments.node)
    return PLAIN


def _of_many(frame: Frame, receiver: Many, name: str, arguments: Arguments) -> Values:
    if receiver.relation is not None and name in _CHANGING:
        mapped = frame.analysis.mapped[receiver.relation[0]]
        rows.write_relation(frame, mapped, mapped.relations[receiver.relation[1]], arguments.node)
        rows.write_new(frame, arguments.get(0), arguments.node)
    if name in _GROWING:
        added = arguments.get(1) if name == "insert" else arguments.get(0)
        if name in ("extend", "update"):
            added = frame.iterate(added, arguments.node)
        _grow(frame, receiver, None, added, arguments)
        return NOTHING
    if name in ("pop", "popleft", "__getitem__", "__next__"):
        return receiver.items
    if name in ("copy", "union", "difference", "intersection", "__iter__", "sort", "reverse"):
        return one(receiver)
    return PLAIN


def _of_mapping(frame: Frame, receiver: Mapping, name: str, arguments: Arguments) -> Values:
    if name in ("get", "pop", "setdefault", "__getitem__"):
        key = text_of(arguments.get(0))
        found = receiver.rest
        for field, values in receiver.fields:
            if key is None or field == key:
                found = join(found, values)
        if name == "setdefault":
            _grow(frame, receiver, key, arguments.get(1), arguments)
        return join(found, arguments.get(1)) or UNKNOWN
    if name == "items":
        return many(one(Parts((PLAIN, receiver.all_values() or UNKNOWN))))
    if name == "values":
        return many(receiver.all_values() or UNKNOWN)
    if name == "keys":
        return many(PLAIN)
    if name == "copy":
        return one(receiver)
    if name == "update":
        others = [v.all_values() for v in arguments.get(0) if isinstance(v, Mapping)]
        added = join(*others, *(values for _, values in arguments.keywords))
        _grow(frame, receiver, None, added, arguments)
        return NOTHING
    return PLAIN


def _grow(frame: Frame, receiver: Value, key: str | None, added: Values, arguments: Arguments) -> None:
    """`name.append(value)`: the container behind a local name now holds the value too."""
    from cache_strategy.profile import attributes

    node = arguments.node
    if node[0] != "call" or node[2][0] != "attr" or not added:
        return
    holder = node[2][2]
    grown = attributes.with_item(receiver, key, added)
    if holder[0] == "name" and holder[2] in frame.env:
        frame.env[holder[2]] = join(frame.env[holder[2]] - one(receiver), one(grown))
    elif holder[0] == "attr":
        attributes.store(frame, holder, one(grown))


def _of_text(frame: Frame, text: str, name: str, arguments: Arguments) -> Values:
    if name == "format":
        fields = {str(i): text_of(v) for i, v in enumerate(arguments.positional)}
        fields.update({key: text_of(v) for key, v in arguments.keywords})
        formatted = _formatted(text, fields, sql.looks_like_sql(text))
        return PLAIN if formatted is None else one(Constant(formatted))
    if name in ("lower", "upper", "strip", "title") and not arguments.positional:
        return one(Constant(getattr(text, name)()))
    if name == "split" and not arguments.keywords and len(arguments.positional) <= 1:
        separator = text_of(arguments.get(0)) if arguments.positional else None
        if separator != "":
            pieces = text.split(separator)
            if len(pieces) <= 10:
                return one(Parts(tuple(one(Constant(piece)) for piece in pieces)))
    if name == "join":
        frame.iterate(arguments.get(0), arguments.node)
    return PLAIN


def _formatted(text: str, fields: dict[str, str | None], gaps: bool) -> str | None:
    """`text.format(…)` for plain fields; None where one is not known (and `gaps` are not wanted) or has a format."""
    count = 0
    pieces = []
    end = 0
    for match in _FIELD.finditer(text):
        name = match[1]
        if name == "":
            name = str(count)
            count += 1
        value = fields.get(name)
        if value is None and not gaps:
            return None
        value = value if value is not None else f" {sql.PLACEHOLDER} "
        pieces.append(text[end : match.start()] + value)
        end = match.end()
    pieces.append(text[end:])
    made = "".join(pieces)
    return made if len(made) <= _LONGEST_TEXT and "{" not in made else None
