"""
One Python file as the rules and the profiler see it: text, tree, imports.

Standard library only and Python 3.9, because the guard imports it before every edit.
"""

import codecs
import warnings

from cache_strategy.syntax import nodes as ast
from cache_strategy.syntax.patterns import regex

_CODING = regex(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK = regex(rb"^[ \t\f]*(?:[#\r\n]|$)")

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class Unreadable(Exception):
    """A file whose bytes are not a Python module of this Python. The message is the reason, one line."""


class Module:
    """
    A parsed file.

    `name` is the import name ("shop.views"), "" where it is not known. `imports` maps a local name to the
    dotted name it stands for, wherever in the file it is imported; `bindings` maps a name assigned at module
    level to the expression.
    """

    def __init__(
        self, text: str, tree: ast.Module, path: str, name: str = "", is_package: bool = False
    ) -> None:
        self.text = text
        self.tree = tree
        self.path = path
        self.name = name
        self.is_package = is_package
        self._imports: "dict[str, str] | None" = None
        self._bindings: "dict[str, ast.expr] | None" = None
        self._parents: "dict[ast.AST, ast.AST] | None" = None
        # What `decorators_of` has read.
        self.decorators: "dict[ast.AST, list[object]]" = {}
        self._locals: "dict[ast.AST, frozenset[str]]" = {}

    @property
    def imports(self) -> "dict[str, str]":
        if self._imports is None:
            self._imports = imports_of(self.tree, self.name, self.is_package)
        return self._imports

    @property
    def bindings(self) -> "dict[str, ast.expr]":
        if self._bindings is None:
            self._bindings = _bindings_of(self.tree)
        return self._bindings

    def parent(self, node: ast.AST) -> "ast.AST | None":
        """The node that holds `node`; None for the module itself."""
        if self._parents is None:
            self._parents = {
                child: holder for holder in ast.walk(self.tree) for child in ast.iter_child_nodes(holder)
            }
        return self._parents.get(node)

    def enclosing(self, node: ast.AST) -> "list[ast.AST]":
        """The functions, lambdas and classes around `node`, innermost first."""
        around: "list[ast.AST]" = []
        holder = self.parent(node)
        while holder is not None:
            if isinstance(holder, SCOPES):
                around.append(holder)
            holder = self.parent(holder)
        return around

    def is_local(self, name: str, node: ast.AST) -> bool:
        """Whether `name`, where `node` stands, is a parameter or a variable of a function around it."""
        for scope in self.enclosing(node):
            if isinstance(scope, ast.ClassDef):
                continue
            if scope not in self._locals:
                self._locals[scope] = frozenset(self.names_in(scope))
            if name in self._locals[scope]:
                return True
        return False

    def names_in(self, scope: ast.AST) -> "list[str]":
        """The parameters and variables of a function or lambda."""
        return _locals_of(scope)

    def qualname(self, node: ast.AST) -> str:
        """`Class.method` or `outer.inner` of a definition or of the definition around a node; "" at module level."""
        names = [scope.name for scope in self.enclosing(node) if not isinstance(scope, ast.Lambda)]  # type: ignore[attr-defined]  # a function or a class, by what encloses
        names.reverse()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(node.name)
        return ".".join(names)


def decode(data: bytes) -> str:
    """
    The text of a Python file, by its byte order mark or coding line (PEP 263), else UTF-8. Ends of lines become "\\n".

    Raises:
        Unreadable: NUL bytes, an unknown encoding, or bytes that are not of the encoding.
    """
    if b"\0" in data:
        raise Unreadable("holds NUL bytes")
    encoding = "utf-8"
    body = data
    if data.startswith(codecs.BOM_UTF8):
        body = data[3:]
    else:
        encoding = _declared_encoding(data) or encoding
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable("is not {} (byte {})".format(encoding, error.start)) from None
    except (LookupError, ValueError, AssertionError):
        raise Unreadable("names an encoding that Python lacks: {}".format(encoding)) from None
    if not isinstance(text, str):
        raise Unreadable("names an encoding that is not of text: {}".format(encoding))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _declared_encoding(data: bytes) -> str:
    for line in data.split(b"\n", 2)[:2]:
        found = _CODING.match(line)
        if found:
            return found.group(1).decode("ascii", "replace")
        if not _BLANK.match(line):
            break
    return ""


def parse(text: str, path: str, name: str = "", is_package: bool = False) -> Module:
    """
    A file's text as a Module.

    Raises:
        Unreadable: this Python's grammar does not know the text, or it nests too deeply.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, path)
    except SyntaxError as error:
        raise Unreadable("syntax error in line {}: {}".format(error.lineno or "?", error.msg)) from None
    except (RecursionError, MemoryError):
        raise Unreadable("nests too deeply for the parser") from None
    except ValueError as error:
        raise Unreadable(str(error)) from None
    return Module(text, tree, path, name, is_package)


def module_name(path: str) -> "tuple[str, bool]":
    """The import name of a file by its path from the folder on sys.path, and whether it is a package's __init__."""
    parts = path.replace("\\", "/").split("/")
    stem = parts.pop()
    if stem.endswith((".py", ".pyi")):
        stem = stem.rsplit(".", 1)[0]
    if stem == "__init__":
        return ".".join(parts), True
    return ".".join([*parts, stem]), False


def absolute(module: "str | None", level: int, importer: str, is_package: bool) -> str:
    """
    The dotted name that `from <level dots><module>` means in the module `importer`.

    Where the dots lead above what is known they are kept: "..models".
    """
    if not level:
        return module or ""
    parts = importer.split(".") if importer else []
    if not is_package and parts:
        parts.pop()
    up = level - 1
    if not importer or (up and up >= len(parts)):
        return "." * level + (module or "")
    if up:
        parts = parts[:-up]
    if module:
        parts.append(module)
    return ".".join(parts)


def imports_of(tree: ast.AST, importer: str = "", is_package: bool = False) -> "dict[str, str]":
    """Local name to dotted name, for every import statement in the tree, at any depth."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    found[alias.asname] = alias.name
                else:
                    found[alias.name.split(".")[0]] = alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node.module, node.level, importer, is_package)
            for alias in node.names:
                if alias.name != "*":
                    joined = base + alias.name if base.endswith(".") or not base else base + "." + alias.name
                    found[alias.asname or alias.name] = joined
    return found


def _bindings_of(tree: ast.Module) -> "dict[str, ast.expr]":
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


def _locals_of(scope: ast.AST) -> "list[str]":
    arguments = scope.args  # type: ignore[attr-defined]  # a function: only of those it is asked
    names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    names += [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
    outside = set()
    queue = list(ast.iter_child_nodes(scope))
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            names.append(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            outside.update(node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.append(node.name)
        if isinstance(node, SCOPES):
            if not isinstance(node, ast.Lambda):
                names.append(node.name)
            continue
        queue.extend(ast.iter_child_nodes(node))
    return [name for name in names if name not in outside]
