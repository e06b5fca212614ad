"""
The files that configure caches, read as trees: nginx, Varnish, Terraform, JSON, YAML, Redis, headers of static sites.

One tolerant reader for what has braces and one for what has indentation. Nothing raises: what is not closed ends with
the text, and marks of templates (`{{ }}`, `{% %}`, `<% %>`) stand for some value.
"""

from __future__ import annotations

from cache_strategy.syntax import patterns
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    # Name, first line, text of a configuration inside another file.
    Part = tuple[str, int, str]

# Deeper blocks than this nobody writes; what is in them is read as if it stood beside.
_DEEPEST = 60
_PROSE = (".md", ".rst", ".txt", ".html", ".py", ".po", ".lock", ".svg", ".css", ".map")
_TEMPLATE = regex(r"\.(?:j2|jinja2?|erb|epp|tpl|tmpl|template|in|dist|sample|example)$")
_NGINX_PLACE = regex(r"nginx|(?:^|/)(?:sites-(?:available|enabled)|conf\.d)/|(?:^|/)server_config$")
_NGINX_TEXT = regex(
    r"^\s*(?:location\s+\S.*|server\s*|http\s*)\{|^\s*(?:proxy|fastcgi|uwsgi|scgi)_cache\w*\s", patterns.M
)
_REDIS_IMAGE = regex(r"image:\s*[\"']?(?:[\w.\-]+/)*[\w\-]*(?:redis|valkey|keydb)", patterns.I)
_CLOUDFRONT = regex(r"AWS::CloudFront::|\bDefaultCacheBehavior\b")
_WORKER = regex(r"\bcaches\.default\b|\bcacheEverything\b|\bcacheTtl(?:ByStatus)?\b")
_MARKS = regex(r"<%[^%]{0,2000}%>|\{%[^%]{0,2000}%\}|\{\{[^{}]{0,500}\}\}|\{#[^#]{0,2000}#\}")
_STRING = r"\"(?:[^\"\\]|\\[\s\S])*\"?|'(?:[^'\\]|\\[\s\S])*'?"
_BLANK = r"(?P<blank>[ \t\r]+)|(?P<newline>\n)|"
_HEREDOC = r"(?P<here><<[-~]?(?P<mark>\w{1,40})\n(?:[^\n]{0,2000}\n){0,60}?[ \t]*(?P=mark)(?=\n|\Z))|"
_SLASHES = r"(?P<comment>#[^\n]*|//[^\n]*|/\*[\s\S]*?(?:\*/|\Z))|"
# How a kind of file is cut: its tokens, what opens and closes a block, what ends a statement.
_STYLES = {
    "nginx": (_BLANK + rf"(?P<comment>#[^\n]*)|(?P<string>{_STRING})|(?P<mark_>[{{}};])|(?P<word>(?:\$\{{\w+\}}|[^\s;{{}}\"'])+)", "{", "}", ";"),
    "vcl": (_BLANK + _SLASHES + rf"(?P<string>\{{\"[\s\S]*?(?:\"\}}|\Z)|{_STRING})|(?P<mark_>[{{}};])|(?P<word>[^\s;{{}}\"'#/]+|/)", "{", "}", ";"),
    "hcl": (_BLANK + _SLASHES + _HEREDOC + rf"(?P<string>{_STRING})|(?P<mark_>[{{}}])|(?P<word>[^\s{{}}\"'#/]+|/)", "{", "}", "\n"),
    "json": (_BLANK + _SLASHES + rf"(?P<string>{_STRING})|(?P<mark_>[{{}}\[\],])|(?P<word>[^\s{{}}\[\],\"'#/]+|[#/])", "{[", "}]", ","),
}  # fmt: skip
_PAIR = regex(
    r"[\"']?(?P<key>[\w.$/*-]+)[\"']?\s*[:=](?:\s+|(?=[\"'\d\[]))\s*(?P<value>[\s\S]*)\Z|(?P<only>[\w.-]+)[\"']?:\Z"
)


class Node:
    """A statement, or a block with its statements in `children`; `head` is its text with single spaces."""

    def __init__(self, head: str, line: int, parent: "Node | None" = None) -> None:
        self.head = head
        self.line = line
        self.parent = parent
        self.children: "list[Node]" = []
        pair = _PAIR.match(head)
        if pair:
            self.key, self.value = pair["key"] or pair["only"], (pair["value"] or "").strip(" \"',")
        else:
            self.key, _, self.value = head.partition(" ")

    def below(self) -> "Iterator[Node]":
        """Everything inside, parents first."""
        stack = self.children[::-1]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def around(self) -> "Iterator[Node]":
        """The blocks around, innermost first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def all(self, *keys: str) -> "list[Node]":
        return [node for node in self.below() if node.key.lower() in keys]

    def own(self, *keys: str) -> "list[Node]":
        return [node for node in self.children if node.key.lower() in keys]

    def get(self, *keys: str) -> str:
        """The value of a statement of this block, "" where it has none."""
        return next((node.value for node in self.own(*keys)), "")

    def inherited(self, *keys: str) -> "list[Node]":
        """The statements that count in this block: its own, else those of the nearest block around (as nginx has it)."""
        for block in (self, *self.around()):
            found = block.own(*keys)
            if found:
                return found
        return []


class ConfigFile:
    """
    A configuration: `kind` says how `root` was read; `rows` are its lines.

    With `parts` only these are it: each is a block of `root`, and the other rows are empty.
    """

    def __init__(self, text: str, path: str, kind: str, parts: "list[Part] | None" = None) -> None:
        self.path = path
        self.kind = kind
        self.text = text
        self.parts = parts
        self.rows = text.split("\n")
        if parts is not None:
            held = {n for _, first, part in parts for n in range(first, first + part.count("\n") + 1)}
            self.rows = [row if n in held else "" for n, row in enumerate(self.rows, start=1)]
        self._root: "Node | None" = None

    @property
    def root(self) -> Node:
        if self._root is None:
            if self.parts is None:
                self._root = _read(self.kind, _MARKS.sub(_blank, self.text))
            else:
                self._root = _joined(self.kind, self.parts)
        return self._root


def ending_of(path: str) -> str:
    """The ending of a file's name without those of templates, in lower case."""
    return _bare_name(path).rpartition(".")[2]


def _bare_name(path: str) -> str:
    name = path.lower().replace("\\", "/").rpartition("/")[2]
    while _TEMPLATE.search(name):
        name = name.rpartition(".")[0]
    return name


def kind_of(path: str, text: str) -> str:
    """What a file configures: "" for anything that no rule about configurations reads."""
    lowered = path.lower().replace("\\", "/")
    name = _bare_name(path)
    if name.endswith(_PROSE):
        return ""
    ending = name.rpartition(".")[2]
    if ending in ("vcl", "sql"):
        return ending
    if ending == "tf":
        return "hcl"
    if name == "_headers":
        return "headers"
    if ending in ("js", "mjs", "ts", "mts"):
        return "worker" if _WORKER.search(text) else ""
    if ending in ("yml", "yaml"):
        return (
            "cloudfront-yaml" if _CLOUDFRONT.search(text) else "compose" if _REDIS_IMAGE.search(text) else ""
        )
    if ending == "json":
        return "cloudfront-json" if _CLOUDFRONT.search(text) else ""
    if patterns.search(r"(?:redis|valkey|keydb)[^/]*\.conf$", name):
        return "redis"
    # A template without another ending (site.j2) may be of anything: its text decides.
    template = "." not in name and lowered.endswith((".j2", ".template"))
    if (
        ending in ("conf", "nginx", "vhost", "inc") or template or _NGINX_PLACE.search(lowered)
    ) and _NGINX_TEXT.search(text):
        return "nginx"
    return ""


def is_static(node: Node) -> bool:
    """Whether a block of nginx serves files that are the same for everybody, by its place or its names."""
    for block in (node, *node.around()):
        if block.key == "location" and _STATIC.search(block.value):
            return True
        if block.own("internal", "slice") or any("$slice_range" in child.value for child in block.children):
            return True
        if any(
            patterns.match(r"(?:static|assets?|cdn|media|img|images)\d*\.", name.value)
            for name in block.own("server_name")
        ):
            return True
    return False


_STATIC = regex(
    r"\\?\.\(?[\w|?:()]*\b(?:css|js|png|jpe?g|gif|woff2?|svg|ico|ttf)\b|"
    r"(?:^|[/(|^])(?:static\w*|assets?|media|images?|img|css|js|fonts?|thumb\w*|uploads?|files?|dist|build|_next|public|blobs?|packages?|simple)(?:[-_/)|$]|\b)",
    patterns.I,
)  # fmt: skip


def _blank(found: "re.Match[str]") -> str:
    """A template's mark: some value, or nothing where it stands alone on its line."""
    text = found.group()
    start, end = found.start(), found.end()
    alone = not found.string[found.string.rfind("\n", 0, start) + 1 : start].strip()
    alone = alone and found.string[end : end + 1] in ("\n", "")
    return ("" if alone else "X") + "\n" * text.count("\n")


def _joined(kind: str, parts: "list[Part]") -> Node:
    root = Node("", 0)
    for _, first, text in parts:
        block = _read(kind, _MARKS.sub(_blank, text))
        block.line, block.parent = first, root
        root.children.append(block)
        for node in block.below():
            node.line += first - 1
    return root


def _read(kind: str, text: str) -> Node:
    if kind in ("redis", "headers", "sql", "worker"):
        return _lines(text)
    if kind in ("compose", "cloudfront-yaml"):
        return _indented(text)
    return _braced(text, *_STYLES["json" if kind == "cloudfront-json" else kind])


def _lines(text: str) -> Node:
    root = holder = Node("", 0)
    for number, row in enumerate(text.split("\n"), start=1):
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        if row[0] not in " \t":
            holder = Node(row.strip(), number, root)
            root.children.append(holder)
        else:
            holder.children.append(Node(row.strip(), number, holder))
    return root


def _indented(text: str) -> Node:
    root = Node("", 0)
    open_: "list[tuple[int, Node]]" = [(-1, root)]
    for number, row in enumerate(text.split("\n"), start=1):
        bare = row.strip()
        if not bare or bare.startswith("#") or bare == "---":
            continue
        indent = len(row) - len(row.lstrip())
        while bare.startswith("- ") and indent < 500:
            inner = bare[2:].lstrip()
            while open_[-1][0] >= indent:
                open_.pop()
            item = Node("-", number, open_[-1][1])
            open_[-1][1].children.append(item)
            open_.append((indent, item))
            indent += len(bare) - len(inner)
            bare = inner
        while open_[-1][0] >= indent:
            open_.pop()
        node = Node(patterns.sub(r"\s+#.*", "", bare), number, open_[-1][1])
        open_[-1][1].children.append(node)
        open_.append((indent, node))
    return root


def _braced(text: str, tokens: str, opening: str, closing: str, ends: str) -> Node:
    root = block = Node("", 0)
    parts: "list[str]" = []
    line, first, deep, level, flat = 1, 1, 0, 0, 0

    def close_statement() -> None:
        nonlocal deep
        if parts:
            block.children.append(Node(" ".join("".join(parts).split()), first, block))
            parts.clear()
        deep = 0

    for token in patterns.compiled(tokens).finditer(text):
        kind, mark = token.lastgroup or "", token.group()
        if kind in ("blank", "newline", "comment"):
            line += mark.count("\n")
            if mark == "\n" == ends and not deep:
                close_statement()
            elif parts:
                parts.append(" ")
            continue
        if not parts:
            first = line
        line += mark.count("\n")
        if kind == "mark_" and mark in opening and level >= _DEEPEST:
            close_statement()
            flat += 1
        elif kind == "mark_" and mark in opening:
            node = Node(" ".join("".join(parts).split()), first, block)
            parts.clear()
            block.children.append(node)
            block, deep = node, 0
            level += 1
        elif kind == "mark_" and mark in closing:
            close_statement()
            if flat:
                flat -= 1
            else:
                block, level = block.parent or root, max(level - 1, 0)
        elif mark == ends:
            close_statement()
        else:
            parts.append(mark)
            if ends == "\n" and kind == "word":
                deep = max(0, deep + mark.count("(") + mark.count("[") - mark.count(")") - mark.count("]"))
    close_statement()
    return root


NGINX_MODULES = ("proxy", "fastcgi", "uwsgi", "scgi")
_USER_VARIABLE = regex(
    r"\$\{?(?:cookie_\w+|(?:sent_)?http_(?:cookie|authorization)|\w*(?:session|auth|login|logged|user|uid|no_?cache|skip|bypass|nocache)\w*)"
)  # fmt: skip


def nginx_caches(file: ConfigFile) -> "Iterator[tuple[Node, str]]":
    """(block, module) of the blocks of nginx that turn a cache on; `module` is "proxy", "fastcgi", ..."""
    for module in NGINX_MODULES:
        for node in file.root.all(module + "_cache"):
            if node.value not in ("off", "") and node.parent is not None:
                yield node.parent, module


def caching_modules(file: ConfigFile) -> "list[str]":
    """The modules of nginx whose cache a file turns on or configures for others."""
    names = {node.key for node in file.root.below()}
    return [m for m in NGINX_MODULES if any(name.startswith(m + "_cache") for name in names)]


def user_variables(nodes: "list[Node]") -> "set[str]":
    """The variables in these statements that tell people apart, or requests that are not for the cache."""
    return {found.group() for node in nodes for found in _USER_VARIABLE.finditer(node.value)}


def first_change(old: ConfigFile, new: ConfigFile) -> "tuple[int, int, int]":
    """The place in the new file where something went: its first line that the old one does not have."""
    known = set(old.rows)
    line = next((n for n, row in enumerate(new.rows, start=1) if row not in known), 0)
    if not line:
        pairs = zip(old.rows, new.rows)  # noqa: B905 - Python 3.9
        line = next((n for n, (was, row) in enumerate(pairs, start=1) if was != row), len(new.rows))
    return line, 0, line


def at(node: Node) -> "tuple[int, int, int]":
    return node.line, 0, node.line


def seconds_of(text: str) -> int:
    """A duration of nginx, Varnish or a header as seconds; 0 where it is none."""
    found = patterns.match(r"(\d+)\s*(ms|s|m|h|d|w|M|y)?\b", text.strip(" \"'"))
    if not found:
        return 10**9 if text.strip(" \"'") == "max" else 0
    unit = {"ms": 0, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}
    return int(found[1]) * unit.get(found[2] or "s", 1)
