"""
Writes accepted proposals as rule files, whole or not at all, never over a file that is there; turns rules on and off,
and notes which rules of a repository the user approved.
"""

import contextlib
import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cache_strategy.hookify.draft import ANY_CHANGE
from cache_strategy.hookify.find import config_folder
from cache_strategy.hookify.masking import masked, plain
from cache_strategy.hookify.patterns import why_unsafe
from cache_strategy.hookify.rule_files import (
    RuleFile,
    examples_of,
    read_rule_file,
    rule_file,
    rule_paths,
    stem_of,
)
from cache_strategy.model.document import read_json
from cache_strategy.model.errors import CacheStrategyError, Refusal
from cache_strategy.model.proposal import Example, Proposal, Proposals
from cache_strategy.rules import all_rules
from cache_strategy.rules._hookify_plugin import read_like_hookify
from cache_strategy.rules._trust import approve, is_foreign

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?\Z")
_MESSAGE_LIMIT = 2_000
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV)


def read_proposals(path: Path) -> Proposals:
    """
    The proposals of `hookify propose --json`, read back.

    Raises:
        CacheStrategyError: no file, not JSON, another schema, or a field that is no proposal's.
    """
    return read_json(path, Proposals, "cache-strategy hookify propose --json > proposals.json")


def write_rules(proposals: Proposals, names: Sequence[str], project: Path) -> tuple[Path, ...]:
    """
    Writes the named proposals, enabled, to `.claude/` of the project; everything is checked before the first is written.

    Raises:
        CacheStrategyError: a name that is not proposed, a proposal that makes no safe rule, a folder that cannot be
            written or leads out of the project.
        Refusal: a rule file of that name is there already.
    """
    known = {proposal.name: proposal for proposal in proposals.proposals}
    listed = ", ".join(known) or "none"
    if not names:
        raise CacheStrategyError(f"No proposal was named; name those you accept, of {listed}.")
    for name in names:
        if name not in known:
            raise CacheStrategyError(f"{plain(name)[:80]}: is not proposed; there are {listed}.")
    accepted = [known[name] for name in dict.fromkeys(names)]
    folder = _folder_of(project)
    texts = [(folder / _file_name(proposal), _rule_text(proposal)) for proposal in accepted]
    for path, _ in texts:
        if os.path.lexists(path):
            raise _already_there(path)
    for path, text in texts:
        _write_new(path, text)
        _note_own(path)
    return tuple(path for path, _ in texts)


def set_enabled(name: str, project: Path, *, on: bool) -> Path:
    """
    Turns a rule on or off: only the line `enabled:` of its file changes.

    Raises:
        CacheStrategyError: there is no such rule, it is a link, or its file cannot be read or written.
    """
    rule = _rule_named(name, project)
    if rule.problem or rule.path.is_symlink():
        why = "is a link" if rule.path.is_symlink() else rule.problem
        raise CacheStrategyError(f"{rule.path}: {why}; a rule file is needed. Repair it first.")
    lines = rule.raw.split("\n")
    number = rule.lines.get("enabled", 0)
    lines[number - 1 : number] = [f"enabled: {'true' if on else 'false'}"] if number else []
    if not number:
        lines.insert(1, f"enabled: {'true' if on else 'false'}")
    known = not is_foreign(str(rule.path), str(config_folder()))
    _replace(rule.path, "\n".join(lines))
    if known:
        _note_own(rule.path)
    return rule.path


def _note_own(path: Path) -> None:
    """So that a rule made here still counts once the user has committed it."""
    with contextlib.suppress(OSError):
        approve(str(path), str(config_folder()))


def approve_rule(name: str, project: Path) -> Path:
    """
    Notes that the user wants a rule that came with the repository, as it stands now.

    Raises:
        CacheStrategyError: there is no such rule, or the user's own folder cannot be written.
    """
    path = _rule_named(name, project).path
    try:
        approve(str(path), str(config_folder()))
    except OSError as error:
        raise _unwritable(config_folder(), error) from error
    return path


def _rule_named(name: str, project: Path) -> RuleFile:
    rules = [read_rule_file(path) for path in rule_paths(project)]
    named = [rule for rule in rules if name in (rule.text("name"), stem_of(rule.path))]
    if len(named) != 1:
        which = "names several rules" if named else "is no rule here"
        known = ", ".join(stem_of(rule.path) for rule in rules) or "none"
        raise CacheStrategyError(f"{plain(name)[:80]}: {which}; there are {known}. Name one of them.")
    return named[0]


def _file_name(proposal: Proposal) -> str:
    if not _NAME.match(proposal.name):
        raise CacheStrategyError(
            f"{plain(proposal.name)[:80]!r}: is no name for a rule; write lower-case letters, digits and dashes, at most 60."
        )
    return f"hookify.{proposal.name}.local.md"


def _rule_text(proposal: Proposal) -> str:
    """The rule file of a proposal, enabled, the same to a YAML reader and to hookify."""
    if bool(proposal.pattern) == bool(proposal.check):
        raise CacheStrategyError(
            f"{proposal.name}: needs either a pattern or a check, not both. Propose again."
        )
    lines = [
        f"name: {proposal.name}",
        "enabled: true",
        f"event: {proposal.event}",
        f"action: {proposal.action}",
    ]
    lines += _what_lines(proposal)
    if proposal.examples:
        lines.append("examples:")
        for example in proposal.examples:
            lines += _example_lines(example)
    message = masked(plain(proposal.message)).strip()[:_MESSAGE_LIMIT]
    if not message:
        raise CacheStrategyError(f"{proposal.name}: has no message; say what to do instead.")
    text = "---\n" + "\n".join(lines) + "\n---\n\n" + message + "\n"
    _read_back(proposal, text)
    return text


def _what_lines(proposal: Proposal) -> list[str]:
    if proposal.check:
        known = [rule.name for rule in all_rules()]
        if proposal.check not in known:
            raise CacheStrategyError(
                f"{proposal.name}: check {plain(proposal.check)[:60]!r} is no safety rule; there are {', '.join(known)}."
            )
        return [f"check: {proposal.check}"]
    for pattern in filter(None, (proposal.pattern, proposal.files)):
        problem = why_unsafe(pattern)
        if problem:
            raise CacheStrategyError(
                f"{proposal.name}: the pattern {plain(pattern)[:80]!r} {problem}. Write another."
            )
    conditions = _conditions_of(proposal)
    if not conditions:
        return [f"pattern: {proposal.pattern}"]
    lines = ["conditions:"]
    for condition in conditions:
        lines += [f"  {'- ' if key == 'field' else '  '}{key}: {value}" for key, value in condition.items()]
    return lines


def _conditions_of(proposal: Proposal) -> list[dict[str, str]]:
    """The conditions of a rule that a pattern alone cannot say."""
    if proposal.event == "stop":
        ran = {"field": "commands_since_edit", "operator": "not_regex_match", "pattern": proposal.pattern}
        return [ran]
    if not proposal.files:
        return []
    where = {"field": "file_path", "operator": "regex_match", "pattern": proposal.files}
    what = {"field": "new_text", "operator": "regex_match", "pattern": proposal.pattern}
    return [where] if proposal.pattern == ANY_CHANGE else [where, what]


def _example_lines(example: Example) -> list[str]:
    lines = [f"  - expect: {example.expect}"]
    for field in ("command", "path", "added", "before", "after"):
        value = getattr(example, field)
        if value or (field == "after" and example.before):
            lines.append(f"    {field}: {_quoted(masked(plain(value)))}")
    return lines


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar of ASCII, without `---`: JSON's form, but for what it writes in two halves."""
    halves = re.sub(r"\\u(d[89ab]..)\\u(d[c-f]..)", _whole, json.dumps(text))
    return halves.replace("---", "--\\x2d")


def _whole(halves: re.Match[str]) -> str:
    high, low = (int(half, 16) for half in halves.groups())
    return f"\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08x}"


def _read_back(proposal: Proposal, text: str) -> None:
    """The guard's reader and hookify's must find in the file what was written into it."""
    rule = rule_file(Path(_file_name(proposal)), text)
    theirs = read_like_hookify(text) or {}
    wanted = {"name": proposal.name, "event": proposal.event, "action": proposal.action}
    conditions = _conditions_of(proposal)
    if proposal.pattern and not conditions:
        wanted["pattern"] = proposal.pattern
    same = all(rule.fields.get(key) == value == theirs.get(key) for key, value in wanted.items())
    same = same and rule.text("enabled") == "true" and theirs.get("enabled") is True
    same = same and rule.conditions() == theirs.get("conditions", []) == conditions
    if not same or len(examples_of(rule)) != len(proposal.examples):
        raise CacheStrategyError(
            f"{proposal.name}: cannot be written so that every reader of rules reads the same. Write another pattern."
        )


def _folder_of(project: Path) -> Path:
    """`.claude` of the project, created; inside the project also where it is a link."""
    if not project.is_dir():
        raise CacheStrategyError(f"{project}: is no folder; name the project that the rules are for.")
    folder = project / ".claude"
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise CacheStrategyError(
            f"{folder}: is a file; a folder is needed for the rules. Move it away."
        ) from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not folder.resolve().is_relative_to(project.resolve()):
        raise CacheStrategyError(
            f"{folder}: leads out of the project; rules are written inside it only. Replace the link."
        )
    return folder


def _write_new(path: Path, text: str) -> None:
    """A new file in one step: written beside, then linked to its name, which fails where the name is taken."""
    try:
        with _written_beside(path, text) as beside:
            try:
                os.link(beside, path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                with path.open("x", encoding="utf-8", newline="\n") as stream:
                    stream.write(text)
    except FileExistsError:
        raise _already_there(path) from None
    except OSError as error:
        raise _unwritable(path, error) from error


def _replace(path: Path, text: str) -> None:
    try:
        with _written_beside(path, text) as beside:
            beside.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def _written_beside(path: Path, text: str) -> Iterator[Path]:
    """A file of this text in the same folder; gone afterwards."""
    handle, name = tempfile.mkstemp(prefix=".hookify-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        yield Path(name)
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()


def _unwritable(path: Path, error: OSError) -> CacheStrategyError:
    return CacheStrategyError(
        f"{path}: cannot be written ({error.strerror}); rules need a writable folder. Change its permissions."
    )


def _already_there(path: Path) -> Refusal:
    return Refusal(
        f"{path}: is already there; a rule is never written over. Remove it, or rename the proposal in the JSON."
    )
