"""Django's models: which classes are tables, under which names, how they hang together, and their managers."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cache_strategy.profile.orms._base import Mapped, Relation, TableFound
from cache_strategy.profile.orms.django import settings
from cache_strategy.profile.program import ClassInfo
from cache_strategy.profile.source_text import last_name
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    Constant,
    External,
    Instance,
    Made,
    Value,
    is_true,
    text_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

MODEL, MANAGER, ORM = "django.db.models.Model", "django.db.models.Manager", "django"
_FOREIGN = ("ForeignKey", "OneToOneField", "TreeForeignKey", "ParentalKey", "AutoOneToOneField")
_MANY = ("ManyToManyField", "ParentalManyToManyField", "SortedManyToManyField", "TreeManyToManyField")
_GENERIC = ("GenericRelation", "GenericForeignKey", "TaggableManager")
_ACTIONS = {"CASCADE": "CASCADE", "SET_NULL": "SET NULL", "SET_DEFAULT": "SET DEFAULT", "SET": "SET NULL"}


@dataclass(slots=True)
class Model(Mapped):
    """
    A model. `name` is its class's in lower case, `bases` are the models with tables of their own that it derives from.

    `reverse` are relationships under the names that lookups know them by, `managers` the classes of its managers by
    attribute (-1 for the plain one) with the default one first, `unique` the attributes that no two rows share.
    """

    label: str = ""
    name: str = ""
    bases: "list[Model]" = field(default_factory=list)
    reverse: dict[str, Relation] = field(default_factory=dict)
    managers: dict[str, int] = field(default_factory=dict)
    unique: set[str] = field(default_factory=set)
    generic: set[str] = field(default_factory=set)

    def relation(self, name: str) -> Relation | None:
        """A relationship by the name that lookups or rows know it by, also of a parent."""
        found = self.relations.get(name) or self.reverse.get(name)
        return found or next((r for b in self.bases if (r := b.relation(name))), None)

    def is_forward(self, name: str) -> bool:
        """Whether a relationship is a foreign key of the row itself: its column answers without a join."""
        return f"{name}_id" in self.columns or any(base.is_forward(name) for base in self.bases)

    def key(self) -> str:
        return self.columns.get(self.primary_key[0], self.primary_key[0])

    def fields(self) -> list[str]:
        bare = {name: name.removesuffix("_id") for name in self.columns}
        own = [b if b in self.relations else n for n, b in bare.items()]
        many = [n for n, r in self.relations.items() if r.secondary and n not in self.reverse]
        return list(dict.fromkeys([*(n for b in self.bases for n in b.fields()), *own, *many]))


def model_named(analysis: "Analysis", text: str, label: str = "") -> Model | None:
    """The model that "app.Model" or "Model" means."""
    named: list[Model] = analysis.notes["django models"].get(text.rpartition(".")[2].lower(), [])
    label = text.rpartition(".")[0] or label
    return next((m for m in named if m.label == label), named[0] if len(named) == 1 else None)


def user_model(analysis: "Analysis") -> Model | None:
    """The model of users: what AUTH_USER_MODEL says, else Django's own."""
    return model_named(analysis, settings.text(analysis, "AUTH_USER_MODEL") or "auth.User")


def field_kind(value: Value) -> str:
    """The last name of a field's class ("ForeignKey"); "" for what is no field."""
    path = value.path.removesuffix("()") if isinstance(value, Made | External) else ""
    last = path.rpartition(".")[2]
    is_field = last.endswith("Field") or last in (*_FOREIGN, *_GENERIC)
    return last if is_field and not path.startswith(("django.forms.", "rest_framework.")) else ""


def is_manager(analysis: "Analysis", index: int) -> bool:
    return any("Manager" in path and not path.startswith("taggit") for path in analysis.mro(index)[1])


def is_query_class(analysis: "Analysis", index: int) -> bool:
    return is_manager(analysis, index) or any("QuerySet" in path for path in analysis.mro(index)[1])


class Reader:
    """Finds every model of production code and of the library."""

    def __init__(self, analysis: "Analysis") -> None:
        self.analysis = analysis
        self.folders: dict[str, str] = {}
        self.related: list[tuple[Model, str, Made]] = []
        self.done: set[int] = set()

    def read(self) -> None:
        analysis = self.analysis
        for info in analysis.classes:
            if "django.apps.AppConfig" in analysis.mro(info.index)[1]:
                name = self.text(info.index, "label") or self.text(info.index, "name").rpartition(".")[2]
                self.folders[analysis.modules[info.module].path.rpartition("/")[0]] = name
        for module in analysis.modules:
            folder, _, file = module.path.rpartition("/")
            if not module.is_test and (file == "models.py" or folder.endswith("/models")):
                folder = folder.removesuffix("/models")
                self.folders.setdefault(folder, folder.rpartition("/")[2])
        library = analysis.notes["library modules"]
        for info in analysis.classes:
            if not analysis.modules[info.module].is_test or info.module in library:
                self.model(info)
        models = [m for m in analysis.mapped.values() if isinstance(m, Model) and self.is_installed(m)]
        analysis.mapped.clear()
        for model in models:
            analysis.mapped[model.index] = model
            analysis.notes["django models"].setdefault(model.name, []).append(model)
        for model, name, made in self.related:
            if model.index in analysis.mapped:
                self.relate(model, name, made)

    def text(self, index: int, name: str) -> str:
        return text_in(self.analysis.attribute_of(index, name)) or "" if index >= 0 else ""

    def is_installed(self, model: Model) -> bool:
        """Whether a model of the library is one of this project."""
        apps = {
            part for name in settings.names_in(self.analysis, "INSTALLED_APPS") for part in name.split(".")
        }
        user = settings.text(self.analysis, "AUTH_USER_MODEL") or "auth.User"
        is_other = model.name == "user" and user != "auth.User"
        return not model.path.startswith("<") or ((not apps or model.label in apps) and not is_other)

    def label(self, info: ClassInfo) -> str:
        """The label of the app in which a class is: that of the nearest folder around it that is an app."""
        path = self.analysis.modules[info.module].path
        folder = path.rpartition("/")[0]
        while folder and folder not in self.folders:
            folder = folder.rpartition("/")[0]
        return self.folders.get(folder) or path.split("/")[0].removesuffix(".py")

    # --- classes

    def model(self, info: ClassInfo) -> Model | None:
        analysis = self.analysis
        known = analysis.mapped.get(info.index)
        if info.index in self.done:
            return known if isinstance(known, Model) else None
        self.done.add(info.index)
        classes, externals = analysis.mro(info.index)
        meta = info.classes.get("Meta", -1)
        if MODEL not in externals and not (externals and self.has_fields(classes)):
            return None
        parents = [m for c in classes[1:] if (m := self.model(analysis.classes[c])) is not None]
        if self.says(meta, "abstract"):
            return None
        path, name = analysis.modules[info.module].path, info.name.lower()
        label = self.text(meta, "app_label") or self.label(info)
        model = Model(info.index, ORM, "", path, info.line, explicit=True, label=label, name=name)
        model.bases = [m for m in parents if not any(m in p.bases for p in parents)]
        is_proxy = bool(parents) and self.says(meta, "proxy")
        named = self.text(meta, "db_table").replace('"', "").rpartition(".")[2]
        model.table = parents[0].table if is_proxy else named or f"{label}_{name}"
        model.tables = tuple(dict.fromkeys([model.table, *(t for b in model.bases for t in b.tables)]))
        inherited = {c for p in parents for c in analysis.mro(p.index)[0]}
        for ancestor in reversed([c for c in classes if c not in inherited]):
            self.attributes(model, ancestor)
        for base in model.bases:
            model.managers |= {n: k for n, k in base.managers.items() if n not in model.managers}
        if is_proxy:
            model.columns, model.primary_key = {**parents[0].columns, **model.columns}, parents[0].primary_key
        elif model.bases and not model.primary_key:
            base, pointer = model.bases[0], f"{model.bases[0].name}_ptr_id"
            model.columns[pointer], model.primary_key = pointer, (pointer,)
            model.parents[pointer], model.on_delete[pointer] = f"{base.table}.{base.key()}", "CASCADE"
            base.reverse[name] = base.relations[name] = Relation(info.index, False)
        elif not model.primary_key:
            model.columns, model.primary_key = {"id": "id", **model.columns}, ("id",)
        analysis.mapped[info.index] = model
        return model

    def has_fields(self, classes: list[int]) -> bool:
        """Whether a class that derives from a package's class is a model: it has fields as models have them."""
        return any(
            isinstance(v, Made) and v.path.startswith("django.db.models.") and field_kind(v)
            for c in classes
            for name, (value, *_) in self.analysis.classes[c].attributes.items()
            if value and value[0] == "call" and last_name(value).endswith(("Field", "Key"))
            for v in self.analysis.class_attribute(c, name)
        )

    def says(self, meta: int, name: str) -> bool:
        info = self.analysis.classes[meta]
        return meta >= 0 and name in info.attributes and is_true(self.analysis.class_attribute(meta, name))

    def attributes(self, model: Model, owner: int) -> None:
        for name, (node, *_) in self.analysis.classes[owner].attributes.items():
            for value in self.analysis.class_attribute(owner, name) if node and node[0] == "call" else ():
                manager = self.manager(value)
                if manager is not None:
                    model.managers = {**{n: k for n, k in model.managers.items() if n != name}, name: manager}
                elif field_kind(value):
                    self.field(model, name, value)

    def manager(self, value: Value) -> int | None:
        """The class whose methods a manager has; -1 for a plain one, None for what is no manager."""
        index = value.index if isinstance(value, Instance) else value.owner if isinstance(value, Made) else -1
        if index >= 0 and is_query_class(self.analysis, index):
            return index
        if isinstance(value, Made) and value.path == MANAGER + "()":
            return next((v.index for a in value.args for v in a if isinstance(v, ClassRef)), -1)
        return -1 if isinstance(value, External) and value.path.endswith("Manager()") else None

    def field(self, model: Model, name: str, value: Value) -> None:
        kind, made = field_kind(value), value if isinstance(value, Made) else Made("", ("", 0))
        if kind in (*_MANY, *_GENERIC, *_FOREIGN):
            self.related.append((model, name, made))
        if kind == "GenericForeignKey":
            model.generic.add(name)
        if kind in (*_MANY, *_GENERIC):
            return
        attribute = f"{name}_id" if kind in _FOREIGN else name
        model.columns[attribute] = text_in(made.keyword("db_column")) or attribute
        if is_true(made.keyword("primary_key")):
            model.primary_key = (attribute,)
        elif is_true(made.keyword("unique")) or kind == "OneToOneField":
            model.unique.add(attribute)

    # --- relationships

    def target(self, model: Model, made: Made, name: str) -> Model | None:
        for value in made.keyword(name) or (made.args[0] if made.args and name == "to" else NOTHING):
            found: Mapped | None = self.analysis.model(value)
            text = value.value if isinstance(value, Constant) else ""
            if text == "self":
                return model
            if isinstance(value, External) and value.path.endswith("AUTH_USER_MODEL"):
                found = user_model(self.analysis)
            elif isinstance(text, str) and text:
                found = model_named(self.analysis, text, model.label)
            if isinstance(found, Model):
                return found
        return None

    def relate(self, model: Model, name: str, made: Made) -> None:
        kind, target = field_kind(made), self.target(model, made, "to")
        if kind == "TaggableManager":
            target = model_named(self.analysis, "taggit.Tag")
        if target is None:
            return
        if kind in _GENERIC:
            between = "taggit_taggeditem" if kind == "TaggableManager" else ""
            model.relations[name] = Relation(target.index, True, between, lazy=True, cascades=not between)
            return
        related = text_in(made.keyword("related_name")) or ""
        related = related.replace("%(class)s", model.name).replace("%(app_label)s", model.label)
        single = kind == "OneToOneField" or is_true(made.keyword("unique"))
        accessor = related or (model.name if single else f"{model.name}_set")
        if kind in _MANY:
            between = self.between(model, name, target, made)
            model.relations[name] = Relation(target.index, True, between, lazy=True)
            back = Relation(model.index, True, between, lazy=True)
            if target is model and not related and not made.keyword("symmetrical"):
                return
        else:
            said = made.keyword("on_delete") or (made.args[1] if len(made.args) > 1 else NOTHING)
            action = next(
                (v.path.rstrip("()").rpartition(".")[2] for v in said if isinstance(v, External | Made)),
                "CASCADE",
            )
            column = model.columns[f"{name}_id"]
            model.parents[column] = f"{target.table}.{target.key()}"
            model.on_delete[column] = _ACTIONS.get(action, action)
            model.relations[name] = Relation(target.index, False)
            back = Relation(model.index, not single, lazy=not single)
        if not related.endswith("+"):
            target.relations.setdefault(accessor, back)
            target.reverse.setdefault(
                text_in(made.keyword("related_query_name")) or related or model.name, back
            )

    def between(self, model: Model, name: str, target: Model, made: Made) -> str:
        through = self.target(model, made, "through")
        if through is not None:
            return through.table
        table = (text_in(made.keyword("db_table")) or f"{model.table}_{name}").replace('"', "")
        ends = ("from_", "to_") if target is model else ("", "")
        columns = {
            f"{end}{m.name}_id": f"{m.table}.{m.key()}" for end, m in zip(ends, (model, target), strict=True)
        }
        deleted = dict.fromkeys(columns, "CASCADE")
        self.analysis.tables[table] = TableFound(
            table, *made.place, ("id", *columns), ("id",), columns, deleted
        )
        return table
