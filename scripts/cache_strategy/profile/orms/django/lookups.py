"""Which tables the names in lookups, orderings and expressions reach."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cache_strategy.profile.orms.django.models import Model
from cache_strategy.profile.values import Argument, Constant, Made, Many, Parts, Query, RowKey, Values

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

EXPRESSION = "django.db.models."
_AGGREGATES = frozenset(
    "Count Sum Avg Min Max StdDev Variance ArrayAgg StringAgg JSONBAgg BoolAnd BoolOr".split()
)
_LITERAL = frozenset(("Value", "OuterRef", "Cast", "RawSQL"))
_OF_KEY = frozenset("id pk exact in isnull gt gte lt lte range iexact".split())


class Reached:
    """What the arguments of a query's methods name: `tables`, those of subqueries also in `inner`."""

    def __init__(self, analysis: "Analysis", model: Model) -> None:
        self.analysis = analysis
        self.model = model
        self.tables: set[str] = set()
        self.inner: set[str] = set()
        self.keys: set[RowKey] = set()
        self.aggregate = False

    def path(self, text: str, whole: bool = False) -> None:
        """`author__profile__name`; `whole` where the rows at its end are loaded too."""
        current = self.model
        parts = text.lstrip("-+?").split("__")
        for number, part in enumerate(parts):
            relation = current.relation(part)
            target = self.analysis.mapped.get(relation.target) if relation is not None else None
            if relation is None or not isinstance(target, Model):
                return
            if relation.secondary:
                self.tables.add(relation.secondary)
            rest = parts[number + 1 : number + 2]
            by_key = not whole and (not rest or (rest[0] in _OF_KEY and target.relation(rest[0]) is None))
            if by_key and (relation.secondary or current.is_forward(part)):
                return
            of_parent = bool(rest) and rest[0] not in target.columns and target.relation(rest[0]) is None
            self.tables.update(target.tables if whole or of_parent else target.tables[:1])
            current = target

    def lookups(self, keywords: Iterable[tuple[str, Values]], exact: bool = True) -> None:
        """`filter(author__name=…, pk=pk)`; `exact` where every row must fulfil them."""
        for name, values in keywords:
            self.path(name)
            self.expressions(values, names=False)
            attribute = {"pk": self.model.primary_key[:1] or ("id",)}.get(
                name.removesuffix("__exact"), (name,)
            )[0]
            if exact and (attribute,) == self.model.primary_key:
                named = [v.name for v in values if isinstance(v, Argument)]
                known = len(named) == len(values) == 1
                column = self.model.columns.get(attribute, attribute)
                self.keys.add(RowKey(self.model.table, column, named[0] if known else ""))

    def expressions(self, values: Values, *, names: bool = True, whole: bool = False) -> None:
        """`F("author__name")`, `Count("comments")`, subqueries, in lists too; `names` where plain texts are names."""
        for value in values:
            if isinstance(value, Constant) and isinstance(value.value, str) and names:
                self.path(value.value, whole)
            elif isinstance(value, Query):
                self.tables |= value.tables
                self.inner |= value.tables
            elif isinstance(value, Many):
                self.expressions(value.items, names=names, whole=whole)
            elif isinstance(value, Parts):
                for part in value.parts:
                    self.expressions(part, names=names, whole=whole)
            elif isinstance(value, Made) and value.path.startswith(
                ("django.db.models.", "django.contrib.postgres.")
            ):
                self.expression(value, whole)

    def expression(self, made: Made, whole: bool) -> None:
        kind = made.path[:-2].rpartition(".")[2]
        if kind == "Q":
            for argument in made.args:
                self.expressions(argument)
            self.lookups(made.keywords, exact=False)
            return
        self.aggregate = self.aggregate or kind in _AGGREGATES
        for argument in made.args:
            self.expressions(argument, names=kind not in _LITERAL, whole=whole or kind == "Prefetch")
        for name, argument in made.keywords:
            if kind == "When" and name not in ("then", "condition"):
                self.lookups(((name, argument),), exact=False)
            else:
                self.expressions(argument, names=False)
