"""
What a SELECT depends on, by its text alone: its tables, and of which rows where its conditions name them.

A statement that is not understood whole has no answer here: it names a table that is not watched, calls a function that
may give something else next time, locks rows, or looks at who is connected.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from .keys import row_text

TOKENS = re.compile(
    r"""\s+|--[^\n]*|/\*.*?\*/
    |(?P<text>'(?:[^'\\]|'')*')
    |(?P<quoted>"[^"]+"|`[^`]+`)
    |(?P<hole>%\(\w+\)s|%s|\$\d+|\?(?!\d)|(?<![:\w]):\w+)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<number>\d[\d.]*)
    |(?P<sign>::|<=|>=|<>|!=|\|\||->>|->|%%|[-+*/=<>(),.\[\]])""",
    re.X | re.S,
)
# What gives the same for the same rows and parameters, and words that an opening bracket may follow.
PURE = frozenset(
    "count sum min max avg coalesce nullif lower upper length char_length trim substr substring replace concat abs round floor "
    "ceil greatest least cast extract date_trunc date_part row_number rank dense_rank bool_or bool_and array_agg string_agg "
    "char varchar numeric decimal timestamp time float "
    "in and or not exists any all some as on where when then else between like ilike is by over filter using having from join "
    "select distinct values case union case limit offset".split()
)
FORBIDDEN = frozenset(
    "for with into lateral natural recursive tablesample window only unnest current_user session_user user current_role current_date "
    "current_time current_timestamp localtime localtimestamp current_catalog current_schema system_user sysdate union intersect "
    "except".split()
)
JOINS = frozenset("inner left right full outer cross join".split())
ENDS = ("where", "group", "having", "order", "limit", "offset", "fetch")
AFTER_FROM = frozenset((*ENDS, "on", "using", *JOINS))
MOMENTS = frozenset("now today tomorrow yesterday allballs".split())  # texts that PostgreSQL takes for times
WHOLE_TYPES = frozenset(
    "integer bigint smallint uuid text varchar".split()
)  # a cast to them leaves a value what it is
# Texts that a database may compare with numbers (7e0, 0x7, 1_0), and those of them by which rows are known all the same.
NUMERIC = re.compile(r"[-+.\d]")
KNOWN = re.compile(r"-?\d{1,20}|(?=.*[a-f])[0-9a-f]{32}")
MOST_HOLES = 50  # assumed: conditions on more rows than that depend on the whole table


class Reads:
    """
    What one SELECT depends on.

    Attributes:
        places: of each table the column by which its rows are known and where their values are among the parameters;
            None where all rows matter.
    """

    def __init__(self, places: Mapping[str, tuple[str, Sequence[Any]] | None]) -> None:
        self.places = places

    def tags(self, params: Any) -> dict[str, frozenset[str] | None]:
        """Of each table the tags of the rows, None for all of them."""
        found: dict[str, frozenset[str] | None] = {}
        for table, place in self.places.items():
            found[table] = None if place is None else _rows(place[0], place[1], params)
        return found


def reads_of(
    text: str, tables: Mapping[str, str | None], columns: Mapping[str, Collection[str]]
) -> Reads | None:
    """
    What a statement depends on; None unless it is a SELECT that is understood whole.

    Args:
        tables: those watched, each with its primary key column or None.
        columns: of each table others by whose values rows are known.
    """
    tokens = _tokens(text)
    if not tokens or tokens[0] != ("word", "select"):
        return None
    names = {name.lower(): name for name in tables}
    found: list[tuple[str, tuple[str, Sequence[Any]] | None]] = []
    try:
        end = _select(tokens, 0, names, tables, columns, found)
    except _Unknown:
        return None
    if end != len(tokens):
        return None
    places: dict[str, tuple[str, Sequence[Any]] | None] = {}
    for table, place in found:
        places[table] = None if table in places else place  # named twice: by which of both, nobody knows
    return Reads(places) if places else None


class _Unknown(Exception):
    """A part of the statement that is not understood."""


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(text):
        match = TOKENS.match(text, at)
        if match is None:
            return []
        at = match.end()
        kind = match.lastgroup
        if kind in (None, "text", "quoted") and ("%s" in match[0] or "%(" in match[0]):
            return []  # the driver puts a parameter there
        if kind == "text" and match[0][1:-1].strip().lower() in MOMENTS:
            return []
        if kind == "word":
            tokens.append((kind, match[0].lower()))
        elif kind == "quoted":
            tokens.append(("name", match[0][1:-1]))
        elif kind:
            tokens.append((kind, match[0]))
    if len({value[:2] if value[0] == "%" else value[0] for kind, value in tokens if kind == "hole"}) > 1:
        return []  # a ? among %s is an operator
    holes = 0
    for i, (kind, value) in enumerate(tokens):  # how a parameter is found: by its number or its name
        if kind == "hole":
            named = re.fullmatch(r"%\((\w+)\)s|:(\w*[A-Za-z_]\w*)", value)
            number = re.fullmatch(r"[$:](\d+)", value)
            place = named[1] or named[2] if named else str(int(number[1]) - 1 if number else holes)
            tokens[i] = ("hole", ("n" if named else "p") + place)
            holes += 1
    return tokens


def _select(
    tokens: list[tuple[str, str]],
    at: int,
    names: Mapping[str, str],
    tables: Mapping[str, str | None],
    columns: Mapping[str, Collection[str]],
    found: list[tuple[str, tuple[str, Sequence[Any]] | None]],
) -> int:
    """Reads one SELECT with all in brackets within it; gives where it ends. Raises _Unknown."""
    own: list[tuple[str, str]] = []  # tables of this level with the names they go by
    where: list[tuple[str, str]] = []
    clause, expects_table, depth, before = "select", False, 0, ("", "")
    joined = {0}  # how deep in brackets a comma stands between tables
    at += 1
    while at < len(tokens):
        kind, value = tokens[at]
        if value == "(" and kind == "sign":
            is_own = at > 1 and tokens[at - 2] == (
                "sign",
                ".",
            )  # somebody's function may be called lower, too
            if before[0] == "name" or (before[0] == "word" and (is_own or before[1] not in PURE)):
                raise _Unknown
            if tokens[at + 1 : at + 2] == [("word", "select")]:
                at = _select(tokens, at + 1, names, tables, columns, found)
                if tokens[at : at + 1] != [("sign", ")")]:
                    raise _Unknown
                if clause == "from" and expects_table:
                    at, expects_table = _alias(tokens, at + 1)[1] - 1, False
                if clause == "where":
                    where.append(("select", ""))
                before = ("sign", ")")
                at += 1
                continue
            depth += 1
            if clause == "from" and expects_table:
                joined.add(depth)
        elif value == ")" and kind == "sign":
            joined.discard(depth)
            depth -= 1
            if depth < 0:
                break
        elif kind == "word" and value in FORBIDDEN:
            raise _Unknown
        elif clause == "from" and expects_table and kind in ("word", "name"):
            if tokens[at + 1 : at + 2] == [("sign", ".")]:
                at += 2  # a schema
                value = tokens[at][1] if at < len(tokens) else ""
            table = names.get(value.lower())
            if table is None:
                raise _Unknown
            alias, at = _alias(tokens, at + 1)
            own.append((table, alias or value))
            expects_table, before = False, ("name", "")  # a list of new names for its columns may follow
            continue
        elif kind == "word" and depth == 0 and value in ENDS and clause != "select":
            clause = value
        elif kind == "word" and value == "from" and depth == 0:
            if (clause == "select") == (before == ("word", "distinct")):
                raise _Unknown
            if clause != "select":
                where.append((kind, value))
                before, at = tokens[at], at + 1
                continue
            clause, expects_table = "from", True
            before, at = tokens[at], at + 1
            continue
        elif clause == "from" and (value == "join" or (value == "," and depth in joined)):
            expects_table = True
        if clause == "where":
            where.append((kind, value))
        before = tokens[at]
        at += 1
    conditions = list(_equalities(where[1:]))
    for table, alias in own:
        found.append((table, _place(table, alias, len(own) == 1, conditions, tables, columns)))
    return at


def _alias(tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
    if tokens[at : at + 1] == [("word", "as")]:
        at += 1
    if at < len(tokens) and tokens[at][0] in ("word", "name"):
        kind, value = tokens[at]
        if kind == "name" or value not in AFTER_FROM | FORBIDDEN:
            return value, at + 1
    return "", at


def _place(
    table: str,
    alias: str,
    is_alone: bool,
    conditions: list[tuple[str, str, list[str]]],
    tables: Mapping[str, str | None],
    columns: Mapping[str, Collection[str]],
) -> tuple[str, Sequence[Any]] | None:
    key = tables[table]
    for wanted in (key, *columns.get(table, ())):
        for owner, column, holes in conditions:
            is_of_table = owner.lower() == alias.lower() or (not owner and is_alone)
            if wanted is not None and is_of_table and column.lower() == wanted.lower():
                return (table if wanted == key else f"{table}.{wanted}"), [_where(hole) for hole in holes]
    return None


def _where(hole: str) -> Any:
    return int(hole[1:]) if hole[0] == "p" else hole[1:]


def _equalities(tokens: list[tuple[str, str]]) -> Iterator[tuple[str, str, list[str]]]:
    """Conditions that must all hold, of the form column = parameter: the table's name, the column, the parameters."""
    while len(tokens) > 1 and tokens[0] == ("sign", "(") and _closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    depth, parts = 0, [[]]  # type: tuple[int, list[list[tuple[str, str]]]]
    for token in tokens:
        depth += (token == ("sign", "(")) - (token == ("sign", ")"))
        if depth == 0 and token in (("word", "or"), ("word", "case")):
            return
        if depth == 0 and token == ("word", "and") and ("word", "between") not in parts[-1]:
            parts.append([])
        else:
            parts[-1].append(token)
    if len(parts) > 1:
        for each in parts:
            yield from _equalities(each)
        return
    tokens = _without_casts(tokens)
    kinds = [kind if kind not in ("word", "sign") else value for kind, value in tokens]
    names = [
        i for i, (kind, value) in enumerate(tokens) if kind == "name" or (kind == "word" and value != "in")
    ]
    if not names or (any(i > 2 for i in names) and kinds[0] != "hole"):
        return
    if kinds[0] == "hole" and kinds[1:2] == ["="]:
        tokens = [*tokens[2:], ("sign", "="), tokens[0]]
    at = next((i for i, token in enumerate(tokens) if token in (("sign", "="), ("word", "in"))), 0)
    column, right = tokens[:at], tokens[at + 1 :]
    if len(column) not in (1, 3) or (len(column) == 3 and column[1] != ("sign", ".")):
        return
    if column[0][0] not in ("word", "name") or column[-1][0] not in ("word", "name"):
        return
    holes = [value for kind, value in right if kind == "hole"]
    if tokens[at] == ("sign", "="):
        is_plain = len(right) == 1 and bool(holes)
    else:
        is_plain = [v for k, v in right if k == "sign"] == ["(", *[","] * (len(holes) - 1), ")"] and bool(
            holes
        )
        is_plain = is_plain and len(right) == 2 * len(holes) + 1
    if is_plain and len(holes) <= MOST_HOLES:
        yield (column[0][1] if len(column) == 3 else ""), column[-1][1], holes


def _without_casts(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    for i, (kind, value) in enumerate(tokens):
        is_cast = kept[-1:] == [("sign", "::")] and value in WHOLE_TYPES and tokens[i - 2][0] == "hole"
        if is_cast and tokens[i + 1 : i + 2] not in ([("sign", "(")], [("sign", "[")]):
            kept.pop()
        else:
            kept.append((kind, value))
    return kept


def _closing(tokens: list[tuple[str, str]]) -> int:
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token == ("sign", "(")) - (token == ("sign", ")"))
        if depth == 0:
            return i
    return -1


def _rows(name: str, places: Sequence[Any], params: Any) -> frozenset[str] | None:
    tags = {f"{name}:*"}
    try:
        for place in places:
            row = row_text(params[place])
            if row is None or (
                type(params[place]) is str and NUMERIC.match(row) and not KNOWN.fullmatch(row)
            ):
                return None
            tags.add(f"{name}:{row}")
    except (KeyError, IndexError, TypeError):
        return None
    return frozenset(tags)
