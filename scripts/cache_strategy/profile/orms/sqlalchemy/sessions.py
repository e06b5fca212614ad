"""Sessions, connections, statements: what runs and what is written."""

from cache_strategy.profile import clauses, rows, sql
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.orms._base import Mapped
from cache_strategy.profile.orms.sqlalchemy import queries
from cache_strategy.profile.orms.sqlalchemy.models import STRUCTURAL, TABLE, VIEW
from cache_strategy.profile.orms.sqlalchemy.names import CONNECTION, SESSION, canonical
from cache_strategy.profile.orms.sqlalchemy.queries import BUILDING, ORM, has_star
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Argument,
    ClassRef,
    Clause,
    Constant,
    External,
    Instance,
    Made,
    Many,
    Mapping,
    Parts,
    Query,
    Unknown,
    Value,
    Values,
    join,
    literal,
    many,
    one,
    replace,
    text_in,
)

_ADDING = frozenset("add merge bulk_save_objects add_all save save_or_update".split())
_MAPPINGS = frozenset({"bulk_insert_mappings", "bulk_update_mappings"})
_RUNNING = frozenset("execute scalars scalar stream stream_scalars exec executemany".split())
_ENGINES = (
    CONNECTION + ".",
    *(f"sqlalchemy.{n}()." for n in ("create_engine", "create_async_engine", "Engine", "AsyncEngine")),
)
_MAKERS = frozenset(
    """sessionmaker scoped_session async_sessionmaker async_scoped_session create_engine
    create_async_engine engine_from_config create_session sessionmaker() scoped_session()
    async_sessionmaker() Session()""".split()
)
_LITERALS = frozenset("null true false literal literal_column column bindparam".split())
_RESTING = frozenset(
    """rollback close expire expire_all expunge expunge_all remove is_active no_autoflush invalidate""".split()
)
_OF_DATABASE = frozenset("get_or_404 first_or_404 one_or_404 paginate create_all drop_all".split())
_STATEMENTS = frozenset({"insert", "update", "delete"})
_RESULT_MANY = frozenset(
    """all fetchall fetchmany unique mappings partitions tuples columns yield_per freeze""".split()
)
_RESULT_ONE = frozenset("first one one_or_none fetchone".split())
_RESULT_SCALAR = frozenset({"scalar", "scalar_one", "scalar_one_or_none"})


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    if path.startswith(SESSION + "."):
        return session_call(frame, path[len(SESSION) + 1 :], arguments)
    if path == SESSION:
        return one(External(SESSION))
    if path.startswith(_ENGINES):
        name = path.rpartition(".")[2]
        if name in _RUNNING:
            return execute(frame, name, arguments)
        if name in ("connect", "begin", "raw_connection", "cursor", "execution_options", "begin_nested"):
            frame.facts.commits = frame.facts.commits or name == "begin"
            return one(External(CONNECTION))
        if name == "commit":
            frame.facts.commits = True
        return NOTHING if name in ("commit", "rollback", "close", "dispose") else None
    if not path.startswith("sqlalchemy."):
        return None
    name = path[11:]
    if name in _MAKERS:
        return one(External(canonical(path + "()")))
    if name in _OF_DATABASE and isinstance(receiver, Made | External):
        return _database_call(frame, name, arguments)
    if name == "select":
        return one(queries.select(frame, arguments))
    if name in _STATEMENTS:
        return statement(frame, name, arguments.get(0, "table"), arguments)
    if name.startswith("func."):
        return queries.function_call(name[5:], arguments)
    if name == "col":
        return arguments.get(0)
    if name == "text":
        return text_statement(arguments.get(0, "text"))
    if name in ("aliased", "with_polymorphic"):
        return queries.aliased(frame, arguments.get(0))
    if name in ("and_", "all_", "any_"):
        return _combined(arguments, keep_keys=name == "and_")
    if path + "()" in STRUCTURAL:
        return None
    given = (value for values in arguments.all() for value in clauses.flattened(values))
    if name in _LITERALS or any(isinstance(value, Clause | Query) for value in given):
        return _combined(arguments, keep_keys=False)
    return None


def _combined(arguments: Arguments, keep_keys: bool) -> Values:
    parts = arguments.all()
    keys = clauses.keys_of(parts) if keep_keys and not has_star(arguments) else frozenset()
    return one(clauses.merged(parts, keys))


def method(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values | None:
    if isinstance(receiver, Query):
        if receiver.orm != ORM:
            return None
        return _query_method(frame, receiver, name, arguments)
    if isinstance(receiver, Clause):
        return _clause_method(receiver, name, arguments)
    if isinstance(receiver, Many):
        return _result_method(frame, receiver, name, arguments)
    if isinstance(receiver, Made) and receiver.path == TABLE:
        return _table_method(frame, receiver, name, arguments)
    if isinstance(receiver, Made) and receiver.path == VIEW and name == "query":
        order = text_in(receiver.keyword("order_by"))
        body = (text_in(receiver.keyword("body_sql")) or "").rstrip()
        return one(Constant(f"{body}\nORDER BY {order}" if order else body))
    if isinstance(receiver, ClassRef) and name == "()":
        return _construct(frame, receiver, arguments)
    return None


def _query_method(frame: Frame, query: Query, name: str, arguments: Arguments) -> Values | None:
    if query.relation is not None:
        mapped = frame.analysis.mapped[query.relation[0]]
        relation = mapped.relations[query.relation[1]]
        if name in ("append", "remove", "add", "extend"):
            rows.write_relation(frame, mapped, relation, arguments.node)
            rows.write_new(frame, arguments.get(0), arguments.node)
            return NOTHING
        if name in _STATEMENTS and relation.write_only:
            return statement(frame, name, one(ClassRef(relation.target)), arguments)
    if name in BUILDING:
        return queries.build(frame, query, name, arguments)
    if name in queries._TERMINAL:
        return queries.terminal(frame, query, name, arguments)
    if name in ("in_", "notin_", "not_in", "is_", "like", "ilike", "contains", "any", "desc", "asc"):
        return one(Clause(query.tables, entities=PLAIN))
    # a method of a query class of the application: it narrows the query or runs it
    for values in arguments.positional:
        frame.consume(values, arguments.node)
    queries.run(frame, query, arguments.node)
    return join(one(query), UNKNOWN)


def _clause_method(clause: Clause, name: str, arguments: Arguments) -> Values:
    whole = clauses.merged([one(clause), *arguments.all()])
    if name in ("label", "cast", "alias", "asc", "desc", "nullslast", "nullsfirst", "collate", "distinct"):
        return one(replace(clause, tables=whole.tables, inner=whole.inner))
    if name in ("__eq__", "is_") and clause.column is not None:
        found = rows.key_of_argument(clause.column[0], clause.column[1], arguments.get(0))
        return one(replace(whole, keys=frozenset({found} if found is not None else ())))
    return one(whole)


def _result_method(frame: Frame, result: Many, name: str, arguments: Arguments) -> Values | None:
    if name in _RESULT_MANY:
        return one(Many(result.items))
    if name in _RESULT_ONE:
        return result.items
    if name == "scalars":
        return many(queries.scalar(result.items))
    if name in _RESULT_SCALAR:
        return queries.scalar(result.items)
    return None


def _table_method(frame: Frame, receiver: Made, name: str, arguments: Arguments) -> Values | None:
    if name in _STATEMENTS:
        return statement(frame, name, one(receiver), arguments)
    _, tables, _ = queries.selected(frame, receiver)
    if name in ("select", "join", "outerjoin", "alias", "count"):
        base = Query(ORM, "select", one(Parts((PLAIN,), row=True)), tables, aggregate=name == "count")
        return queries.build(frame, base, "where" if name == "select" else name, arguments)
    if name in ("create", "drop"):
        for table in sorted(tables):
            frame.note_write(table, "ddl", arguments.node)
        return PLAIN
    return None


def _construct(frame: Frame, receiver: ClassRef, arguments: Arguments) -> Values | None:
    """`Model(relationship=rows)`: the session takes it with the row it is given to, association rows with it."""
    mapped = frame.analysis.mapped.get(receiver.index)
    if mapped is None or mapped.orm != ORM:
        return None
    for name, values in arguments.keywords:
        relation = mapped.relations.get(name)
        if relation is None or values <= one(Constant(None)):
            continue
        rows.write_new(frame, values, arguments.node)
        if relation.secondary:
            frame.note_write(relation.secondary, "many-to-many", arguments.node)
    return NOTHING


def statement(frame: Frame, verb: str, target: Values, arguments: Arguments) -> Values:
    """`insert(table)`, `update(Model)`, `delete(table)`: run when a session executes it."""
    tables: set[str] = set()
    for value in target:
        _, names, _ = queries.selected(frame, value)
        tables |= set(sorted(names)[:1]) if isinstance(value, ClassRef) and len(names) > 1 else names
        model = frame.analysis.model(value)
        if model is not None:
            tables = {model.table}
    extra: frozenset[str] = frozenset()
    for values in arguments.positional[1:]:
        for value in clauses.flattened(values):
            if isinstance(value, Clause | Query):
                extra |= value.tables
    return one(Query(ORM, verb, PLAIN, extra, " ".join(sorted(tables)) or "?"))


def text_statement(values: Values) -> Values:
    """`text("SELECT …")`: a statement whose tables the SQL parser finds."""
    text = text_in(values)
    found = sql.read_statement(text) if text is not None else None
    if text is None:
        # put together at run time
        return one(Query(ORM, "select", PLAIN, frozenset({"?"})))
    # what is no statement is a part of a condition
    return one(query_of_statement(found, text)) if found is not None else one(Clause())


def query_of_statement(found: sql.Statement, text: str) -> Query:
    if found.verb == "select":
        aggregated = text if found.aggregate and not found.parameters else ""
        return Query(
            ORM, "select", one(Parts((PLAIN,), row=True)), frozenset(found.reads), aggregate=found.aggregate, joins=found.joins,
            sql=aggregated, inner=frozenset(found.reads),
        )  # fmt: skip
    return Query(ORM, found.verb, PLAIN, frozenset(found.reads), " ".join(found.writes), sql=text)


def execute(frame: Frame, name: str, arguments: Arguments) -> Values:
    found: Values = NOTHING
    given = arguments.get(0, "statement") or arguments.get(0, "clause")
    known = frozenset(v for v in given if isinstance(v, Query | Clause))
    for value in known or given:
        if literal(value) is not None:
            for inner in text_statement(one(value)):
                if isinstance(inner, Query):
                    found = join(found, queries.run(frame, inner, arguments.node))
        elif isinstance(value, Query):
            found = join(found, queries.run(frame, value, arguments.node))
        elif isinstance(value, Clause):
            frame.note_read(sorted(value.tables), arguments.node)
            found = join(found, value.entities or PLAIN)
        else:
            frame.note_read(("?",), arguments.node)
            frame.facts.unknown.add("a statement that is put together elsewhere")
            found = join(found, UNKNOWN)
    if name == "scalar":
        return queries.scalar(found)
    if name in ("scalars", "stream_scalars", "exec"):
        return many(queries.scalar(found))
    return many(found)


def session_call(frame: Frame, name: str, arguments: Arguments) -> Values | None:
    node = arguments.node
    if name == "query":
        return one(queries.select(frame, arguments))
    if name in _RUNNING:
        return execute(frame, name, arguments)
    if name in _ADDING:
        for value in clauses.flattened(
            arguments.get(0, "instance") or arguments.get(0, "objects") or UNKNOWN
        ):
            written(frame, value, node)
        return arguments.get(0) if name == "merge" else NOTHING
    if name == "delete":
        for value in clauses.flattened(arguments.get(0, "instance") or UNKNOWN):
            deleted(frame, value, node)
        return NOTHING
    if name in _MAPPINGS:
        for value in arguments.get(0, "mapper"):
            _, tables, _ = queries.selected(frame, value)
            for table in sorted(tables):
                frame.note_write(table, "bulk", node)
        return NOTHING
    if name in ("get", "get_one"):
        return get_row(frame, arguments)
    if name == "refresh":
        for value in arguments.get(0):
            row = frame.analysis.row(value)
            if row is not None:
                frame.note_read(row.tables, node)
        return NOTHING
    if name in ("commit", "flush"):
        frame.facts.commits = True
        return NOTHING
    if name in _RESTING:
        return NOTHING
    if name in ("begin", "begin_nested", "registry", "__enter__"):
        frame.facts.commits = frame.facts.commits or name == "begin"
        return one(External(SESSION))
    return None


def get_row(frame: Frame, arguments: Arguments) -> Values:
    found: Values = NOTHING
    for value in arguments.get(0, "entity"):
        entity, tables, _ = queries.selected(frame, value)
        query = Query(ORM, "select", entity, tables)
        query = queries.by_primary_key(frame, query, arguments.get(1, "ident"))
        found = join(found, queries.run(frame, query, arguments.node))
    return found or UNKNOWN


def _database_call(frame: Frame, name: str, arguments: Arguments) -> Values | None:
    if name == "get_or_404":
        return get_row(frame, arguments)
    if name in ("first_or_404", "one_or_404", "paginate"):
        items = frame.iterate(execute(frame, "scalars", arguments), arguments.node)
        return queries.page(frame, items, arguments, -1) if name == "paginate" else items
    return NOTHING if name in ("create_all", "drop_all") else None


def written(frame: Frame, value: Value, node: Node) -> None:
    if isinstance(value, Instance):
        mapped = frame.analysis.row(value)
        for table in mapped.tables if mapped is not None else tables_below(frame, value.index) or ["?"]:
            frame.note_write(table, "orm", node)
    elif isinstance(value, Mapping):
        for inner in value.all_values():
            written(frame, inner, node)
    elif not (isinstance(value, Constant) and value.value is None):
        frame.note_write("?", "orm", node)


def deleted(frame: Frame, value: Value, node: Node) -> None:
    row = frame.analysis.row(value)
    found = (
        [row] if row is not None else mapped_below(frame, value.index) if isinstance(value, Instance) else []
    )
    for mapped in found:
        rows.delete(frame, mapped, node)
    if not found and not (isinstance(value, Constant) and value.value is None):
        frame.note_write("?", "orm", node)


def mapped_below(frame: Frame, index: int) -> list[Mapped]:
    return [m for m in frame.analysis.mapped.values() if index in frame.analysis.mro(m.index)[0]]


def tables_below(frame: Frame, index: int) -> list[str]:
    return sorted({mapped.table for mapped in mapped_below(frame, index)})


def unresolved(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values | None:
    """A method of something that is not known, told by its arguments: a session handed in, a cursor."""
    first = arguments.get(0)
    of_model = name in ("query", "get") and any(frame.analysis.model(v) is not None for v in first)
    of_rows = name in ("add", "add_all", "merge", "delete", "bulk_save_objects", "refresh") and any(
        frame.analysis.row(v) is not None for v in clauses.flattened(first)
    )
    if of_model or of_rows or name in _MAPPINGS:
        return session_call(frame, name, arguments)
    if name in _RUNNING and any(isinstance(v, Query) for v in first):
        return execute(frame, name, arguments)
    if isinstance(receiver, Argument | Unknown) and name in ("save", "delete") and not arguments.positional:
        return _row_of_any_class(frame, receiver, name, arguments)
    return None


def _row_of_any_class(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values | None:
    """`something.save()` where mapped classes have such a method: a writer whose table is not known."""
    if not any(frame.analysis.member(mapped, name) is not None for mapped in frame.analysis.mapped):
        return None
    frame.note_write("?", "orm", arguments.node)
    return UNKNOWN
