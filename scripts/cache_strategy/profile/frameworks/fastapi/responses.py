"""Answers of FastAPI: response models, and other models that are filled from rows."""

from cache_strategy.profile import annotations, attributes, serialization
from cache_strategy.profile.facts import Decoration, Facts
from cache_strategy.profile.frameworks.fastapi.fields import fields_of, is_model
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import ClassRef, External, Instance, Mapping, Value, Values, one

_FILLING = frozenset({"from_orm", "model_validate", "parse_obj", "validate"})
_DEEPEST = 6


def decorated(frame: Frame, function: int, arguments: Arguments, decoration: Decoration) -> None:
    """What writing out the result of a handler reads: the fields of its response model."""
    node = dict(arguments.node[4]).get("response_model", frame.analysis.functions[function].returns)
    models = _models_in(frame, node)
    decoration.serializers.append(lambda inner, values: write(inner, values, models, arguments.node))
    decoration.result = one(External("fastapi.serialized()"))


def _models_in(frame: Frame, node: Node | None) -> list[int]:
    """The models that an annotation names, also inside `list[…]` and `Page[…]`."""
    kind = node[0] if node is not None else ""
    if node is not None and kind in ("item", "seq", "op"):
        parts = node[2:4] if kind == "item" else node[2] if kind == "seq" else node[3]
        return [model for part in parts for model in _models_in(frame, part)]
    noted = annotations.values_of(frame, node) if node is not None and kind in ("name", "attr") else ()
    return [v.index for v in noted if isinstance(v, Instance) and is_model(frame.analysis, v.index)]


def write(frame: Frame, values: Values, models: list[int], node: Node, level: int = 0) -> None:
    """Notes what filling models from values reads: of rows the fields that the models have."""
    analysis = frame.analysis
    for value in serialization.rows_in(frame, values, node):
        if level > _DEEPEST or not (isinstance(value, Mapping) or analysis.row(value)):
            continue
        for model in models:
            for name, nested in _fields(frame, model):
                found = attributes.get(frame, one(value), name, node)
                if nested:
                    write(frame, found, nested, node, level + 1)
                else:
                    frame.consume(found, node)


def _fields(frame: Frame, model: int) -> list[tuple[str, list[int]]]:
    """The fields of a model that are written out, with the models in their annotations."""
    analysis = frame.analysis
    kept = analysis.pages.get(("fields", model))
    if kept is None:
        mapped = analysis.mapped.get(model)
        kept = analysis.pages["fields", model] = []
        for name, (annotation, owner) in fields_of(analysis, model).items():
            if mapped is None or name not in mapped.relations:
                info = analysis.classes[owner]
                inner = frame.within(analysis.modules[info.module], Facts(), info.outer)
                kept.append((name, _models_in(inner, annotation)))
    found: list[tuple[str, list[int]]] = kept
    return found


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`Model.model_validate(row)`, copies of models, `templates.TemplateResponse`."""
    last = path.rpartition(".")[2]
    if last == "TemplateResponse":
        frame.facts.renders = True
    elif path.startswith(("pydantic.", "sqlmodel.SQLModel")) and isinstance(receiver, Instance | ClassRef):
        if last in ("copy", "model_copy"):
            return one(receiver)
        if last in _FILLING:
            write(frame, arguments.get(0, "obj"), [receiver.index], arguments.node)
            return one(Instance(receiver.index, receiver.index in frame.analysis.mapped))
    return None
