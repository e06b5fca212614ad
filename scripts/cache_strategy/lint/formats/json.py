"""For programs: schema 1 of `lint --json`."""

import json

from cache_strategy.lint.formats._base import Format, Result


def _render(result: Result) -> str:
    data = {
        "schema": 1,
        "findings": [finding._asdict() for finding in result.findings],
        "unread": [{"path": item.path, "reason": item.reason} for item in result.unread],
    }
    return json.dumps(data, indent=1) + "\n"


format = Format(__name__, _render)
