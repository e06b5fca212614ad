"""
The module `ast` as the guard needs it, without its import: the classes are Python's own, walking is written here.

Whatever else is asked for (`unparse`, `dump`) comes from `ast`, which is then imported. Python 3.9.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ast import *  # noqa: F403 - for type checkers: `ast` itself
else:
    from _ast import *  # noqa: F403 - all that `ast` takes from there

    def __getattr__(name):
        import ast

        value = globals()[name] = getattr(ast, name)
        return value

    def parse(text, path="<unknown>"):
        return compile(text, path, "exec", PyCF_ONLY_AST, dont_inherit=True)  # noqa: F405 - from `_ast`

    def iter_child_nodes(node):
        """The nodes directly below a node."""
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, AST):  # noqa: F405 - from `_ast`
                yield value
            elif type(value) is list:
                for item in value:
                    if isinstance(item, AST):  # noqa: F405 - from `_ast`
                        yield item

    def walk(node):
        """The node and all nodes below, level by level."""
        level = [node]
        while level:
            yield from level
            level = [child for each in level for child in iter_child_nodes(each)]
