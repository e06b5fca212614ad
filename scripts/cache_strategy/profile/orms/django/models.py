"""Django's models: which classes are tables, under which names, how they hang together, and their managers."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cache_strategy.profile.orms._base import Mapped, Relation, TableFound
from cache_strategy.profile.orms.django.settings import names_in
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
    Values,
    is_true,
    text_in,
    texts_in,
)

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis

MODEL = "django.db.models.Model"
ORM = "django"
_FOREIGN = (
    "ForeignKey",
    "OneToOneField",
    "TreeForeignKey",
    "ParentalKey",
    "AutoOneToOneField",
    "TreeOneToOneField",
)
_MANY = ("ManyToManyField", "ParentalManyToManyField", "SortedManyToManyField", "TreeManyToManyField")
_GENERIC = ("GenericRelation", "GenericForeignKey")
_TAGS = ("TaggableManager", "ClusterTaggableManager")
STRUCTURAL = (
    "django.db.models.", "django.contrib.postgres.", "django.contrib.gis.db.models.", "django.contrib.contenttypes.fields.",
    "mptt.", "modelcluster.", "taggit.", "sortedm2m.", "annoying.", "treebeard.", "picklefield.", "jsonfield.",
    "autoslug.", "django_extensions.db.", "model_utils.", "polymorphic.", "phonenumber_field.", "django_countries.",
)  # fmt: skip


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


def start(analysis: "Analysis") -> None:
    """Finds every model of production code and of the library."""
    Reader(analysis).read()


def model_named(analysis: "Analysis", text: str, near: "Model | None" = None) -> "Model | None":
    """The model that "app.Model" or "Model" means."""
    label, _, name = text.rpartition(".")
    named = analysis.notes["django models"].get(name.lower(), [])
    label = label or (near.label if near is not None else "")
    return next((m for m in named if m.label == label), named[0] if len(named) == 1 else None)


def user_model(analysis: "Analysis") -> "Model | None":
    """The model of users: what AUTH_USER_MODEL says, else Django's own."""
    known = analysis.notes["django"]
    if "user" not in known:
        text = text_in(known["settings"].get("AUTH_USER_MODEL", NOTHING)) or "auth.User"
        known["user"] = model_named(analysis, text)
    return known["user"]  # type: ignore[no-any-return]


def kind_of_field(value: Value) -> str:
    """The last name of a field's class ("ForeignKey"); "" for what is no field."""
    if not isinstance(value, Made | External) or not value.path.endswith("()"):
        return ""
    last = value.path[:-2].rpartition(".")[2]
    known = last.endswith("Field") or last in (*_FOREIGN, *_GENERIC, *_TAGS)
    return last if known and not value.path.startswith(("django.forms.", "rest_framework.")) else ""


class Reader:
    """Reads the classes of one run."""

    def __init__(self, analysis: "Analysis") -> None:
        self.analysis = analysis
        self.folders: dict[str, str] = {}
        self.fields: list[tuple[Model, str, Value]] = []
        self.done: set[int] = set()

    def read(self) -> None:
        analysis = self.analysis
        library = analysis.notes["library modules"]
        for info in analysis.classes:
            if "django.apps.AppConfig" in analysis.mro(info.index)[1]:
                name = self.text(info.index, "name")
                folder = analysis.modules[info.module].path.rpartition("/")[0]
                self.folders[folder] = self.text(info.index, "label") or name.rpartition(".")[2]
        for module in analysis.modules:
            folder, _, file = module.path.rpartition("/")
            if not module.is_test and (file == "models.py" or folder.endswith("/models")):
                folder = folder.removesuffix("/models")
                self.folders.setdefault(folder, folder.rpartition("/")[2])
        models: list[Model] = []
        for info in analysis.classes:
            if not analysis.modules[info.module].is_test or info.module in library:
                found = self.model(info)
                if found is not None and found not in models:
                    models.append(found)
        models = [m for m in models if self.is_installed(m)]
        names: dict[str, list[Model]] = analysis.notes.setdefault("django models", {})
        for model in models:
            names.setdefault(model.name, []).append(model)
        for model, name, value in self.fields:
            self.relate(model, name, value)
        self.inherit(models)

    def is_installed(self, model: Model) -> bool:
        """Whether a model of the library is one of this project; the others are forgotten."""
        if not model.path.startswith("<"):
            return True
        apps = {part for name in names_in(self.analysis, "INSTALLED_APPS") for part in name.split(".")}
        user = text_in(self.analysis.notes["django"]["settings"].get("AUTH_USER_MODEL", NOTHING))
        found = (not apps or model.label in apps) and not (
            model.name == "user" and user and user != "auth.User"
        )
        if not found:
            del self.analysis.mapped[model.index]
        return found

    def text(self, index: int, name: str) -> str:
        member = self.analysis.member(index, name)
        if member is None or member[0] != "attribute":
            return ""
        return text_in(self.analysis.class_attribute(member[2], name)) or ""

    def label(self, info: ClassInfo) -> str:
        """The label of the app in which a class is: that of the nearest folder around it that is an app."""
        folder = self.analysis.modules[info.module].path.rpartition("/")[0]
        while folder and folder not in self.folders:
            folder = folder.rpartition("/")[0]
        return self.folders.get(folder) or self.analysis.modules[info.module].path.split("/")[0].removesuffix(
            ".py"
        )

    # --- classes

    def model(self, info: ClassInfo) -> Model | None:
        analysis = self.analysis
        known = analysis.mapped.get(info.index)
        if info.index in self.done:
            return known if isinstance(known, Model) else None
        self.done.add(info.index)
        classes, externals = analysis.mro(info.index)
        if MODEL not in externals and not self.looks_mapped(classes, externals):
            return None
        parents = [m for c in classes[1:] if (m := self.model(analysis.classes[c])) is not None]
        meta = info.classes.get("Meta", -1)
        if self.says(meta, "abstract") or (not info.attributes and info.qualname == "Model"):
            return None
        module = analysis.modules[info.module]
        label = (self.text(meta, "app_label") if meta >= 0 else "") or self.label(info)
        model = Model(
            info.index, ORM, "", module.path, info.line, explicit=True, label=label, name=info.name.lower()
        )
        proxied = parents[0] if parents and self.says(meta, "proxy") else None
        inherited = dict.fromkeys(c for p in parents for c in (p.index, *analysis.mro(p.index)[0]))
        model.bases = list({id(m): m for m in parents if not any(m in p.bases for p in parents)}.values())
        table = (self.text(meta, "db_table") if meta >= 0 else "").replace('"', "").rpartition(".")[2]
        model.table = proxied.table if proxied is not None else table or f"{label}_{model.name}"
        model.tables = tuple(dict.fromkeys([model.table, *(t for b in model.bases for t in b.tables)]))
        for ancestor in reversed([c for c in classes if c not in inherited]):
            self.attributes(model, ancestor)
        if model.bases and proxied is None and not model.primary_key:
            base = model.bases[0]
            pointer = f"{base.name}_ptr_id"
            model.columns[pointer], model.primary_key = pointer, (pointer,)
            model.parents[pointer], model.on_delete[pointer] = f"{base.table}.{_key(base)}", "CASCADE"
            base.reverse[model.name] = base.relations[model.name] = Relation(info.index, False)
        elif model.bases:
            model.primary_key = model.bases[0].primary_key
        elif not model.primary_key:
            model.columns = {"id": "id", **model.columns}
            model.primary_key = ("id",)
        for base in model.bases:
            for name, kind in base.managers.items():
                model.managers.setdefault(name, kind)
        analysis.mapped[info.index] = model
        return model

    def looks_mapped(self, classes: list[int], externals: list[str]) -> bool:
        """Whether a class that derives from a package's class is a model: it has fields as models have them."""
        return any(not path.startswith("builtins.") for path in externals) and any(
            isinstance(v, Made) and v.path.startswith("django.db.models.") and kind_of_field(v)
            for c in classes
            for name, (value, _, _) in self.analysis.classes[c].attributes.items()
            if value is not None and value[0] == "call" and last_name(value).endswith(("Field", "Key"))
            for v in self.analysis.class_attribute(c, name)
        )

    def says(self, meta: int, name: str) -> bool:
        return (
            meta >= 0
            and name in self.analysis.classes[meta].attributes
            and is_true(self.analysis.class_attribute(meta, name))
        )

    def attributes(self, model: Model, owner: int) -> None:
        for name, (node, _, _) in self.analysis.classes[owner].attributes.items():
            if node is None or node[0] not in ("call", "name"):
                continue
            for value in self.analysis.class_attribute(owner, name):
                manager = self.manager(value)
                if manager is not None:
                    model.managers.pop(name, None)
                    model.managers = {**model.managers, name: manager}
                elif kind_of_field(value):
                    self.field(model, name, value)

    def manager(self, value: Value) -> int | None:
        """The class whose methods a manager has; -1 for a plain one, None for what is no manager."""
        if isinstance(value, Instance) and is_manager(self.analysis, value.index):
            return value.index
        if isinstance(value, Made) and value.owner >= 0 and is_query_class(self.analysis, value.owner):
            return value.owner
        if isinstance(value, Made) and value.path == MANAGER + "()":
            return next((v.index for a in value.args for v in a if isinstance(v, ClassRef)), -1)
        return -1 if isinstance(value, External) and value.path.endswith("Manager()") else None

    def field(self, model: Model, name: str, value: Value) -> None:
        kind = kind_of_field(value)
        keyword = value.keyword if isinstance(value, Made) else (lambda _: NOTHING)
        if kind in (*_MANY, *_GENERIC, *_TAGS):
            self.fields.append((model, name, value))
            if kind == "GenericForeignKey":
                model.generic.add(name)
            return
        attribute = f"{name}_id" if kind in _FOREIGN else name
        model.columns[attribute] = text_in(keyword("db_column")) or attribute
        if kind in _FOREIGN:
            self.fields.append((model, name, value))
        if is_true(keyword("primary_key")):
            model.primary_key = (attribute,)
        if is_true(keyword("unique")) or is_true(keyword("primary_key")) or kind == "OneToOneField":
            model.unique.add(attribute)

    # --- relationships

    def target(self, model: Model, made: Made) -> Model | None:
        for value in (made.args[0] if made.args else NOTHING) or made.keyword("to"):
            found: Mapped | None = None
            if isinstance(value, ClassRef):
                found = self.analysis.mapped.get(value.index)
            elif isinstance(value, External) and value.path.endswith("AUTH_USER_MODEL"):
                found = user_model(self.analysis)
            elif isinstance(value, Constant) and isinstance(value.value, str):
                if value.value == "self":
                    return model
                is_user = value.value == text_in(
                    self.analysis.notes["django"]["settings"].get("AUTH_USER_MODEL", NOTHING)
                )
                found = (
                    user_model(self.analysis) if is_user else model_named(self.analysis, value.value, model)
                )
            if isinstance(found, Model):
                return found
        return None

    def relate(self, model: Model, name: str, value: Value) -> None:
        if not isinstance(value, Made):
            return
        kind = kind_of_field(value)
        if kind in _TAGS:
            self.tags(model, name, value)
            return
        target = self.target(model, value)
        if target is None:
            return
        if kind == "GenericRelation":
            model.relations[name] = Relation(target.index, True, lazy=True, cascades=True)
            return
        related = text_in(value.keyword("related_name")) or ""
        related = related.replace("%(class)s", model.name).replace("%(app_label)s", model.label)
        query_name = text_in(value.keyword("related_query_name")) or related or model.name
        if kind in _MANY:
            secondary = self.through(model, name, target, value)
            model.relations[name] = Relation(target.index, True, secondary, lazy=True)
            back = Relation(model.index, True, secondary, lazy=True)
            accessor = related or f"{model.name}_set"
            if (
                target is model
                and not related
                and value.keyword("symmetrical") != frozenset({Constant(False)})
            ):
                return
        else:
            given = value.keyword("on_delete") or (value.args[1] if len(value.args) > 1 else NOTHING)
            action = next((a for v in given if (a := _action(v))), "")
            column = model.columns[f"{name}_id"]
            model.parents[column] = f"{target.table}.{_key(target)}"
            model.on_delete[column] = action or "CASCADE"
            model.relations[name] = Relation(target.index, False)
            single = kind == "OneToOneField" or is_true(value.keyword("unique"))
            back = Relation(model.index, not single, lazy=not single)
            accessor = related or (model.name if single else f"{model.name}_set")
        if not related.endswith("+"):
            target.relations.setdefault(accessor, back)
            target.reverse.setdefault(query_name, back)

    def through(self, model: Model, name: str, target: Model, made: Made) -> str:
        """The table of a many-to-many relationship."""
        for value in made.keyword("through"):
            found: Mapped | None = None
            if isinstance(value, ClassRef):
                found = self.analysis.mapped.get(value.index)
            elif isinstance(value, Constant) and isinstance(value.value, str):
                found = model_named(self.analysis, value.value, model)
            if found is not None:
                return found.table
        table = (text_in(made.keyword("db_table")) or f"{model.table}_{name}").replace('"', "")
        ends = (f"from_{model.name}_id", f"to_{model.name}_id") if target is model else (
            f"{model.name}_id", f"{target.name}_id")  # fmt: skip
        self.analysis.tables[table] = TableFound(
            table, *made.place, ("id", *ends), ("id",),
            {ends[0]: f"{model.table}.{_key(model)}", ends[1]: f"{target.table}.{_key(target)}"},
            dict.fromkeys(ends, "CASCADE"),
        )  # fmt: skip
        return table

    def tags(self, model: Model, name: str, made: Made) -> None:
        """django-taggit: the tags of a row are those of a generic many-to-many relationship."""
        tag = model_named(self.analysis, "taggit.Tag")
        own = next(
            (self.analysis.mapped.get(v.index) for v in made.keyword("through") if isinstance(v, ClassRef)),
            None,
        )
        if tag is not None:
            secondary = own.table if own is not None else "taggit_taggeditem"
            model.relations[name] = Relation(tag.index, True, secondary, lazy=True)

    def inherit(self, models: list[Model]) -> None:
        """What a model that has the table of its parent shares with it, and the tables that rows of several models share."""
        for model in models:
            for base in model.bases:
                if base.table == model.table:
                    model.columns = {**base.columns, **model.columns}


MANAGER = "django.db.models.Manager"
QUERYSET = "django.db.models.QuerySet"


def is_manager(analysis: "Analysis", index: int) -> bool:
    """Whether a class is a manager."""
    return any("Manager" in path and not path.startswith("taggit") for path in analysis.mro(index)[1])


def is_query_class(analysis: "Analysis", index: int) -> bool:
    """Whether a class is a manager or a query set."""
    return is_manager(analysis, index) or any("QuerySet" in path for path in analysis.mro(index)[1])


def fields_of(model: Model) -> list[str]:
    """The names of a model's own fields as forms and serializers know them."""
    names = [
        name.removesuffix("_id") if name.removesuffix("_id") in model.relations else name
        for name in model.columns
    ]
    many = [n for n, r in model.relations.items() if r.many and r.secondary and n not in model.reverse]
    return list(dict.fromkeys([*(n for b in model.bases for n in fields_of(b)), *names, *many]))


def _key(model: Model) -> str:
    return model.columns.get(model.primary_key[0], model.primary_key[0]) if model.primary_key else "id"


def _action(value: Value) -> str:
    """What happens to a row when the one that it points to is deleted."""
    last = value.path.rstrip("()").rpartition(".")[2] if isinstance(value, External | Made) else ""
    return {
        "CASCADE": "CASCADE",
        "SET_NULL": "SET NULL",
        "SET_DEFAULT": "SET DEFAULT",
        "SET": "SET NULL",
    }.get(last, last)


def texts(values: Values) -> list[str]:
    """Literal texts, in lists too."""
    return texts_in(values)
