"""For people: place, severity, rule, message, the source line with a mark under the place, the fix."""

from cache_strategy.lint.formats._base import Format, Result

_LONGEST = 120


def _render(result: Result) -> str:
    rows = []
    for finding, source in zip(result.findings, result.lines, strict=True):
        place = f"{finding.path}:{finding.line}:{finding.column}"
        rows.append(f"{place}: {finding.severity} {finding.rule} {finding.name}: {finding.message}")
        rows.extend(_source(source, finding.column))
        rows.append(f"    Fix: {finding.fix}")
    rows.extend(f"{item.path}: not read: {item.reason}" for item in result.unread)
    errors = sum(finding.severity == "error" for finding in result.findings)
    others = len(result.findings) - errors
    unread = f", {len(result.unread)} not read" if result.unread else ""
    rows.append(
        f"{_count(errors, 'error')}, {_count(others, 'other finding')} in {_count(result.files, 'file')}{unread}."
    )
    return "\n".join(rows) + "\n"


def _source(row: str, column: int) -> list[str]:
    """The line without its indentation, cut around the column where it is long, and a caret."""
    indentation = len(row) - len(row.lstrip())
    shown, at = _printable(row.strip()), max(column - 1 - indentation, 0)
    if not shown:
        return []
    start = max(at - _LONGEST // 2, 0) if at >= _LONGEST - 10 else 0
    return [f"    {shown[start : start + _LONGEST]}", "    " + " " * (at - start) + "^"]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


format = Format(__name__, _render)
