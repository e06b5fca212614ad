"""
For GitHub Actions: one workflow command per finding, shown beside the line.

Source: GitHub Docs, workflow commands: `::error file=…,line=…,endLine=…,col=…,title=…::message`, with %, line ends
and in properties : and , as %25, %0A, %3A, %2C.
"""

from cache_strategy.lint.formats._base import Format, Result

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def _render(result: Result) -> str:
    rows = [
        f"::{_LEVELS[finding.severity]} file={_property(finding.path)},line={finding.line},endLine={finding.end_line},"
        f"col={finding.column},title={_property(finding.rule + ' ' + finding.name)}::{_text(finding.message + ' ' + finding.fix)}"
        for finding in result.findings
    ]
    rows += [
        f"::warning file={_property(item.path)}::not read: {_text(item.reason)}" for item in result.unread
    ]
    return "\n".join(rows) + "\n"


def _text(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _text(value).replace(":", "%3A").replace(",", "%2C")


format = Format(__name__, _render)
