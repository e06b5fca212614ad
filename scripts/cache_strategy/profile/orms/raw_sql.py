"""SQL given as text to a database driver: psycopg, sqlite3, MySQL drivers, cursors that are handed around."""

from cache_strategy.profile import sql
from cache_strategy.profile.kinds import Frame
from cache_strategy.profile.lowering import Node, line_of
from cache_strategy.profile.orms._base import Orm
from cache_strategy.profile.plugins import Arguments
from cache_strategy.profile.values import (
    NOTHING,
    PLAIN,
    Clause,
    External,
    Query,
    Value,
    Values,
    literal,
    many,
    one,
)

_DRIVERS = (
    "sqlite3.", "psycopg2.", "psycopg.", "psycopg2cffi.", "pymysql.", "MySQLdb.", "mysql.connector.", "asyncpg.",
    "aiosqlite.", "aiomysql.", "aiopg.", "asyncmy.", "psycopg_pool.", "oracledb.", "cx_Oracle.", "pyodbc.", "pymssql.",
    "records.", "databases.",
)  # fmt: skip
_RUNNING = frozenset(
    """execute executemany executescript mogrify fetch fetchrow fetchval fetch_all fetch_one fetch_val
    read_sql read_sql_query execute_values query execute_fetchall execute_insert iterate cursor stream""".split()
)
_ONE = frozenset("fetchrow fetchval fetch_one fetch_val fetchone".split())
_ALL = frozenset("fetchall fetchmany fetchone all fetch iterate fetch_all execute_fetchall".split())


def call(frame: Frame, path: str, receiver: Value | None, arguments: Arguments) -> Values | None:
    """`cursor.execute("SELECT …")`, `pandas.read_sql("SELECT …", connection)`."""
    last = path.rpartition(".")[2]
    if path.startswith(_DRIVERS):
        if last in _RUNNING and not execute(frame, arguments) and (arguments.positional or last != "cursor"):
            frame.facts.unknown.add("a statement that is put together at run time")
            frame.note_read(("?",), arguments.node)
        if last in _ONE:
            return PLAIN
        if last in _ALL:
            return many(PLAIN)
        if last in ("commit", "rollback", "close"):
            frame.facts.commits = frame.facts.commits or last == "commit"
            return NOTHING
        if last[:1].islower():
            return one(External(path.partition("()")[0] + "()"))
        return None
    if last in ("read_sql", "read_sql_query", "execute_values") and execute(frame, arguments):
        return PLAIN
    return None


def unresolved(frame: Frame, receiver: Value, name: str, arguments: Arguments) -> Values | None:
    if name in _RUNNING and execute(frame, arguments):
        return many(PLAIN)
    return None


def execute(frame: Frame, arguments: Arguments) -> bool:
    """Notes what the statement among the arguments does; False where there is none whose text is known."""
    found = False
    for values in (*arguments.positional[:2], *(v for _, v in arguments.keywords)):
        for value in values:
            text = literal(value)
            statement = None if text is None else sql.read_statement(text)
            if statement is not None:
                note(frame, statement, text or "", arguments.node)
                found = True
            elif isinstance(value, Query):
                frame.consume(one(value), arguments.node)
                found = True
            elif isinstance(value, Clause):
                return False
    return found


def note(frame: Frame, statement: sql.Statement, text: str, node: Node) -> None:
    line = line_of(node)
    frame.note_read(statement.reads, node)
    for table in statement.writes:
        frame.note_write(table, "ddl" if statement.verb == "ddl" else "raw-sql", node)
    if statement.aggregate:
        frame.facts.aggregates.add(line)
        if not statement.parameters and statement.verb == "select":
            frame.facts.sql.add((text, line))
    for number in range(statement.joins):
        frame.facts.joins.add((line, str(number)))


orm = Orm(
    __name__,
    packages=tuple(driver.rstrip(".").partition(".")[0] for driver in _DRIVERS),
    call=call,
    unresolved=unresolved,
)
