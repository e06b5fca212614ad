"""Attributes and elements of values: read, assigned, deleted."""

from cache_strategy.profile import library, rows
from cache_strategy.profile.annotations import ANNOTATED
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import given
from cache_strategy.profile.source_text import source_of
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Constant,
    External,
    FunctionRef,
    Instance,
    Made,
    Many,
    Mapping,
    Method,
    ModuleRef,
    Page,
    Parts,
    Plain,
    Query,
    Unknown,
    Value,
    Values,
    join,
    many,
    one,
)

# These contexts are read by looking at a name; the others by calling a function.
_READ_BY_LOOKING = frozenset(
    """environment settings user session query header cookie body locale tenant role flag path""".split()
)
# What a row gets from its mapper is known from the mapping; another attribute is not there.
_MAPPING_PACKAGES = ("flask_sqlalchemy.", "sqlalchemy.", "sqlmodel.")
# A longer path is a chain of calls on an unknown object.
_LONGEST_PATH = 160
_MOST_STEPS = 9
# Assigned to far more often than they are read, and never rows.
_MOST_PARTS = 30


def base(frame: Frame, node: Node) -> Values:
    """What stands before a dot or a bracket: evaluated without noting the context that the longer chain names."""
    kind = node[0]
    if kind == "name":
        return resolved(frame, frame.name(node[2]), node)
    if kind == "attr":
        return resolved(frame, get(frame, base(frame, node[2]), node[3], node), node)
    return frame.expression(node)


def resolved(frame: Frame, values: Values, node: Node) -> Values:
    """Names that stand for something of the request (`current_user`) become what they stand for."""
    found = values
    for value in values:
        kind = type(value)
        if kind is External or kind is Made:
            other = frame.analysis.ask("value", frame, value, node)
            if other is not None:
                found = join(found - one(value), other)
    return found


def touched(frame: Frame, values: Values, node: Node) -> Values:
    values = resolved(frame, values, node)
    for value in values:
        if type(value) is External:
            meaning = meaning_of(frame, value.path)
            if meaning is not None and meaning[0] in _READ_BY_LOOKING:
                frame.note_context(meaning[0], meaning[1], node)
    return values


def meaning_of(frame: Frame, path: str) -> tuple[str, str] | None:
    """(kind, name) of what an external path means to the frameworks or to the library; None where nothing."""
    meanings = frame.analysis.meanings
    if path not in meanings:
        meanings[path] = _meaning_of(frame, path)
    return meanings[path]


def _meaning_of(frame: Frame, path: str) -> tuple[str, str] | None:
    for plugin in frame.analysis.plugins:
        rest = path
        while rest:
            meaning = plugin.known.get(rest)
            if meaning is not None:
                return meaning.kind, meaning.name
            rest = rest[:-2] if rest.endswith("()") else rest.rpartition(".")[0]
    found = library.known(path)
    return None if found is None else (found.kind, found.name)


def get(frame: Frame, values: Values, name: str, node: Node) -> Values:
    found: Values = NOTHING
    for value in values:
        gives = _get(frame, value, name, node)
        # a row that lacks the attribute is not what is meant here
        if len(values) == 1 or gives != UNKNOWN or frame.analysis.row(value) is None:
            found = join(found, gives)
    return found or (UNKNOWN if values else NOTHING)


def _get(frame: Frame, value: Value, name: str, node: Node) -> Values:
    analysis = frame.analysis
    if isinstance(value, Unknown | Argument):
        return UNKNOWN
    if isinstance(value, Instance):
        return _of_instance(frame, value, name, node)
    answer: Values | None = analysis.ask("attribute", frame, value, name, node)
    if answer is not None:
        return answer
    if isinstance(value, ClassRef):
        return _of_class(frame, value, name, node)
    if isinstance(value, Made):
        if value.owner >= 0:
            member = _of_member(frame, value, value.owner, name, node)
            if member is not None:
                return member
        return _external(frame, f"{value.path}.{name}")
    if isinstance(value, External):
        if value.path.startswith("~"):
            return analysis.imported(f"{value.path[1:]}.{name}", frame.module)
        return _external(frame, f"{value.path}.{name}")
    if isinstance(value, ModuleRef):
        return analysis.module_attribute(analysis.modules[value.index], name)
    if isinstance(value, Mapping) and name not in _MAPPING_METHODS and name in dict(value.fields):
        return dict(value.fields)[name]
    if isinstance(value, Constant) and value.value is None:
        return NOTHING
    if isinstance(value, Plain | Constant):
        return PLAIN
    if isinstance(value, Parts):
        # a result row: its columns by name
        columns = join(*value.parts) or PLAIN
        if name == "_mapping":
            return one(Mapping((), columns))
        return one(Method(value, name)) if name.startswith("_") else columns
    if isinstance(value, Page):
        return many(value.items) if name == "items" else one(Method(value, name))
    return one(Method(value, name))


_MAPPING_METHODS = frozenset(name for name in dir(dict) if not name.startswith("_"))


def _external(frame: Frame, path: str) -> Values:
    if len(path) > _LONGEST_PATH or path.count(".") > _MOST_STEPS:
        return UNKNOWN
    return frame.analysis.external(path)


def _of_instance(frame: Frame, value: Instance, name: str, node: Node) -> Values:
    analysis = frame.analysis
    member = _of_member(frame, value, value.index, name, node)
    if member is not None:
        return member
    if value.index in analysis.mapped:
        answer: Values | None = analysis.ask("attribute", frame, value, name, node)
        if answer is not None:
            return answer
    for path in analysis.mro(value.index)[1]:
        if path.startswith("enum.") and name in ("name", "value"):
            return PLAIN
        if value.index not in analysis.mapped or not path.startswith(_MAPPING_PACKAGES):
            bound = path if path.endswith("()") else path + "()"
            return _external(frame, f"{bound}.{name}")
    getter = analysis.method(value.index, "__getattr__")
    return UNKNOWN if getter is None else frame.invoke(getter, value, given(node, PLAIN))


def _of_member(frame: Frame, value: "Instance | Made", index: int, name: str, node: Node) -> Values | None:
    """An attribute that the class, its parents or its methods define; None where none does."""
    analysis = frame.analysis
    mapped = analysis.mapped.get(index)
    if mapped is not None and isinstance(value, Instance):
        answer = rows.attribute(frame, mapped, name, node)
        if answer is not None:
            return answer
    member = analysis.member(index, name)
    stored = _stored(frame, index, name)
    if member is None:
        return stored or None
    kind, found, owner = member
    if kind == "method":
        binding = analysis.binding(analysis.functions[found])
        if binding == "property":
            return frame.invoke(found, value, given(node))
        if binding == "static":
            return one(FunctionRef(found))
        receiver: ClassRef | Instance | Made = ClassRef(index) if binding == "class" else value
        return one(FunctionRef(found, receiver))
    if kind == "class":
        return one(ClassRef(found))
    declared = analysis.class_attribute(owner, name)
    if stored:
        declared = join(declared - one(Constant(None)), stored)
    return declared or UNKNOWN


def _stored(frame: Frame, index: int, name: str) -> Values:
    """What methods assign to `self.name`; those that do and were not evaluated yet are evaluated first."""
    analysis = frame.analysis
    found: Values = NOTHING
    for ancestor in analysis.mro(index)[0]:
        info = analysis.classes[ancestor]
        writers = [m for m in info.methods.values() if name in analysis.functions[m].stores]
        for method in writers:
            if not analysis.contexts_of(method) and not analysis.modules[info.module].is_test:
                analysis.generic(analysis.functions[method])
        if writers or analysis.peek((ancestor, name)):
            found = join(found, analysis.stored(ancestor, name))
    return found


def _of_class(frame: Frame, value: ClassRef, name: str, node: Node) -> Values:
    analysis = frame.analysis
    member = analysis.member(value.index, name)
    if member is not None:
        kind, found, owner = member
        if kind == "method":
            binding = analysis.binding(analysis.functions[found])
            if binding == "property":
                return UNKNOWN
            return one(FunctionRef(found, value if binding == "class" else None))
        if kind == "class":
            return one(ClassRef(found))
        if analysis.is_enum(owner):
            return one(Instance(owner))
        return analysis.class_attribute(owner, name) or UNKNOWN
    if name == "__name__":
        return one(Constant(analysis.classes[value.index].name))
    stored = _stored(frame, value.index, name)
    if stored:
        return stored
    for path in analysis.mro(value.index)[1]:
        return _external(frame, f"{path}.{name}")
    return UNKNOWN


def call_if_defined(frame: Frame, value: Instance, name: str, node: Node) -> Values:
    """What a special method of the object gives; UNKNOWN where its class has none."""
    method = frame.analysis.method(value.index, name)
    if method is None:
        return UNKNOWN
    result = frame.invoke(method, value, given(node))
    if name != "__iter__":
        return result
    # an iterator is often the object itself: what it gives is what its __next__ returns
    iterators = frozenset(v for v in result if isinstance(v, Instance))
    found = frame.iterate(result - iterators, node)
    for iterator in iterators:
        if isinstance(iterator, Instance):
            found = join(found, call_if_defined(frame, iterator, "__next__", node))
    return found


def store(frame: Frame, target: Node, values: Values) -> None:
    name = target[3]
    if target[2][0] == "attr" and target[2][3] == "cache_control":
        frame.facts.caches.add((target[1], source_of(target)))
    # what a constructor sets is written when the row is added, not before
    is_own = frame.function is not None and frame.function.name == "__init__" and target[2] == (
        "name", target[2][1], "self"
    )  # fmt: skip
    for value in base(frame, target[2]):
        row = frame.analysis.row(value)
        if row is not None and (is_own or rows.store(frame, row, name, values, target)):
            continue
        if isinstance(value, Instance | Made | ClassRef):
            owner = value.owner if isinstance(value, Made) else value.index
            setter = _setter(frame, owner, name) if owner >= 0 and isinstance(value, Instance) else None
            if setter is not None:
                frame.invoke(setter, value, given(target, values))
            elif owner >= 0:
                frame.analysis.store(owner, name, values)
        elif isinstance(value, External):
            frame.analysis.ask("store", frame, f"{value.path}.{name}", values, target)


def _setter(frame: Frame, index: int, name: str) -> int | None:
    for ancestor in frame.analysis.mro(index)[0]:
        found = frame.analysis.classes[ancestor].setters.get(name)
        if found is not None:
            return found
    return None


def store_item(frame: Frame, target: Node, values: Values) -> None:
    frame.expression(target[3])
    key = target[3][1] if target[3][0] == "const" and isinstance(target[3][1], str) else None
    name = target[2][2] if target[2][0] == "name" else None
    if key in library.KEPT_BY_CLIENTS:
        frame.facts.caches.add((target[1], source_of(target)))
    for value in base(frame, target[2]):
        if isinstance(value, External):
            frame.analysis.ask("store", frame, f"{value.path}[{key or ''}]", values, target)
        elif name is not None and name in frame.env:
            grown = with_item(value, key, values)
            if grown is not value:
                frame.env[name] = join(frame.env[name] - one(value), one(grown))


def with_item(value: Value, key: str | None, values: Values) -> Value:
    if isinstance(value, Mapping):
        fields = dict(value.fields)
        if key is not None and len(fields) < _MOST_PARTS:
            fields[key] = join(fields.get(key, NOTHING), values)
            return Mapping(tuple(fields.items()), value.rest)
        return Mapping(value.fields, join(value.rest, values))
    if isinstance(value, Many):
        grown = many(join(value.items, values), value.lazy)
        return next(iter(grown))
    return value


def delete(frame: Frame, target: Node) -> None:
    for value in base(frame, target[2]):
        if isinstance(value, External):
            frame.analysis.ask("store", frame, f"{value.path}[]", NOTHING, target)


def item(frame: Frame, node: Node) -> Values:
    values = base(frame, node[2])
    index = node[3]
    chosen = frame.expression(index)
    key = index[1] if index[0] == "const" else None
    is_slice = index[0] == "seq" and index[1] == "slice"
    return join(*(_item(frame, value, key, is_slice, chosen, node) for value in values))


def _item(frame: Frame, value: Value, key: object, is_slice: bool, chosen: Values, node: Node) -> Values:
    if isinstance(value, Many):
        return one(value) if is_slice else value.items
    if isinstance(value, Page):
        return PLAIN
    if isinstance(value, Parts):
        if isinstance(key, str):
            return join(*value.parts) or PLAIN
        if isinstance(key, int) and -len(value.parts) <= key < len(value.parts):
            return value.parts[key]
        return many(join(*value.parts)) if is_slice else join(*value.parts)
    if isinstance(value, Mapping):
        for name, values in value.fields:
            if name == key:
                return values
        return value.rest or (UNKNOWN if not value.fields else join(*(v for _, v in value.fields)))
    if isinstance(value, Query):
        found = frame.iterate(one(value), node)
        return many(found) if is_slice else found
    if isinstance(value, External):
        if value.path.endswith(".Annotated"):
            parts = next((v.parts for v in chosen if isinstance(v, Parts)), ())
            return one(Made(ANNOTATED, (frame.module.path, node[1]), parts))
        return external_item(frame, value, key, node)
    if isinstance(value, ClassRef):
        return one(value)
    if isinstance(value, Constant | Plain):
        return PLAIN
    if isinstance(value, Instance):
        method = frame.analysis.method(value.index, "__getitem__")
        if method is not None:
            return frame.invoke(method, value, given(node, chosen))
        if value.index in frame.analysis.mapped:
            # a result row of one entity, `row[0]`
            return one(value)
    return UNKNOWN


def external_item(frame: Frame, value: External, key: object, node: Node) -> Values:
    """An element of an external container: `session["user_id"]`, `request.args["page"]`, `os.environ["HOME"]`."""
    name = key if isinstance(key, str) else ""
    if name.startswith("HTTP_") and value.path.endswith(".environ"):
        name = name[5:].replace("_", "-").title()
    answer: Values | None = frame.analysis.ask("attribute", frame, value, f"[{name}]", node)
    if answer is not None:
        return answer
    meaning = meaning_of(frame, value.path)
    if meaning is not None and meaning[0] in _READ_BY_LOOKING:
        frame.note_context(meaning[0], meaning[1] or name, node)
        return PLAIN
    if value.path.startswith("builtins.") or value.path.startswith("typing."):
        return one(value)
    return _external(frame, value.path + "[]")
