"""
The module `ast` as the guard needs it, without its import: the classes are Python's own, walking is written here.

Whatever else is asked for (`unparse`, `dump`) comes from `ast`, which is then imported. Python 3.9.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ast import *  # noqa: F403 - for type checkers: `ast` itself
else:
    import _ast
    from _ast import *  # noqa: F403 - all that `ast` takes from there

    def __getattr__(name):
        import ast

        value = globals()[name] = getattr(ast, name)
        return value

    def parse(text, path="<unknown>"):
        return compile(text, path, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)

    def dump(node):
        """A text that two trees share only where they say the same."""
        if isinstance(node, _ast.AST):
            parts = ",".join([dump(getattr(node, name, None)) for name in node._fields])
            return f"{type(node).__name__}({parts})"
        return "[" + ",".join(map(dump, node)) + "]" if type(node) is list else repr(node)

    def iter_child_nodes(node):
        """The nodes directly below a node."""
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, _ast.AST):
                yield value
            elif type(value) is list:
                for item in value:
                    if isinstance(item, _ast.AST):
                        yield item

    def walk(node):
        """The node and all nodes below, level by level."""
        level = [node]
        while level:
            yield from level
            level = [child for each in level for child in iter_child_nodes(each)]

    _COMPARED = {
        _ast.Eq: "==", _ast.NotEq: "!=", _ast.Lt: "<", _ast.LtE: "<=", _ast.Gt: ">", _ast.GtE: ">=", _ast.Is: "is", _ast.IsNot: "is not", _ast.In: "in", _ast.NotIn: "not in",
    }  # fmt: skip

    def unparse(node):
        """An expression as `ast.unparse` writes it; the plain ones without the import."""
        text = _test(node)
        if text is None:
            import ast

            text = ast.unparse(node)
        return text

    def _test(node):
        """The text of a plain expression with its operators; None for whatever is not plain."""
        kind = type(node)
        if kind is _ast.BoolOp:
            first, second, *more = node.values
            texts = [None if type(first) is _ast.BoolOp else _test(first)]
            texts += [_test(second) if type(second) is _ast.Compare else _plain(second), *map(_plain, more)]
            return None if None in texts else (" and " if type(node.op) is _ast.And else " or ").join(texts)
        if kind is _ast.UnaryOp and type(node.op) is _ast.Not:
            text = _plain(node.operand)
            return text and "not " + text
        if kind is _ast.Compare:
            texts = [_plain(value) for value in (node.left, *node.comparators)]
            if None in texts:
                return None
            signs = [_COMPARED[type(op)] for op in node.ops]
            return texts[0] + "".join([f" {sign} {text}" for sign, text in zip(signs, texts[1:])])  # noqa: B905 - Python 3.9
        return _plain(node)

    def _plain(node):
        """The text of a name, an attribute, a call, a subscript or a constant that hold nothing else; or None."""
        kind = type(node)
        if kind is _ast.Name:
            return node.id
        if kind is _ast.Attribute:
            text = None if type(node.value) is _ast.Constant else _plain(node.value)
            return text and f"{text}.{node.attr}"
        if kind is _ast.Constant:
            value = node.value
            plain = value is None or type(value) is bool or (type(value) is int and value >= 0)
            return repr(value) if plain or (type(value) is str and not node.kind) else None
        if kind is _ast.Call:
            named = [keyword.arg and _plain(keyword.value) for keyword in node.keywords]
            texts = [_plain(node.func), *map(_plain, node.args), *named]
            if None in texts or type(node.func) is _ast.Constant:
                return None
            given = texts[1 : 1 + len(node.args)]
            given += [f"{k.arg}={text}" for k, text in zip(node.keywords, named)]  # noqa: B905 - Python 3.9
            return f"{texts[0]}({', '.join(given)})"
        if kind is _ast.Subscript and type(node.value) is not _ast.Constant:
            texts = [_plain(node.value), _plain(node.slice)]
            return None if None in texts else f"{texts[0]}[{texts[1]}]"
        return None
