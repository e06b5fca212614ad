"""Adds a decorator to a function or a class, below its route and guards or next to the function itself."""

import libcst as cst

from cache_strategy.emit.edits._base import Edit, Example, InFunction, code_of, dotted, edit_function


class _AddDecorator(InFunction):
    edits_classes = True

    def __init__(self, qualname: str, decorator: str, below: tuple[str, ...]) -> None:
        super().__init__(qualname)
        self.decorator = cst.parse_expression(decorator)
        self.below = below

    def edit_function(self, function: cst.FunctionDef) -> cst.FunctionDef:
        existing = list(function.decorators)
        wanted = code_of(self.decorator)
        if any(code_of(d.decorator) == wanted for d in existing):
            return function
        at = len(existing)
        if self.below:
            matches = [i for i, d in enumerate(existing) if dotted(d.decorator) in self.below]
            at = matches[-1] + 1 if matches else 0
        added = cst.Decorator(decorator=self.decorator)
        if not existing:
            # comments above the function belong to it and stay above the decorator
            added = added.with_changes(leading_lines=function.leading_lines)
            return function.with_changes(decorators=[added], leading_lines=())
        return function.with_changes(decorators=[*existing[:at], added, *existing[at:]])


def apply(source: str, *, qualname: str, decorator: str, below: tuple[str, ...] = ()) -> str:
    """
    `decorator` (without the @) on the function; `below` names decorators it must stand under, as they are written.

    With an empty `below` it is the innermost one, next to the function.
    """
    return edit_function(source, _AddDecorator(qualname, decorator, below))


edit = Edit(
    __name__,
    apply,
    Example(
        before="@bp.route('/a/<slug>')\n@login_required\n@marshal(schema)\ndef show(slug):  # one\n    return slug\n",
        after=(
            "@bp.route('/a/<slug>')\n@login_required\n@caches.show_endpoint\n"
            "@marshal(schema)\ndef show(slug):  # one\n    return slug\n"
        ),
        arguments={
            "qualname": "show",
            "decorator": "caches.show_endpoint",
            "below": ("bp.route", "login_required"),
        },
    ),
)
