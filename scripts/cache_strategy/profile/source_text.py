"""Lowered expressions back to source text."""

from cache_strategy.profile.lowering import Node


def source_of(node: Node) -> str:
    """The expression as source text, close to how it was written; "…" for what is left out."""
    kind = node[0]
    if kind == "name":
        return str(node[2])
    if kind == "attr":
        return f"{source_of(node[2])}.{node[3]}"
    if kind == "const":
        return quoted(node[1])
    if kind == "call":
        parts = [source_of(a) for a in node[3]]
        parts.extend(
            f"{name}={source_of(value)}" if name else f"**{source_of(value)}" for name, value in node[4]
        )
        return f"{source_of(node[2])}({', '.join(parts)})"
    if kind == "item":
        return f"{source_of(node[2])}[{source_of(node[3])}]"
    if kind == "await":
        return f"await {source_of(node[1])}"
    if kind == "star":
        return f"*{source_of(node[1])}"
    if kind == "seq" and node[1] in ("list", "tuple"):
        inner = ", ".join(source_of(i) for i in node[2])
        return f"[{inner}]" if node[1] == "list" else f"({inner})"
    return "…"


def quoted(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return repr(value)


def last_name(node: Node) -> str:
    """The last name of what is called or named: "route" of `@app.route("/")`; "" where it is no name."""
    while node[0] == "call":
        node = node[2]
    if node[0] == "name":
        return str(node[2])
    return str(node[3]) if node[0] == "attr" else ""
