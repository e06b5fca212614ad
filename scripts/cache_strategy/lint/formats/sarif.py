"""
For code scanning services.

Source: Static Analysis Results Interchange Format (SARIF) 2.1.0, OASIS Standard: runs (3.14), results (3.27),
reporting descriptors (3.49), artifact locations as relative URIs (3.4), notifications (3.58).
"""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from cache_strategy.lint.formats._base import Format, Result
from cache_strategy.rules import all_rules

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def _render(result: Result) -> str:
    rules = all_rules()
    index = {rule.code: position for position, rule in enumerate(rules)}
    data = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "cache-strategy", "rules": [_descriptor(rule) for rule in rules]}
                },
                "originalUriBaseIds": {"ROOT": {"description": {"text": "The folder that was checked."}}},
                "results": [
                    _result(*pair, index) for pair in zip(result.findings, result.lines, strict=True)
                ],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [_notification(u) for u in result.unread],
                    }
                ],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return json.dumps(data, indent=1) + "\n"


def _descriptor(rule: Any) -> dict[str, Any]:
    page = rule.page
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "help": {"text": page, "markdown": f"```text\n{page}\n```"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Any, source: str, index: dict[str, int]) -> dict[str, Any]:
    # Line numbers move with every edit above; the words and the line itself do not.
    known = f"{finding.rule}\0{finding.path}\0{source.strip()}"
    return {
        "ruleId": finding.rule,
        **({"ruleIndex": index[finding.rule]} if finding.rule in index else {}),
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message} {finding.fix}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(finding.path),
                    "region": {
                        "startLine": finding.line,
                        "startColumn": finding.column,
                        "endLine": max(finding.end_line, finding.line),
                        **({"snippet": {"text": source}} if source else {}),
                    },
                }
            }
        ],
        "partialFingerprints": {
            "lineHash/v1": hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()[:16]
        },
    }


def _notification(item: Any) -> dict[str, Any]:
    return {
        "level": "warning",
        "message": {"text": f"not read: {item.reason}"},
        "locations": [{"physicalLocation": {"artifactLocation": _artifact(item.path)}}],
    }


def _artifact(path: str) -> dict[str, str]:
    uri = quote(path, safe="/")
    return {"uri": "file://" + uri} if path.startswith("/") else {"uri": uri, "uriBaseId": "ROOT"}


format = Format(__name__, _render)
