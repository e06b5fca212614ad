"""What tells the values of an entry apart."""

import ast
import builtins
import keyword
import re

from cache_strategy.model.evidence import Candidate

FLASK_NAMES = ("current_app", "g", "request", "session")
"""Names that a key's code has from flask; any other must be a module's, and is imported."""

ADDRESSES = ("x-forwarded-for", "x-real-ip", "forwarded", "remote-addr")
"""Headers that stand for the address of a request's sender, which may also come without any."""

TAKEN_NAMES = frozenset(
    (
        *keyword.kwlist, *FLASK_NAMES, "cache", "connect", "flask_cache", "cached_endpoint", "flask_login", "http_headers",
        "flask_jwt_extended", "flask_babel", "init_app", "metrics_blueprint", "os", "sqlalchemy_events", "watcher",
    )
)  # fmt: skip
"""Names that the emitted module of the entries has for something else."""


def missing_key_part(candidate: Candidate) -> str | None:
    """Why the key of a candidate cannot be built, None when it can."""
    for part in candidate.key:
        is_parameter = (
            part.source == "user" and part.expression.isidentifier()
        )  # what FastAPI gives the endpoint
        name = "" if is_parameter else _free_name(part.expression)
        if name:
            return f"its key would need {part.expression}, and {name} is not known outside its function"
        if part.source == "header" and part.name.lower() in ADDRESSES:
            return (
                f"depends on the address of who asks ({part.name}): hardly two requests would share an answer"
            )
        if part.source in ("user", "session", "tenant", "locale") and not part.expression:
            return f"depends on the {part.source}, and no expression for it was found in the code"
    if candidate.per_user and not any(p.source in ("user", "session") for p in candidate.key):
        return "depends on the user, and the key has no part that identifies one"
    return None


def _free_name(expression: str) -> str:
    """A name in an expression that code elsewhere would not have: neither a module's, nor flask's, nor Python's own."""
    try:
        tree = ast.parse(expression.strip() or "None", mode="eval")
    except SyntaxError:
        return expression
    modules = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in modules and not hasattr(builtins, node.id):
            return node.id
    return ""


def entry_id_of(candidate: Candidate, taken: set[str]) -> str:
    """A name for the entry: the function's words joined by hyphens, made unique with its file's name."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", candidate.qualname).lower()
    name = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
    name = re.sub(r"^(get|fetch|load|find|list|read|compute|calculate)-(?=[a-z])", "", name) or "entry"
    if name.replace("-", "_") in TAKEN_NAMES:
        name = f"cached-{name}"
    if candidate.kind == "endpoint" and name in taken:
        name += "-response"
    if name in taken:
        stem = re.sub(r"[^a-z0-9]+", "-", candidate.path.removesuffix(".py").lower()).strip("-")
        name = f"{stem}-{name}"
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
