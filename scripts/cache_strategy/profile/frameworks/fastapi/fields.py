"""Classes that hold data of a request or an answer, and what they hold."""

from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.source_text import last_name

_MODELS = ("pydantic.", "pydantic_settings.", "sqlmodel.", "sqlalchemy.", "msgspec.", "attrs.")


def fields_of(analysis: Analysis, index: int) -> dict[str, tuple[Node, int]]:
    """The annotated fields of a data class or model: (annotation, class that declares it) by name."""
    found: dict[str, tuple[Node, int]] = {}
    for ancestor in reversed(analysis.mro(index)[0]):
        for name, (_, annotation, _) in analysis.classes[ancestor].attributes.items():
            if annotation is not None and last_name(annotation) != "ClassVar" and name[0] != "_":
                found[name] = (annotation, ancestor)
    return found


def is_model(analysis: Analysis, index: int) -> bool:
    """Whether a class holds data of a request or an answer: a pydantic model, a data class."""
    decorated = (last_name(decorator) for decorator in analysis.classes[index].decorators)
    return "dataclass" in decorated or any(path.startswith(_MODELS) for path in analysis.mro(index)[1])
