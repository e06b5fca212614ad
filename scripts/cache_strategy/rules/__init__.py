"""
The safety rules: one file per rule, standard library only, the same answer for hook, linter and transcripts.

Doors: `check_text` for a file, `check_project` for what other files make of it, `check_change` for a file as it is and as it
will be, `check_command` for a shell command, `explain` for a rule's page.
"""

from __future__ import annotations

from cache_strategy.rules._base import REGISTER, Finding, in_order, is_test
from cache_strategy.siblings import load_siblings
from cache_strategy.syntax import patterns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable

    from cache_strategy.rules._base import Rule, VisitNode
    from cache_strategy.rules._edit import Edit
    from cache_strategy.rules._index import Function, IndexedModule
    from cache_strategy.rules.index.store import ProjectIndex

__all__ = [
    "COMMAND_PATH",
    "Finding",
    "all_rules",
    "check_change",
    "check_command",
    "check_project",
    "check_text",
    "explain",
    "rule_named",
]

COMMAND_PATH = "<command>"
PYTHON_ENDINGS = (".py", ".pyi", ".ipynb")
_KINDS = ("code", "commands", "config", "project")
# The rules of each folder, once it has been imported.
_LOADED: "dict[str, list[Rule]]" = {}


def check_text(text: str, path: str) -> "list[Finding]":
    """
    What is unsafe in a file as it stands, by place.

    Empty for files that are neither Python nor a configuration.

    Raises:
        syntax.module.Unreadable: this Python's grammar does not know the text.
    """
    if not path.endswith(PYTHON_ENDINGS):
        return _check_config(None, text, path)
    from cache_strategy.rules._edit import Edit
    from cache_strategy.rules._index import IndexedModule
    from cache_strategy.rules._suppress import suppress_text
    from cache_strategy.syntax.module import parse

    module = parse(text, path)
    rules = _rules_for("code", Edit(None, text))
    if not rules:
        return []
    found = [] if is_test(module) else _visit(rules, IndexedModule(module))
    return in_order(suppress_text(found, text, path))


def check_project(text: str, path: str, index: "ProjectIndex") -> "list[Finding]":
    """What is unsafe in a Python file as it stands, with what the index knows of the other files of its project."""
    from cache_strategy.rules._edit import Edit

    wide = _rules_for("project", Edit(None, text)) if path.endswith(".py") else []
    return (_judge([], wide, None, text, path, index) or []) if wide else []


def check_change(
    before: "str | None",
    after: str,
    path: str,
    known: "Callable[[], ProjectIndex | None] | None" = None,
) -> "list[Finding]":
    """
    What a change brings or takes away, by place in `after`; a problem that `before` had is not told again.

    `before` is None for a new file. `known` gives the index of the project where there is one: then the rules about its
    other files are asked. Empty for files that are neither Python nor a configuration and for texts that this Python
    cannot read: an edit in the middle of a rewrite is no reason to speak.
    """
    if before == after:
        return []
    if not path.endswith(PYTHON_ENDINGS):
        return _check_config(before, after, path)
    from cache_strategy.rules._edit import Edit

    edit = Edit(before, after)
    rules = _rules_for("code", edit)
    index = known() if known is not None and edit.may_concern_others() else None
    wide = _rules_for("project", edit) if index is not None else []
    if not rules and not wide:
        return []
    if before is not None:
        from cache_strategy.rules._narrow import narrowed

        cut = narrowed(before, after)
        found = _judge(rules, wide, cut[0], cut[1], path, index) if cut is not None else None
        if found is not None:
            # What is found there is found in the whole, but for what was said of other files.
            names = {finding.name for finding in found}
            wide = [rule for rule in wide if rule.name in names]
            if not wide:
                return found
            rules = [rule for rule in rules if rule.name in names]
    return _judge(rules, wide, before, after, path, index) or []


def _judge(
    rules: "list[Rule]",
    wide: "list[Rule]",
    before: "str | None",
    after: str,
    path: str,
    index: "ProjectIndex | None",
) -> "list[Finding] | None":
    """What the rules say of a change of a Python file; None where this Python cannot read it."""
    from cache_strategy.rules._change import Change
    from cache_strategy.rules._index import IndexedModule
    from cache_strategy.rules._suppress import suppress_text
    from cache_strategy.syntax.module import Unreadable, parse

    try:
        new = IndexedModule(parse(after, path))
        old = IndexedModule(parse(before, path)) if before is not None else None
    except Unreadable:
        return None
    change = Change(old, new) if old is not None else None
    found = suppress_text(_visit(rules, new, change.new if change is not None else None), after, path)
    if before is not None and old is not None and change is not None:
        if found:
            found = _brought(
                found, after, suppress_text(_visit(rules, old, change.old), before, path), before
            )
        judged = () if is_test(new) else rules
        taken = [f for rule in judged for visitor in rule.change_visitors for f in visitor(change)]
        told = {(finding.rule, finding.line) for finding in taken}
        found = [finding for finding in found if (finding.rule, finding.line) not in told]
        found = found + suppress_text([f._replace(path=path) for f in taken], after, path, only_findings=True)
    if wide and index is not None and not is_test(new):
        from cache_strategy.rules.index.change import ProjectChange

        inside = ProjectChange(old, new, index)
        seen = [visitor(inside) for rule in wide for visitor in rule.project_visitors]
        lines = {finding.line for finding in found}
        more = [f._replace(path=path) for each in seen for f in each if f.line not in lines]
        found = found + suppress_text(more, after, path, only_findings=True)
    return in_order(found)


def _check_config(before: "str | None", after: str, path: str) -> "list[Finding]":
    """The findings of the rules about configurations."""
    from cache_strategy.rules._config_check import check_config
    from cache_strategy.rules._edit import Edit

    edit = Edit(before, after)
    return in_order(check_config(before, after, path, lambda kind: _rules_for(kind, edit), _brought))


def check_command(command: str, cwd: str = "") -> "list[Finding]":
    """What a shell command would do to a cache; places are lines and columns of the command itself."""
    from cache_strategy.rules._edit import Edit

    rules = _rules_for("commands", Edit(None, command))
    if not rules:
        return []
    from cache_strategy.rules._shell import comments_of, invocations
    from cache_strategy.rules._suppress import suppress_command

    runs = invocations(command)
    found = [
        finding._replace(path=COMMAND_PATH)
        for rule in rules
        for run in runs
        for visitor in rule.command_visitors
        for finding in visitor(run)
    ]
    return in_order(suppress_command(found, comments_of(command)))


def explain(rule_name: str) -> str:
    """
    A rule's page, by its name or its code.

    Raises:
        KeyError: no rule of that name; its argument is a line that names the rules there are.
    """
    return rule_named(rule_name).page


def rule_named(name: str) -> "Rule":
    """The rule of a name or a code; raises KeyError like `explain`."""
    for rule in all_rules():
        if name in (rule.name, rule.code):
            return rule
    known = ", ".join(rule.name for rule in all_rules())
    raise KeyError(f"{name}: no such rule; there are {known}.")


def all_rules() -> "list[Rule]":
    """Every rule, in code order."""
    for kind in _KINDS:
        _load(kind)
    return sorted(REGISTER.values(), key=lambda rule: rule.code)


def _load(kind: str) -> "list[Rule]":
    if kind not in _LOADED:
        package = "cache_strategy.rules." + kind
        __import__(package)
        _LOADED[kind] = [module.rule for module in load_siblings(package)]
    return _LOADED[kind]


def _rules_for(kind: str, edit: "Edit") -> "list[Rule]":
    """The rules of a kind that can have something to say about an edit."""
    lowered = edit.after.lower() + (edit.before or "").lower()
    rules = _load(kind)
    present = {word for word in {word for rule in rules for word in rule.keywords} if word in lowered}
    return [
        rule
        for rule in rules
        if (not rule.keywords or not present.isdisjoint(rule.keywords))
        and (rule.concerns is None or rule.concerns(edit))
    ]


def _visit(
    rules: "list[Rule]", module: "IndexedModule", only: "dict[str, Function] | None" = None
) -> "list[Finding]":
    """The findings of the rules that look at one file, in one walk; with `only` outside of all other functions."""
    if is_test(module):
        return []
    from cache_strategy.rules._caches import mentions_cache
    from cache_strategy.syntax.module import FUNCTIONS

    found: "list[Finding]" = []
    for wide in (True, False):
        by_type: "dict[type, list[VisitNode]]" = {}
        for rule in rules:
            for types, visitor in rule.node_visitors if rule.wide is wide else ():
                for kind in types:
                    by_type.setdefault(kind, []).append(visitor)
        nodes: "Iterable[ast.AST]" = module.nodes if by_type else ()
        if by_type and only is not None and not wide:
            changed = set(only.values())
            nodes = module.outside((f for f in module.functions if f not in changed), changed)
        for node in nodes:
            visitors = by_type.get(type(node), ())
            if visitors and not wide and isinstance(node, FUNCTIONS) and not mentions_cache(node, module):
                continue
            for visitor in visitors:
                found.extend(finding._replace(path=module.path) for finding in visitor(node, module))
    return found


def _brought(
    found: "list[Finding]", after: str, earlier: "Iterable[Finding]", before: str
) -> "list[Finding]":
    """The findings that have no counterpart in the text before: the same words, or the same flagged line."""
    new_lines, old_lines = after.split("\n"), before.split("\n")
    words = [_words(finding) for finding in earlier]
    lines = [(finding.rule, _line(finding, old_lines)) for finding in earlier]
    kept = []
    for finding in found:
        if _words(finding) in words:
            index = words.index(_words(finding))
        elif (finding.rule, _line(finding, new_lines)) in lines:
            index = lines.index((finding.rule, _line(finding, new_lines)))
        else:
            kept.append(finding)
            continue
        del words[index], lines[index]
    return kept


def _words(finding: "Finding") -> "tuple[str, str]":
    return finding.rule, patterns.sub(r"\d+", "#", finding.message)


def _line(finding: "Finding", lines: "list[str]") -> str:
    return lines[finding.line - 1][:500].strip() if 0 < finding.line <= len(lines) else ""
