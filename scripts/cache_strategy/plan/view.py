"""What a materialized view needs besides its query: the columns that make a row unique, for a concurrent refresh."""

import re

GROUP_BY = re.compile(r"\bGROUP\s+BY\s+(.+?)(?:\bHAVING\b|\bORDER\s+BY\b|\bLIMIT\b|$)", re.I | re.S)
SELECT = re.compile(r"^\s*SELECT\s+(.+?)\s+FROM\s", re.I | re.S)


def view_key_of(sql: str) -> tuple[str, ...]:
    """
    The output columns that the query groups by: a grouped query has one row for each of their values.

    Empty when the query is not a simple grouped SELECT whose group columns are all in its output; then the view
    cannot be refreshed without locking readers out, and the contract names the columns by hand.
    """
    select, group = SELECT.search(sql), GROUP_BY.search(sql)
    if not select or not group:
        return ()
    outputs = [_output(item) for item in _split(select[1])]
    names = []
    for item in _split(group[1].strip().rstrip(";")):
        text = re.sub(r"\s+", " ", item.strip()).lower()
        if text.isdigit() and 1 <= int(text) <= len(outputs):
            names.append(outputs[int(text) - 1][1])
            continue
        match = [name for expression, name in outputs if text in (expression, name)]
        if not match:
            return ()
        names.append(match[0])
    return tuple(names) if all(names) else ()


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _output(item: str) -> tuple[str, str]:
    text = re.sub(r"\s+", " ", item.strip()).lower()
    expression, _, alias = text.rpartition(" as ")
    if expression:
        return expression, alias.strip('"')
    bare = text.rpartition(".")[2].strip('"')
    return text, bare if bare.isidentifier() else ""
