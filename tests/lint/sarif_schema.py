"""
The schema of SARIF 2.1.0, and a validator for it.

`sarif-2.1.0.json` is the official schema (oasis-tcs/sarif-spec, sarif-2.1/schema) without its descriptions and without
the properties that our output does not have: what is left is word for word, and because no other property is allowed,
a property that we begin to write fails until it is added here. The validator knows the words that this part uses, and
refuses a schema that has others.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0.json").read_text(encoding="utf-8"))
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
    "number": float,
}
KNOWN = {
    "type", "enum", "required", "properties", "additionalProperties", "items", "minItems", "uniqueItems", "minimum",
    "maximum", "pattern", "format", "anyOf", "$ref", "$schema", "definitions",
}  # fmt: skip


def problems_of(value: Any, schema: dict[str, Any] = SCHEMA, place: str = "$") -> list[str]:
    """What is wrong with a value, by place; empty for one that the schema allows."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return problems_of(value, SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]], place)
    found = [f"{place}: {problem}" for problem in _own_problems(value, schema)]
    if "anyOf" in schema and all(problems_of(value, one, place) for one in schema["anyOf"]):
        found.append(f"{place}: is none of what it may be")
    if isinstance(value, dict):
        named, more = schema.get("properties", {}), schema.get("additionalProperties", {})
        for key, inner in value.items():
            if key in named or isinstance(more, dict):
                found += problems_of(inner, named.get(key, more), f"{place}.{key}")
            elif more is False:
                found.append(f"{place}.{key}: no such property")
    if isinstance(value, list):
        for number, inner in enumerate(value):
            found += problems_of(inner, schema.get("items", {}), f"{place}[{number}]")
    return found


def _own_problems(value: Any, schema: dict[str, Any]) -> list[str]:
    types = schema.get("type", list(TYPES))
    allowed = tuple(TYPES[name] for name in ([types] if isinstance(types, str) else types))
    checks = {
        "is of another type": isinstance(value, allowed) and not (isinstance(value, bool) and bool not in allowed),
        "is not one of the values": value in schema.get("enum", [value]),
        "lacks a property": not isinstance(value, dict) or set(schema.get("required", ())) <= set(value),
        "is out of bounds": not isinstance(value, int) or schema.get("minimum", value) <= value <= schema.get("maximum", value),
        "is too short": not isinstance(value, list) or len(value) >= schema.get("minItems", 0),
        "holds something twice": not isinstance(value, list) or not schema.get("uniqueItems")
        or len({json.dumps(one, sort_keys=True) for one in value}) == len(value),
        "does not match": not isinstance(value, str) or bool(re.search(schema.get("pattern", ""), value)),
        "is no address": not isinstance(value, str) or schema.get("format") not in ("uri", "uri-reference")
        or (value.isascii() and not set(value) & set(' <>"{}|\\^`') and (schema["format"] != "uri" or bool(urlsplit(value).scheme))),
    }  # fmt: skip
    return [problem for problem, is_well in checks.items() if not is_well]
