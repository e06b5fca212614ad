"""
JSON in and out without the `json` module, whose import costs a hook more than all of its own work.

`_json` is the part of CPython that does the work of `json` in every version since 3.1. What it does not read or write at
once, and a Python without it, gets `json` itself, with the same values and the same errors.
"""


class _Standard:
    """What the scanner asks about: `json.loads` without options."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def decoded(text: str) -> object:
    """
    The value of a JSON text.

    Raises:
        ValueError: the text is no JSON.
    """
    try:
        from _json import make_scanner

        value, end = make_scanner(_Standard)(text.strip(" \t\n\r"), 0)
        if end == len(text.strip(" \t\n\r")):
            return value
    except (Exception, StopIteration):  # whatever it is, the next line says it in the usual way
        pass
    import json

    return json.loads(text)


def encoded(value: object) -> str:
    """The JSON of texts, truth values and mappings of them, on one line."""
    try:
        from _json import encode_basestring_ascii as quoted
    except ImportError:
        import json

        return json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {encoded(part)}" for key, part in value.items()) + "}"
    if isinstance(value, str):
        return quoted(value)
    import json

    return json.dumps(value)
