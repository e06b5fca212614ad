"""Mapped classes and tables: columns, keys, relationships, backrefs."""

import re

from cache_strategy.profile.clauses import flattened
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Facts
from cache_strategy.profile.kinds import Analysis
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms._base import Mapped, Relation, TableFound
from cache_strategy.profile.orms.sqlalchemy.names import DATABASE
from cache_strategy.profile.program import ClassInfo, FunctionInfo
from cache_strategy.profile.source_text import last_name
from cache_strategy.profile.values import (
    NOTHING,
    ClassRef,
    Clause,
    Constant,
    External,
    Instance,
    Made,
    Value,
    Values,
    is_true,
    join,
    literal,
    one,
    text_in,
    texts_in,
)

TABLE = "sqlalchemy.Table()"
VIEW = "cache_strategy.View()"
_COLUMNS = ("sqlalchemy.Column()", "sqlalchemy.mapped_column()", "sqlalchemy.Field()")
_OF_SQLMODEL = "sqlalchemy.Relationship()"
_RELATIONS = (
    *("sqlalchemy.relationship()", "sqlalchemy.relation()", "sqlalchemy.dynamic_loader()"),
    _OF_SQLMODEL,
)
STRUCTURAL = frozenset({*_COLUMNS, *_RELATIONS, TABLE, DATABASE, VIEW}).union(
    f"sqlalchemy.{name}()"
    for name in """ForeignKey ForeignKeyConstraint PrimaryKeyConstraint backref association_proxy synonym deferred
    column_property declarative_base automap_base""".split()
)
_DECLARATIVE = frozenset(
    """sqlalchemy.DeclarativeBase sqlalchemy.declarative_base() sqlalchemy.automap_base()
    sqlalchemy.DeclarativeBaseNoMeta flask_sqlalchemy.SQLAlchemy().Model flask_sqlalchemy.Model sqlmodel.SQLModel
    sqlalchemy.AbstractConcreteBase sqlalchemy.ConcreteBase flask_sqlalchemy.model.Model
    flask_appbuilder.Model""".split()
)
_PLAIN_BASES = frozenset("builtins.object abc.ABC typing.Protocol".split())
_BASES = ("sqlalchemy.DeclarativeBase", "sqlalchemy.DeclarativeBaseNoMeta")
_FLASK = frozenset({"flask_sqlalchemy.SQLAlchemy().Model"})
_WRAPPING = ("sqlalchemy.deferred()", "sqlalchemy.column_property()")
_CAMEL = re.compile(r"((?<=[a-z0-9])[A-Z]|(?!^)[A-Z](?=[a-z]))")


def bases(frame: "Frame", value: Value) -> Values | None:
    """The classes that an external base brings along: `model_class=` of Flask-SQLAlchemy, `cls=` of declarative_base."""
    if isinstance(value, Made) and value.path in (
        "sqlalchemy.declarative_base()",
        "sqlalchemy.automap_base()",
    ):
        return frozenset(v for v in value.keyword("cls") if isinstance(v, ClassRef))
    return None


def model_base(value: Made) -> Values:
    """What `db.Model` is: Flask-SQLAlchemy's class and the one that was given to `SQLAlchemy(model_class=…)`."""
    given = frozenset(v for v in value.keyword("model_class") if isinstance(v, ClassRef | Made))
    return given | one(External(DATABASE + ".Model"))


def start(analysis: Analysis) -> None:
    _Reader(analysis).read()


class _Reader:
    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.by_name: dict[str, list[int]] = {}
        self.columns_made: dict[Value, tuple[str, str]] = {}
        self.foreign: list[tuple[Mapped | TableFound, str, Made]] = []
        self.relations: list[tuple[Mapped, str, Made, Node | None, int]] = []
        self.proxies: list[tuple[Mapped, str, Made]] = []
        self.done: set[int] = set()

    def read(self) -> None:
        program = self.analysis.program
        for module in program.modules:
            for name, bound in () if module.is_test else program.bindings(module).items():
                if any(b[0] in ("value", "declared") and _calls(b[1], "Table") for b in bound):
                    for value in self.analysis.global_value(module, name) or NOTHING:
                        if isinstance(value, Made) and value.path == TABLE:
                            self.table(value)
        for info in program.classes:
            if not program.modules[info.module].is_test:
                self.map_class(info)
        for mapped in self.analysis.mapped.values():
            self.by_name.setdefault(program.classes[mapped.index].name, []).append(mapped.index)
        for owner, column, made in self.foreign:
            self.foreign_key(owner, column, made)
        for mapped, name, made, annotation, defined in self.relations:
            self.relation(mapped, name, made, annotation, defined)
        for mapped, name, made in self.proxies:
            self.proxy(mapped, name, made)

    # --- tables

    def table(self, made: Made) -> TableFound | None:
        name = text_in(made.arg(0))
        if name is None or name in self.analysis.tables:
            return self.analysis.tables.get(name or "")
        found = self.analysis.tables[name] = TableFound(name, *made.place)
        for value in (v for argument in made.args[1:] for v in argument if isinstance(v, Made)):
            if value.path in _COLUMNS:
                column = text_in(value.arg(0)) or ""
                found.columns += (column,)
                self.columns_made[value] = (name, column)
                if is_true(value.keyword("primary_key")):
                    found.primary_key += (column,)
                self.note_foreign(found, column, value)
            elif value.path == "sqlalchemy.ForeignKeyConstraint()":
                self.constraint(found, value)
        return found

    def note_foreign(self, owner: Mapped | TableFound, column: str, made: Made) -> None:
        for argument in (*made.args, *(v for _, v in made.keywords)):
            for value in argument:
                if isinstance(value, Made) and value.path == "sqlalchemy.ForeignKey()":
                    self.foreign.append((owner, column, value))
        text = text_in(made.keyword("foreign_key"))
        if text is not None:
            owner.parents[column] = _without_schema(text)
            action = text_in(made.keyword("ondelete"))
            if action:
                owner.on_delete[column] = action.upper()

    def foreign_key(self, owner: Mapped | TableFound, column: str, made: Made) -> None:
        for value in made.arg(0):
            target = _without_schema(literal(value) or "")
            if isinstance(value, Clause) and value.column is not None:
                target = ".".join(value.column)
            elif value in self.columns_made:
                target = ".".join(self.columns_made[value])
            if target:
                owner.parents[column] = target
        action = text_in(made.keyword("ondelete"))
        if action:
            owner.on_delete[column] = action.upper()

    def constraint(self, owner: Mapped | TableFound, made: Made) -> None:
        action = text_in(made.keyword("ondelete"))
        for column, target in zip(texts_in(made.arg(0)), texts_in(made.arg(1)), strict=False):
            owner.parents[column] = _without_schema(target)
            if action:
                owner.on_delete[column] = action.upper()

    # --- classes

    def map_class(self, info: ClassInfo) -> Mapped | None:
        analysis = self.analysis
        known = analysis.mapped.get(info.index)
        if info.index in self.done or known is not None:
            return known if known is not None and known.orm == "sqlalchemy" else None
        self.done.add(info.index)
        classes, externals = analysis.mro(info.index)
        parents = [m for m in (self.map_class(analysis.classes[c]) for c in classes[1:]) if m is not None]
        declarative = bool(_DECLARATIVE.intersection(externals)) or _is_dataclass_mapped(info)
        has_name = analysis.member(info.index, "__tablename__") or analysis.member(info.index, "__table__")
        is_table = has_name and self.has_columns(info.index) and not self.is_mixin(classes)
        if not declarative and not parents and not is_table:
            return None
        if (
            "__abstract__" in info.attributes
            or self.is_base(info)
            or ("sqlmodel.SQLModel" in externals and not _says_table(info) and not parents)
        ):
            return None
        module = analysis.modules[info.module]
        mapped = Mapped(info.index, "sqlalchemy", "", module.path, info.line)
        parent = parents[0] if parents else None
        own_key = self.fill(mapped, classes)
        table = self.table_name(info, classes, parent, own_key, externals)
        if not table:
            return None
        mapped.table = table
        inherited = parent.tables if parent is not None and parent.table != table else ()
        mapped.tables = (table, *(t for t in inherited if t != table))
        for made, column, ancestor in self.pending:
            of_parent = analysis.mapped.get(ancestor)
            if of_parent is None or of_parent.table == table:
                self.columns_made[made] = (table, column)
                self.note_foreign(mapped, column, made)
        analysis.mapped[info.index] = mapped
        return mapped

    def is_base(self, info: ClassInfo) -> bool:
        """
        Whether a class is what all models derive from, and no table, whatever name it gives theirs.

        Source: sqlalchemy.orm.DeclarativeBase, whose direct subclasses are not mapped (2.0).
        """
        module = self.analysis.modules[info.module]
        frame = Frame(self.analysis, module, None, None, {}, Facts(), outer=info.outer)
        found = join(*map(frame.expression, info.bases))
        return any(isinstance(v, External) and v.path in _BASES for v in found)

    def is_mixin(self, classes: list[int]) -> bool:
        """Whether all that a class derives from is known, and nothing of it maps: its subclasses are tables."""
        for info in (self.analysis.classes[c] for c in classes):
            frame = Frame(
                self.analysis, self.analysis.modules[info.module], None, None, {}, Facts(), outer=info.outer
            )
            bases = join(*map(frame.expression, info.bases))
            if info.decorators or not all(
                isinstance(v, ClassRef) or (isinstance(v, External) and v.path in _PLAIN_BASES) for v in bases
            ):
                return False
        return True

    def has_columns(self, index: int) -> bool:
        return any(
            name == "__table__" or _calls(value, "Column") or _calls(value, "mapped_column")
            for ancestor in self.analysis.mro(index)[0]
            for name, (value, _, _) in self.analysis.classes[ancestor].attributes.items()
        )

    def fill(self, mapped: Mapped, classes: list[int]) -> bool:
        """Columns and relationships of a class and of what it derives from; whether it names a primary key itself."""
        analysis = self.analysis
        self.pending: list[tuple[Made, str, int]] = []
        key: list[str] = []
        own_key = False
        is_sqlmodel = "sqlmodel.SQLModel" in analysis.mro(mapped.index)[1]
        for ancestor in reversed(classes):
            info = analysis.classes[ancestor]
            for name, (_, annotation, line) in info.attributes.items():
                found = analysis.class_attribute(ancestor, name)
                is_key = self.attribute(mapped, name, found, annotation, line, ancestor)
                if is_key and name not in key:
                    key.append(name)
                if is_key and (ancestor == mapped.index or ancestor not in analysis.mapped):
                    own_key = True
                if is_sqlmodel and annotation is not None and name[0] != "_" and not _is_relation(found):
                    marked = last_name(annotation[2] if annotation[0] == "item" else annotation)
                    if marked != "ClassVar":
                        mapped.columns.setdefault(name, name)
            for name, function in info.methods.items():
                method = analysis.functions[function]
                if any(last_name(d) == "declared_attr" for d in method.decorators) and not name.startswith(
                    "__"
                ):
                    returned = self.declared(method, mapped.index)
                    self.attribute(mapped, name, returned, None, method.line, ancestor)
        mapped.primary_key = tuple(key)
        return own_key

    def declared(self, method: FunctionInfo, index: int) -> Values:
        """What a `declared_attr` says of a class: each of many subclasses has its own."""
        self.analysis.registering = True
        try:
            return self.analysis.context(method, ClassRef(index), {}).returns
        finally:
            self.analysis.registering = False

    def attribute(
        self, mapped: Mapped, name: str, found: Values, annotation: Node | None, line: int, owner: int
    ) -> bool:
        """Takes one attribute of the class body for what it is; True where it is of the primary key."""
        for value in found:
            if isinstance(value, Made) and value.path in _WRAPPING:
                value = next((v for v in value.arg(0) if isinstance(v, Made)), value)
            if not isinstance(value, Made):
                continue
            if value.path in _COLUMNS:
                column = text_in(value.arg(0)) or text_in(value.keyword("name")) or name
                if name == "__table__":
                    continue
                mapped.columns[name] = column
                self.pending.append((value, column, owner))
                return is_true(value.keyword("primary_key"))
            if value.path in _RELATIONS:
                self.relations.append((mapped, name, value, annotation, owner))
                return False
            if value.path == "sqlalchemy.association_proxy()":
                self.proxies.append((mapped, name, value))
                return False
            if value.path == "sqlalchemy.synonym()" or value.path in _WRAPPING:
                mapped.columns[name] = name
                return False
            table = self.table(value) if value.path == TABLE and name == "__table__" else None
            if table is not None:
                mapped.columns.update({column: column for column in table.columns})
                mapped.parents.update(table.parents)
                mapped.primary_key = table.primary_key
        if annotation is not None and _is_mapped_annotation(annotation) and not found - _unknown_only(found):
            mapped.columns.setdefault(name, name)
        return False

    def table_name(
        self, info: ClassInfo, classes: list[int], parent: Mapped | None, own_key: bool, externals: list[str]
    ) -> str:
        analysis = self.analysis
        for ancestor in classes:
            ancestor_info = analysis.classes[ancestor]
            if parent is not None and ancestor == parent.index:
                break
            if "__table__" in ancestor_info.attributes:
                for value in analysis.class_attribute(ancestor, "__table__"):
                    if isinstance(value, Made) and value.path == TABLE and value.args:
                        return text_in(value.arg(0)) or ""
            if "__tablename__" in ancestor_info.attributes:
                return text_in(analysis.class_attribute(ancestor, "__tablename__")) or (
                    parent.table if parent is not None else _snake(info.name)
                )
            if "__tablename__" in ancestor_info.methods:
                method = analysis.functions[ancestor_info.methods["__tablename__"]]
                named = text_in(self.declared(method, info.index))
                return named or _snake(info.name)
        if parent is not None and not (own_key and _FLASK.intersection(externals) and info.attributes):
            return parent.table
        if _FLASK.intersection(externals) and own_key:
            return _snake(info.name)
        if "sqlmodel.SQLModel" in externals:
            return info.name.lower()
        return ""

    # --- relationships

    def relation(self, mapped: Mapped, name: str, made: Made, annotation: Node | None, defined: int) -> None:
        target = self.target(made, annotation, mapped, defined)
        if target is None:
            return
        other = self.analysis.mapped[target]
        secondary = self.secondary(made.keyword("secondary") or made.keyword("link_model") or made.arg(1))
        lazy_text = text_in(made.keyword("lazy")) or ""
        marked = last_name(annotation[2]) if annotation is not None and annotation[0] == "item" else ""
        write_only = lazy_text == "write_only" or marked == "WriteOnlyMapped"
        lazy = write_only or lazy_text == "dynamic" or marked == "DynamicMapped"
        lazy = lazy or made.path.endswith("dynamic_loader()")
        many_rows = self.is_many(mapped, other, made, annotation, secondary)
        mapped.relations[name] = Relation(
            target,
            many_rows,
            secondary,
            lazy and many_rows,
            _cascades(made),
            write_only=write_only,
            passive=bool(made.keyword("passive_deletes")),
            eager=lazy_text in ("joined", "selectin", "subquery", "immediate"),
        )
        for value in made.keyword("backref"):
            settings = value if isinstance(value, Made) else Made("", ("", 0), (one(value),))
            back_name = text_in(settings.arg(0))
            if back_name and back_name not in other.relations:
                back_many = (bool(secondary) or not many_rows) and settings.keyword("uselist") != _FALSE
                lazy = text_in(settings.keyword("lazy")) in ("dynamic", "write_only")
                back = Relation(mapped.index, back_many, secondary, lazy, _cascades(settings))
                other.relations[back_name] = back

    def target(self, made: Made, annotation: Node | None, mapped: Mapped, defined: int) -> int | None:
        for value in made.arg(0, "argument"):
            if isinstance(value, ClassRef) and value.index in self.analysis.mapped:
                return value.index
            text = literal(value)
            if text is not None:
                return self.named(text, mapped)
        if annotation is not None:
            info = self.analysis.classes[defined]
            module = self.analysis.modules[info.module]
            frame = Frame(self.analysis, module, None, None, {}, Facts(), outer=info.outer)
            for value in flattened(frame.annotated(annotation)):
                if isinstance(value, Instance) and value.index in self.analysis.mapped:
                    return value.index
            # names that are imported for type checking only
            named = (self.named(word, mapped) for word in _words(annotation))
            return next((found for found in named if found is not None), None)
        return None

    def named(self, text: str, mapped: Mapped) -> int | None:
        package, _, last = text.rpartition(".")
        classes = self.analysis.classes
        here = classes[mapped.index].module

        def order(index: int) -> tuple[bool, bool, int]:
            module = classes[index].module
            return module != here, not self.analysis.modules[module].name.endswith(package), index

        return min(self.by_name.get(last, []), key=order, default=None)

    def secondary(self, values: Values) -> str:
        for value in values:
            if isinstance(value, Made) and value.path == TABLE and value.args:
                self.table(value)
                return text_in(value.arg(0)) or ""
            model = self.analysis.model(value)
            if literal(value) is not None or model is not None:
                return model.table if model is not None else (literal(value) or "").rpartition(".")[2]
        return ""

    def is_many(
        self, mapped: Mapped, other: Mapped, made: Made, annotation: Node | None, secondary: str
    ) -> bool:
        uselist = made.keyword("uselist")
        if uselist == _FALSE:
            return False
        if annotation is not None and (_is_mapped_annotation(annotation) or made.path == _OF_SQLMODEL):
            return any(word in _COLLECTION_WORDS for word in _words(annotation))
        if secondary or is_true(uselist) or made.path.endswith("dynamic_loader()"):
            return True
        if mapped.table == other.table:
            return not made.keyword("remote_side")
        here = any(parent.rpartition(".")[0] in other.tables for parent in mapped.parents.values())
        there = any(parent.rpartition(".")[0] in mapped.tables for parent in other.parents.values())
        if here and there:
            return text_in(made.keyword("lazy")) == "dynamic" or bool(made.keyword("cascade"))
        return not here

    def proxy(self, mapped: Mapped, name: str, made: Made) -> None:
        attribute = text_in(made.arg(1))
        relation = mapped.relations.get(text_in(made.arg(0)) or "")
        if relation is not None and attribute:
            mapped.relations[name] = Relation(
                relation.target, relation.many, relation.secondary, False, False, attribute
            )


_FALSE = one(Constant(False))
_COLLECTION_WORDS = frozenset("list List set Set Sequence DynamicMapped WriteOnlyMapped Collection".split())


def _cascades(made: Made) -> bool:
    cascade = text_in(made.keyword("cascade")) or ""
    if is_true(made.keyword("cascade_delete")) or made.keyword("sa_relationship_kwargs"):
        return True  # the latter may say so
    return "delete" in cascade or "all" in cascade


def _without_schema(target: str) -> str:
    return ".".join(target.split(".")[-2:])


def _snake(name: str) -> str:
    """Flask-SQLAlchemy's automatic table name. Source: flask_sqlalchemy.model.camel_to_snake_case (2.x and 3.x)."""
    return _CAMEL.sub(lambda match: "_" + match[0].lower(), name).lower().lstrip("_")


def _calls(node: Node | None, name: str) -> bool:
    return node is not None and node[0] == "call" and last_name(node[2]) == name


def _is_dataclass_mapped(info: ClassInfo) -> bool:
    return any(last_name(d) in ("mapped", "mapped_as_dataclass", "as_declarative") for d in info.decorators)


def _says_table(info: ClassInfo) -> bool:
    return any(name == "table" and value == ("const", True) for name, value in info.keywords)


def _is_relation(values: Values) -> bool:
    return any(isinstance(v, Made) and v.path in _RELATIONS for v in values)


def _is_mapped_annotation(node: Node) -> bool:
    return node[0] == "item" and last_name(node[2]) in ("Mapped", "DynamicMapped", "WriteOnlyMapped")


def _unknown_only(found: Values) -> Values:
    return frozenset(v for v in found if not isinstance(v, Made))


def _words(node: Node) -> list[str]:
    if node[0] == "name":
        return [node[2]]
    if node[0] == "attr":
        return [node[3]]
    if node[0] == "item":
        return [*_words(node[2]), *_words(node[3])]
    if node[0] in ("seq", "op"):
        return [word for item in node[2 if node[0] == "seq" else 3] for word in _words(item)]
    return []
