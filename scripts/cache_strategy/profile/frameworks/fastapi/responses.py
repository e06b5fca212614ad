"""Answers of FastAPI: response models and other pydantic models that are filled from rows, templates."""

from pathlib import Path
from typing import TYPE_CHECKING

from cache_strategy.profile import annotations, attributes, serialization, templates
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.frameworks.fastapi.dependencies import fields_of, is_model
from cache_strategy.profile.frameworks.fastapi.knowledge import REQUEST
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    External,
    Instance,
    Mapping,
    Value,
    Values,
    join,
    one,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.evaluation import Frame
    from cache_strategy.profile.facts import Decoration

_MODEL = ("pydantic.", "sqlmodel.SQLModel")
_FILLING = frozenset({"from_orm", "model_validate", "parse_obj", "validate"})
_COPYING = frozenset({"copy", "model_copy"})
_DEEPEST = 6


def decorated(frame: "Frame", function: int, arguments: Arguments, decoration: "Decoration") -> None:
    """What writing out the result of a handler reads: the fields of its response model."""
    node = dict(arguments.node[4]).get("response_model", frame.analysis.functions[function].returns)
    models = models_in(frame, node)
    decoration.serializers.append(lambda inner, values: write(inner, values, models, arguments.node))
    decoration.result = one(External("fastapi.serialized()"))


def models_in(frame: "Frame", node: Node | None) -> list[int]:
    """The models that an annotation names, also inside `list[…]` and `Page[…]`."""
    if node is None:
        return []
    if node[0] == "item":
        return [*models_in(frame, node[2]), *models_in(frame, node[3])]
    if node[0] in ("seq", "op"):
        return [model for part in node[2 if node[0] == "seq" else 3] for model in models_in(frame, part)]
    if node[0] not in ("name", "attr"):
        return []
    noted = annotations.values_of(frame, node)
    return [v.index for v in noted if isinstance(v, Instance) and is_model(frame.analysis, v.index)]


def write(frame: "Frame", values: Values, models: list[int], node: Node, level: int = 0) -> None:
    """Notes what filling models from values reads: of rows the fields that the models have."""
    analysis = frame.analysis
    for value in serialization.rows_in(frame, values, node):
        if level > _DEEPEST or not isinstance(value, Mapping | Instance):
            continue
        if isinstance(value, Instance) and analysis.row(value) is None:
            continue
        for model in models:
            mapped = analysis.mapped.get(model)
            for name, (annotation, owner) in fields_of(analysis, model).items():
                if mapped is not None and name in mapped.relations:
                    continue
                if isinstance(value, Mapping):
                    found = dict(value.fields).get(name, NOTHING)
                else:
                    found = attributes.get(frame, one(value), name, node)
                info = analysis.classes[owner]
                inner = frame.within(analysis.modules[info.module], Facts(), info.outer)
                nested = models_in(inner, annotation)
                if nested:
                    write(frame, found, nested, node, level + 1)
                else:
                    frame.consume(found, node)


def call(frame: "Frame", path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`Model.model_validate(row)`, copies of models, `templates.TemplateResponse`."""
    last = path.rpartition(".")[2]
    if last == "TemplateResponse" and path.startswith("fastapi.templating."):
        return _render(frame, arguments)
    if not path.startswith(_MODEL) or not isinstance(receiver, Instance | ClassRef):
        return None
    if last in _COPYING:
        return one(receiver)
    if last in _FILLING:
        write(frame, arguments.get(0, "obj"), [receiver.index], arguments.node)
        return one(Instance(receiver.index, receiver.index in frame.analysis.mapped))
    return None


def _render(frame: "Frame", arguments: Arguments) -> Values:
    variables: dict[str, Values] = {"request": one(External(REQUEST))}
    for values in (arguments.get(-1, "context"), *arguments.positional):
        for inner in values:
            if isinstance(inner, Mapping):
                variables.update(dict(inner.fields))
    names = texts_in(arguments.get(-1, "name") or join(*arguments.positional[:2]))
    kept: dict[object, object] = frame.analysis.notes.setdefault("templates", {})
    files = kept.setdefault("all", templates.Templates(Path(str(kept["repo"]))))
    assert isinstance(files, templates.Templates)
    templates.render(frame, files, names, variables, {}, arguments.node)
    return one(External("fastapi.templating.rendered()"))
