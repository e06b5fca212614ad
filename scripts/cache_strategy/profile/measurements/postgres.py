"""
PostgreSQL: the statements it counted, its tables' reads, writes and sizes, and the plans of aggregates.

Nothing is run but queries of its statistics and EXPLAIN without ANALYZE, in one read-only transaction of a read-only session,
of at most ten seconds each. A text from elsewhere is sent so that the server takes one command and no more.

Source:
    https://www.postgresql.org/docs/current/pgstatstatements.html, …/monitoring-stats.html, …/sql-explain.html
"""

import os
import re
import secrets
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from cache_strategy.extras import has
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence, Measurement, Observation
from cache_strategy.profile.measurements._base import (
    Found,
    Source,
    behind,
    derived,
    functions_behind,
    measured,
)
from cache_strategy.profile.sql import Statement, is_one_select, parameters_of, read_statement

STATEMENTS_AT_MOST = 1000
PLANS_AT_MOST = 20
LARGE_ROWS = 10_000
"""Rows from which on reading a whole table is worth a word (assumed)."""
TIMEOUT_MS = 10_000
ENABLE = (
    "pg_stat_statements is not enabled in this database, so its statements are not known. Set shared_preload_libraries = "
    "'pg_stat_statements' in postgresql.conf, restart, and run: CREATE EXTENSION pg_stat_statements"
)
_PLAIN = {"user": r"[^:/?=&]*", "host": r"[\w.,:/ -]*", "port": r"[\d,]*", "dbname": r"[\w. -]*"}


def read(where: str, evidence: Evidence) -> Found:
    """
    Asks a server.

    Raises:
        CacheStrategyError: no driver, no server there, a wrong password, no such database.
    """
    if not has("psycopg", "postgres.lock"):
        raise CacheStrategyError(
            "--pg: psycopg is not installed and could not be; run: pip install 'psycopg[binary]'"
        )
    import psycopg

    address = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", where)
    try:
        with _connected(address) as connection:
            # One transaction, and nothing set beyond it: behind a pool the session goes on to others.
            connection.read_only = True
            connection.prepare_threshold = None
            connection.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
            connection.execute("SET LOCAL lock_timeout = 1000")
            return _Reading(connection, evidence).found()
    except psycopg.Error as error:
        shown = _shown(address)
        reason = (
            _reason(error) if shown else "is not clear; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
        )
        reason += "" if shown else "with %40 for an @ in the password, %2F for a / and %3A for a :."
        raise CacheStrategyError(f"--pg {shown or 'postgresql://…'}: {reason}") from None


def _connected(address: str) -> Any:
    """A session in which every transaction is read-only unless it says otherwise; a pool may not take that wish."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    own = conninfo_to_dict(address).get("options") or os.environ.get("PGOPTIONS", "")
    settings: dict[str, Any] = {"connect_timeout": 10, "application_name": "cache-strategy"}
    try:
        return psycopg.connect(address, options=f"{own} -c default_transaction_read_only=on", **settings)
    except psycopg.OperationalError as error:
        if not re.search("startup parameter|command-line options", str(error)):
            raise
        return psycopg.connect(address, **settings)


def _shown(address: str) -> str:
    """Without a password; "" where what the driver takes for another part may be a piece of one."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(address)
    except psycopg.Error:
        return ""
    user, host, port, name = (str(parts.get(part) or "") for part in _PLAIN)
    if not all(re.fullmatch(plain, str(parts.get(part) or "")) for part, plain in _PLAIN.items()):
        return ""
    return f"postgresql://{user}{'@' if user else ''}{host}{':' if port else ''}{port}/{name}"


def _reason(error: Exception) -> str:
    """One line, without the password."""
    text = " ".join(str(error).split())
    if "password authentication failed" in text:
        return "the password is wrong, or there is no such user; give both in the address, or the password in PGPASSWORD."
    if "no password supplied" in text:
        return "the server asks for a password; give it in the address, or in PGPASSWORD."
    if re.search(r'database "[^"]*" does not exist', text):
        return f"{re.findall('database .* exist', text)[0]}; name one after the last slash of the address."
    if re.search(
        "[Ii]s the server running|could not translate|Name or service|timeout expired|Connection refused",
        text,
    ):
        return "no server answers there; write postgresql://USER@HOST:PORT/DATABASE."
    return f"{text[:200]}; write postgresql://USER@HOST:PORT/DATABASE."


class _Reading:
    """One connection, and what is learned by it."""

    def __init__(self, connection: Any, evidence: Evidence) -> None:
        self._connection, self._evidence = connection, evidence
        self._where = f"PostgreSQL {connection.info.host}:{connection.info.port}/{connection.info.dbname}"
        self._notes: list[str] = []
        self._writes: dict[str, int] = defaultdict(int)
        self._not_asked: dict[str, list[str]] = defaultdict(list)

    def found(self) -> Found:
        statements = list(self._statements())
        tables = list(self._tables())
        plans = list(self._plans([o.name for o in statements]))
        for reason, texts in self._not_asked.items():
            first = texts[0] if len(texts[0]) <= 120 else f"{texts[0][:120]}…"
            more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
            self._notes.append(f"{self._where}: no plan is asked, {reason}: {first}{more}")
        return Found(observations=(*statements, *tables, *plans), notes=tuple(self._notes))

    def _rows(self, what: str, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query; [] with a note where the user may not ask for them."""
        import psycopg

        try:
            with self._connection.transaction(force_rollback=True):
                return list(self._connection.execute(query).fetchall())
        except psycopg.errors.InsufficientPrivilege:
            user = self._connection.info.user
            self._notes.append(
                f"{self._where}: {user} may not read {what}; run: GRANT pg_read_all_stats TO {user}"
            )
        except psycopg.Error as error:
            self._notes.append(f"{self._where}: {what} cannot be read ({_reason(error)})")
        return []

    def _statements(self) -> Iterator[Observation]:
        schema = self._rows("extensions", "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n "
                            "ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements'")  # fmt: skip
        if not schema:
            self._notes.append(f"{self._where}: {ENABLE}")
            return
        view = f"{schema[0][0]}.pg_stat_statements"
        columns = {
            row[0]
            for row in self._rows(
                view, f"SELECT attname FROM pg_attribute WHERE attrelid = '{view}'::regclass"
            )
        }
        total = "total_exec_time" if "total_exec_time" in columns else "total_time"
        rows = self._rows(
            "pg_stat_statements",
            f"SELECT query, calls, {total}, rows FROM {view} WHERE dbid = (SELECT oid FROM pg_database WHERE datname = "
            f"current_database()) ORDER BY {total} DESC LIMIT {STATEMENTS_AT_MOST}",
        )
        since = (
            self._rows(
                "pg_stat_statements_info", f"SELECT extract(epoch FROM now() - stats_reset) FROM {view}_info"
            )
            if rows and "toplevel" in columns
            else []
        )
        hours = float(since[0][0]) / 3600 if since and since[0][0] else 0.0
        hidden = 0
        for text, calls, milliseconds, count in rows:
            statement = read_statement(text or "")
            if text == "<insufficient privilege>":
                hidden += 1
            elif statement is not None and calls and not _is_ours(statement):
                yield self._statement(
                    " ".join(text.split()), statement, int(calls), milliseconds, count, hours
                )
        if hidden:
            user = self._connection.info.user
            self._notes.append(
                f"{self._where}: the text of {hidden} statements of other users is hidden; run: GRANT pg_read_all_stats TO {user}"
            )

    def _statement(
        self, text: str, statement: Statement, calls: int, milliseconds: float, count: int, hours: float
    ) -> Observation:
        where = f"{self._where}, pg_stat_statements"
        figures = {
            "calls": measured(calls, "calls", where),
            "mean_ms": measured(milliseconds / calls, "ms", where, calls),
            "total_ms": measured(milliseconds, "ms", where, calls),
            "rows_per_call": measured(count / calls, "rows", where, calls),
        }
        if hours > 0.02:
            figures["calls_per_hour"] = measured(
                calls / hours, "calls/hour", f"{where}, {hours:.1f} h", calls
            )
            for table in statement.writes:
                self._writes[table] += calls
            self._hours = hours
        return Observation(
            kind="statement",
            name=text,
            figures=figures,
            tables=tuple(sorted({*statement.reads, *statement.writes})),
            endpoints=behind(self._evidence, statement.reads, statement.writes),
            functions=functions_behind(self._evidence, statement.reads, statement.writes),
            notes=("aggregates",) if statement.aggregate and statement.verb == "select" else (),
        )

    _hours = 0.0

    def _tables(self) -> Iterator[Observation]:
        since = self._rows("pg_stat_database", "SELECT extract(epoch FROM now() - coalesce(stats_reset, "
                           "pg_postmaster_start_time())) FROM pg_stat_database WHERE datname = current_database()")  # fmt: skip
        hours = float(since[0][0]) / 3600 if since and since[0][0] else 0.0
        rows = self._rows(
            "pg_stat_user_tables",
            "SELECT s.relname, coalesce(seq_scan, 0), coalesce(idx_scan, 0), coalesce(seq_tup_read, 0), n_tup_ins, n_tup_upd, "
            "n_tup_del, CASE WHEN reltuples < 0 THEN n_live_tup ELSE reltuples::bigint END, pg_total_relation_size(relid) "
            "FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid ORDER BY s.relname",
        )
        where = f"{self._where}, pg_stat_user_tables"
        for name, sequential, indexed, passed, inserted, updated, deleted, live, size in rows:
            written = inserted + updated + deleted
            figures: dict[str, Measurement] = {
                "scans": measured(sequential + indexed, "scans", where),
                "row_writes": measured(written, "rows", where),
                "rows": measured(live, "rows", f"{where}, as last estimated"),
                "size_bytes": measured(size, "bytes", where),
            }
            if hours > 0.02:
                figures["scans_per_hour"] = measured(
                    (sequential + indexed) / hours, "scans/hour", f"{where}, {hours:.1f} h"
                )
                figures["row_writes_per_hour"] = measured(
                    written / hours, "rows/hour", f"{where}, {hours:.1f} h"
                )
            if self._hours:
                per_hour = self._writes[name] / self._hours
                figures["writes_per_hour"] = measured(
                    per_hour,
                    "writes/hour",
                    f"{self._where}, pg_stat_statements, {self._hours:.1f} h",
                    self._writes[name],
                )
            notes: tuple[str, ...] = ()
            if sequential and passed / sequential >= LARGE_ROWS:
                notes = (f"read as a whole {sequential:,} times, {passed // sequential:,} rows each",)
            users = behind(self._evidence, [name])
            yield Observation(
                kind="table", name=name, figures=figures, tables=(name,), endpoints=users, notes=notes
            )

    def _plans(self, statements: list[str]) -> Iterator[Observation]:
        """Of the aggregates that the code has and those that cost most here."""
        own = [" ".join(c.sql.split()) for c in self._evidence.candidates if c.sql]
        for text in dict.fromkeys([*own, *statements]):
            statement = read_statement(text)
            if statement is None or not statement.aggregate or "?" in statement.reads:
                continue
            bare = text.rstrip("; \n")
            if (statement.verb != "select" or statement.writes) and ";" not in bare:
                continue
            if not is_one_select(bare):
                self._not_asked["the SQL parser does not see exactly one SELECT that writes nothing"].append(
                    text
                )
                continue
            plan = self._plan(bare)
            if plan:
                yield _explained(text, plan, statement, self._where, behind(self._evidence, statement.reads))
                self._explained += 1
            if self._explained >= PLANS_AT_MOST:
                return

    _explained = 0

    def _plan(self, text: str) -> dict[str, Any] | None:
        """The plan for any values of the parameters; None where the server cannot make one."""
        import psycopg

        many = parameters_of(text)
        try:
            if many:
                return self._prepared(text, many)
            with self._connection.transaction(force_rollback=True):
                return self._explain(f"EXPLAIN (FORMAT JSON) {text}")
        except (psycopg.Error, LookupError, TypeError):
            return None

    def _prepared(self, text: str, many: int) -> dict[str, Any]:
        """What is prepared outlives a rollback: it is dropped by its own name, and no other, in the same transaction."""
        name = f"cache_strategy_{secrets.token_hex(8)}"
        with self._connection.transaction(force_rollback=True):
            self._one(f"PREPARE {name} AS {text}")
        try:
            with self._connection.transaction(force_rollback=True):
                self._connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
                return self._explain(f"EXPLAIN (FORMAT JSON) EXECUTE {name}({', '.join(['NULL'] * many)})")
        finally:
            with self._connection.transaction(force_rollback=True):
                self._one(f"DEALLOCATE {name}")

    def _explain(self, asked: str) -> dict[str, Any]:
        return dict(self._one(asked).fetchone()[0][0]["Plan"])

    def _one(self, command: str) -> Any:
        """Sent by the extended protocol, which `binary` asks for: the server refuses a text of several commands."""
        return self._connection.execute(command, binary=True)


def _is_ours(statement: Statement) -> bool:
    """Questions about the catalogue, such as these, and what makes tables."""
    tables = (*statement.reads, *statement.writes)
    return not tables or statement.verb == "ddl" or all(table.lower().startswith("pg_") for table in tables)


def _explained(
    text: str, plan: dict[str, Any], statement: Statement, where: str, users: tuple[str, ...]
) -> Observation:
    where = f"{where}, EXPLAIN (not run)"
    whole = [
        f"reads the whole of {node['Relation Name']} ({node['Plan Rows']:,} rows)"
        for node in _nodes(plan)
        if node.get("Node Type") == "Seq Scan" and node.get("Plan Rows", 0) >= LARGE_ROWS
    ]
    figures = {
        "plan_cost": derived(plan["Total Cost"], "cost units", where),
        "plan_rows": derived(plan["Plan Rows"], "rows", where),
    }
    return Observation(
        kind="plan", name=text, figures=figures, tables=statement.reads, endpoints=users, notes=tuple(whole)
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


source = Source("pg", read)
