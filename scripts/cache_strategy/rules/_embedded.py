"""
The configurations that stand inside YAML: a block of a ConfigMap, a snippet of an ingress, a line that Ansible writes.

What is not such a configuration is read as empty lines, so every line keeps its number. Nothing raises.
"""

from __future__ import annotations

from cache_strategy.rules._config import NGINX_MODULES, ConfigFile, Node, ending_of
from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._config import Part

    # A kind of configuration to its parts.
    Parts = dict[str, list[Part]]

# More configurations than these nobody puts into one file; the others are not read.
_MOST = 200
_MODULE = r"(?:proxy|fastcgi|uwsgi|scgi)_"
# Texts without these words hold nothing that a rule reads.
_MAY_HOLD = regex(_MODULE + r"|maxmemory|vcl_|beresp", patterns.I)
_TEXTS = (
    ("vcl", regex(r"^\s*(?:sub\s+vcl_\w+|vcl\s+[\d.]+;)", patterns.M)),
    ("nginx", regex(rf"^\s*(?:location\s+\S[^\n]*\{{|{_MODULE}\w+\s[^\n:]*;)", patterns.M)),
    ("redis", regex(r"^\s*maxmemory(?:-policy)?\s+\S", patterns.M)),
)
_BLOCK = regex(r"^\s*(?:- +)*(?:(?P<key>[^\s#][^#]{0,200}?):\s+)?[|>][-+0-9]{0,2}\s*(?:#.*)?$")
_ONE_LINE = (
    ("nginx", regex(
        rf"(?:^\s*(?:- +)*|[\"'\s=;/])(?P<name>{_MODULE}(?:cache\w*|no_cache|ignore_headers|hide_header))"
        r"[\"']?:?\s+[\"']?(?P<value>[^;\"'\n#:]+)"
    )),
    ("redis", regex(r"(?:^\s*(?:- +)*|[\"'\s=])(?P<name>maxmemory(?:-policy)?)\s+(?P<value>[\w.-]+)[\"']?\s*[}#]?")),
)  # fmt: skip
_CACHE_ON = regex(_MODULE + r"cache\s|^\s*http\s*\{", patterns.M)


def embedded_in(path: str, text: str, other: str = "") -> "dict[str, ConfigFile]":
    """
    The configurations inside a YAML file, by their kind; `other` is the same file before or after the change.

    Where neither text turns a cache of nginx on, it is taken to be on where the snippet will be included.
    """
    if ending_of(path) not in ("yml", "yaml") or not _MAY_HOLD.search(text):
        return {}
    files = {kind: ConfigFile(text, path, kind, parts) for kind, parts in _parts_of(text, path).items()}
    if "nginx" in files and not _CACHE_ON.search(text) and not _CACHE_ON.search(other):
        _assume_caches(files["nginx"].root, text + other)
    return files


def _parts_of(text: str, path: str) -> "Parts":
    rows = text.split("\n")
    parts: "Parts" = {}
    single: "Parts" = {}
    number, base = 0, path.replace("\\", "/").rpartition("/")[2]
    last = len(rows) - 1
    document = _names(rows, 0)
    while number <= last and sum(map(len, parts.values())) < _MOST:
        row = rows[number]
        number += 1
        if row.startswith("---"):
            document = _names(rows, number)
        head = _BLOCK.match(row) if "|" in row or ">" in row else None
        # A block that holds blocks is YAML itself.
        end = (
            _end_of_block(rows, number, row) if head and not _BLOCK.match(rows[min(number, last)]) else number
        )
        nested = any(_BLOCK.match(each) for each in rows[number:end])
        inside = "" if nested else "\n".join(rows[number:end])
        kind = next((kind for kind, known in _TEXTS if known.search(inside)), "")
        if kind:
            key = (head["key"] if head else "") or ""
            parts.setdefault(kind, []).append((f"{base} {key} {document}", number + 1, inside))
            number = end
            continue
        for kind, known in _ONE_LINE if _MAY_HOLD.search(row) and not row.lstrip().startswith("#") else ():
            said = [f"{found['name']} {found['value'].strip()}" for found in known.finditer(row)]
            if said and not _is_taken_away(rows, number - 1):
                line = "; ".join(said) + ";" if kind == "nginx" else "\n".join(said)
                single.setdefault(kind, []).append((f"{base} {document}", number, line))
    for kind, lines in single.items():
        # Lines that are written one by one belong to one file, as far as anybody can tell.
        first = lines[0][1]
        joined = [""] * (lines[-1][1] - first + 1)
        for _, place, said_there in lines:
            joined[place - first] = said_there
        parts.setdefault(kind, []).append((lines[0][0], first, "\n".join(joined)))
    return parts


def _names(rows: "list[str]", start: int) -> str:
    """What a document calls itself: its kind is not told, its names are."""
    names: "list[str]" = []
    for number in range(start, len(rows)):
        row = rows[number]
        if row.startswith("---"):
            break
        found = patterns.match(r"\s{0,4}name:\s*([\w.-]+)", row)
        if found:
            names.append(found[1])
    return " ".join(names[:3])


def _end_of_block(rows: "list[str]", start: int, head: str) -> int:
    """Where the block below a head ends; marks of templates may stand at the margin."""
    outer = len(head) - len(head.lstrip())
    inner = 0
    for number in range(start, len(rows)):
        bare = rows[number].strip()
        if not bare or bare.startswith(("{{", "{%")):
            continue
        indent = len(rows[number]) - len(rows[number].lstrip())
        inner = inner or indent
        if indent <= outer or indent < inner:
            return number
    return len(rows)


def _is_taken_away(rows: "list[str]", at: int) -> bool:
    """Whether a task of Ansible removes the line: `state: absent` beside it."""
    indent = len(rows[at]) - len(rows[at].lstrip())
    if patterns.search(r"\bstate=absent\b", rows[at]):
        return True
    for step in (-1, 1):
        number = at + step
        while 0 <= number < len(rows) and len(rows[number]) - len(rows[number].lstrip(" -")) >= indent > 0:
            if patterns.match(r"[\s-]*state:\s*[\"']?absent", rows[number]):
                return True
            if rows[number].lstrip().startswith("- "):
                break
            number += step
    return False


def _assume_caches(root: Node, text: str) -> None:
    for module in NGINX_MODULES:
        if f"{module}_ignore_headers" in text or f"{module}_no_cache" in text or f"{module}_cache_" in text:
            blocks = [*root.children, *(node.parent for node in root.all(f"{module}_ignore_headers"))]
            for block in {id(block): block for block in blocks if block is not None}.values():
                block.children.append(Node(f"{module}_cache elsewhere", block.line, block))
