"""The narrowest rule that would have caught an incident, as a draft: what to look for, where, under which name."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from cache_strategy.hookify.changes import added_text, change_of, newly_matches, shortened
from cache_strategy.hookify.commands import programs
from cache_strategy.hookify.detectors import Sighting
from cache_strategy.hookify.linking import stem, words_said
from cache_strategy.hookify.masking import masked
from cache_strategy.hookify.patterns import (
    ahead,
    at_command,
    escaped,
    is_plain,
    readable,
    under_wrapper,
    why_unsafe,
    within,
)
from cache_strategy.hookify.transcripts import Session, ToolCall
from cache_strategy.hookify.vocabulary import spoken_deed, spoken_text
from cache_strategy.model.proposal import Example, RuleEvent
from cache_strategy.rules import check_change, check_command

ANY_CHANGE = "."
"""The pattern of a rule that is about a file's path alone."""

_COMMAND_LIMIT = 8_000
_EXAMPLE_LIMIT = 1_200

CHECKS: dict[str, tuple[RuleEvent, str, str]] = {
    "removed-invalidation": (
        "file",
        "keep-invalidation",
        "Keep the invalidation beside the write, or move it to where every writer passes, after the commit.",
    ),
    "shared-key-for-user-data": (
        "file",
        "user-in-cache-key",
        "Put the user into the key, or do not cache what depends on the user.",
    ),
    "cache-wipe-command": (
        "bash",
        "no-cache-wipe",
        "Delete the keys concerned or bump their version; use SCAN instead of KEYS. Sessions and other applications may live in the same Redis.",
    ),
}
"""Per safety check: the event, a rule's name, what to do instead."""

_PLUMBING = frozenset(
    "cd echo printf tail head grep rg egrep sleep cat wc true false sort uniq jq tee ls export set which awk sed cut tr find xargs pwd test [ read".split()
)
"""Programs that stand around the one a command is about."""

_DANGEROUS = frozenset(
    "kill pkill killall rm dd mkfs truncate shutdown reboot drop dropdb redis-cli psql mysql ssh scp rsync".split()
)
_WITH_SUBCOMMANDS = frozenset(
    "git npm pnpm yarn bun docker kubectl helm pip pip3 uv cargo gh make systemctl service terraform poetry brew apt apt-get go npx bunx dotnet "
    "rails bundle gem composer php artisan flask alembic aws gcloud az fly heroku vercel supabase prisma redis-cli launchctl".split()
)
_TWO_LEVELS = frozenset(
    (program, word)
    for program, words in {
        "npm": "run",
        "pnpm": "run exec",
        "yarn": "run",
        "bun": "run",
        "docker": "compose container image volume",
        "gh": "pr issue release repo run",
        "uv": "run pip",
        "poetry": "run",
        "kubectl": "rollout",
        "git": "stash worktree",
        "flask": "db",
    }.items()
    for word in words.split()
)
_INTERPRETERS = frozenset("python python3 node bash sh zsh ruby perl deno tsx ts-node bun".split())
_TELLING_FLAGS = frozenset(
    "--force -f --no-verify --hard -rf -fr -r --force-with-lease --amend -9 --delete -D --headless -c -e --prune --all -A --purge --no-cache".split()
)
_WITH_TARGETS = frozenset(
    "rm mv cp ln chmod chown curl wget ssh kill pkill killall psql mysql sqlite3 dropdb tar rsync scp truncate open".split()
)


@dataclass(slots=True)
class Draft:
    """
    A rule in the making.

    `files` narrows event file to paths. `calls` are the keys of the calls objected to, `examples` some of them, masked.
    `named` is true for a deed that has a name in speech: such a rule makes sense before the first call. `near` is a word
    of calls that are alike and shall pass. `endings` are the kinds of file it was seen in; `files` follows from them.
    """

    event: RuleEvent
    name: str
    instead: str
    pattern: str = ""
    check: str = ""
    files: str = ""
    calls: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    named: bool = False
    near: str = ""
    endings: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Drafts with the same key are one rule."""
        return (self.event, self.check, self.pattern, "" if self.endings else self.files)

    def take_in(self, other: "Draft") -> None:
        """Makes one rule of two with the same key."""
        self.calls = tuple(dict.fromkeys((*self.calls, *other.calls)))
        self.examples = tuple(dict.fromkeys((*self.examples, *other.examples)))[:3]
        self.see_in(self.endings | other.endings)

    def see_in(self, endings: frozenset[str]) -> None:
        """Narrows the rule to kinds of file; to none where one has no ending."""
        self.endings = endings
        if endings:
            known = sorted(re.escape(ending) for ending in endings)
            self.files = "" if "" in endings else "(?:" + "|".join(known) + r")\Z"


def draft_for(sighting: Sighting, session: Session) -> Draft | None:
    """The narrowest rule for a sighting; None where none suggests itself."""
    draft = _draft(sighting, session)
    if (
        draft is None
        or (draft.pattern and why_unsafe(draft.pattern))
        or (draft.files and why_unsafe(draft.files))
    ):
        return None
    return draft


def _draft(sighting: Sighting, session: Session) -> Draft | None:
    if sighting.check:
        return _check_draft(sighting)
    if sighting.kind == "rejected_call":
        return _draft_for_rejected(sighting)
    return (
        _preferred_draft(sighting)
        or _spoken_draft(sighting)
        or _command_draft([c for c in sighting.calls if c.command], sighting.words)
        or _file_draft(sighting, session)
    )


def _check_draft(sighting: Sighting) -> Draft:
    event, name, instead = CHECKS[sighting.check]
    draft = Draft(event=event, name=name, instead=instead, check=sighting.check)
    draft.calls = tuple(call.key for call in sighting.calls)
    examples = (example_of(call, with_change=True) for call in sighting.calls[:3])
    draft.examples = tuple(e for e in examples if e is not None and matches_example(draft, e))
    return draft


def _draft_for_rejected(sighting: Sighting) -> Draft | None:
    call = sighting.calls[0]
    if call.command:
        deed = spoken_deed(sighting.core) if sighting.core else None
        if deed is not None and re.search(deed.pattern, call.command[:_COMMAND_LIMIT], re.I):
            return _finished(
                Draft(event="bash", name=deed.name, instead=deed.instead, pattern=deed.pattern, named=True),
                [call],
            )
        return _command_draft([call], tuple(words_said(sighting.core))) or _command_draft([call], ())
    if call.path:
        draft = _token_draft(sighting.core, [call]) if sighting.core else None
        return draft or _path_draft(PurePosixPath(call.path.replace("\\", "/")).name, [call])
    return None


def _spoken_draft(sighting: Sighting) -> Draft | None:
    text = spoken_text(sighting.core)
    if text is not None:
        hits = [
            c
            for c in reversed(sighting.recent)
            if c.path and newly_matches(re.compile(text.pattern, re.I), c)
        ]
        draft = Draft(
            event="file", name=f"no-{text.name}", instead=text.instead, pattern=text.pattern, named=True
        )
        draft.see_in(_endings_of(hits))
        return _finished(draft, hits)
    deed = spoken_deed(sighting.core)
    if deed is not None:
        hits = [
            c for c in reversed(sighting.recent) if re.search(deed.pattern, c.command[:_COMMAND_LIMIT], re.I)
        ]
        return _finished(
            Draft(event="bash", name=deed.name, instead=deed.instead, pattern=deed.pattern, named=True), hits
        )
    return None


_PREFERENCE = re.compile(
    r"\buse\s+[`'\"]?([\w./-]+)[`'\"]?(?:\s+\S+)?,?\s+(?:and\s+not|not|instead\s+of|rather\s+than)\s+[`'\"]?([\w./-]+)",
    re.I,
)


def _preferred_draft(sighting: Sighting) -> Draft | None:
    """ "use X, not Y": Y as a program, where it was run."""
    match = _PREFERENCE.search(sighting.core)
    if match is None or not is_plain(match[2]):
        return None
    pattern = at_command(escaped(match[2]))
    hits = [c for c in reversed(sighting.recent) if re.search(pattern, c.command[:_COMMAND_LIMIT], re.I)]
    if not hits:
        return None
    name = f"{match[1]}-instead-of-{match[2]}"
    return _finished(
        Draft(event="bash", name=name, instead=f"Use {masked(match[1])}.", pattern=pattern), hits
    )


def _command_draft(calls: Sequence[ToolCall], words: Sequence[str]) -> Draft | None:
    """From the commands themselves: program, subcommand, telling flags, and the argument that was spoken of."""
    best: Draft | None = None
    for call in calls[:5]:
        run = _run_spoken_of(call.command, words)
        if run is None:
            continue
        pattern, name = _pattern_of(run, words)
        if not re.search(pattern, call.command[:_COMMAND_LIMIT], re.I):
            pattern = under_wrapper(pattern)
        if why_unsafe(pattern) or not re.search(pattern, call.command[:_COMMAND_LIMIT], re.I):
            continue
        hits = [c for c in calls if re.search(pattern, c.command[:_COMMAND_LIMIT], re.I)]
        draft = Draft(event="bash", name=name, instead="Ask first, or say why it is needed.", pattern=pattern)
        draft.near = run[0]
        draft = _finished(draft, hits)
        if best is None or len(draft.calls) > len(best.calls):
            best = draft
    return best


def _run_spoken_of(command: str, words: Sequence[str]) -> list[str] | None:
    """The program of a command that shares the most with what was said; without words the one that does the most."""
    runs = [run for run in programs(masked(command[:_COMMAND_LIMIT])) if is_plain(run[0])]
    telling = [run for run in runs if run[0] not in _PLUMBING]
    if words:
        telling = [run for run in telling if _spoken_in(run, words)]
        return max(telling, key=lambda run: len(_spoken_in(run, words)), default=None)
    dangerous = [run for run in telling if run[0] in _DANGEROUS]
    return next(iter(dangerous or telling or runs[-1:]), None)


def _spoken_in(run: Sequence[str], words: Sequence[str]) -> set[str]:
    """The words of `words` that a program's name and arguments hold."""
    return {stem(part) for word in run for part in re.findall(r"[A-Za-z]{3,}", word)} & set(words)


def _pattern_of(run: Sequence[str], words: Sequence[str]) -> tuple[str, str]:
    """(pattern, name) of one program as it was run."""
    program, arguments = run[0], run[1:]
    head, names = [escaped(program)], [program]
    plain = [word for word in arguments if not word.startswith("-") and is_plain(word)]
    # "stay away from docker" is about the program, whatever it was to do.
    only_program = bool(words) and not _spoken_in(arguments, words)
    if program in _WITH_SUBCOMMANDS and arguments[:1] and arguments[0] in plain and not only_program:
        head.append(escaped(arguments[0]))
        names.append(arguments[0])
        if (program, arguments[0]) in _TWO_LEVELS and arguments[1:2] and arguments[1] in plain:
            head.append(escaped(arguments[1]))
            names.append(arguments[1])
    pattern = at_command(*head)
    target = ""
    rest = [word for word in plain if word not in names]
    if program in _INTERPRETERS and rest and len(names) == 1:
        target = PurePosixPath(rest[0]).name
    elif program in _PLUMBING and rest:
        target = PurePosixPath(rest[-1]).name
    elif program in _WITH_TARGETS and rest:
        target = PurePosixPath(rest[-1] if program == "ssh" and len(rest) == 1 else rest[0]).name
    else:
        spoken = [
            word for word in rest if {stem(part) for part in re.findall(r"[A-Za-z]{3,}", word)} & set(words)
        ]
        target = PurePosixPath(spoken[0]).name if spoken else ""
    for flag in arguments:
        if flag in _TELLING_FLAGS and flag != target:
            pattern += ahead(rf"\s{escaped(flag)}(?![\w-])")
            names.append(flag.lstrip("-"))
    if target:
        pattern += within(rf"(?<![\w-]){escaped(target)}(?![\w-])")
        names.append(target)
    return pattern, "-".join(names)


def _file_draft(sighting: Sighting, session: Session) -> Draft | None:
    edits = [call for call in sighting.calls if call.path]
    return (
        _token_draft(sighting.core, edits)
        or _path_spoken_of(sighting.core, session.calls)
        or _identifier_draft(edits, sighting.words)
    )


_CODE_TOKEN = re.compile(r"`([^`\n]{2,80})`|\b([A-Za-z]+_\w+|[a-z]+[A-Z]\w*|\w+\.\w+\(?\)?|\w+\(\))")


def _token_draft(said: str, edits: Sequence[ToolCall]) -> Draft | None:
    """A piece of code that was named and stands in the added text."""
    for match in _CODE_TOKEN.finditer(said):
        token = (match[1] or match[2]).strip().rstrip("()")
        hits = [call for call in edits if token and token in added_text(call)]
        if len(token) >= 3 and hits and "MASKED" not in masked(token):
            return _text_draft(token, hits)
    return None


def _identifier_draft(edits: Sequence[ToolCall], words: Sequence[str]) -> Draft | None:
    """An identifier of the added text that is made of two of the words said, or of one rare long one."""
    for call in edits[:3]:
        ranked = []
        for identifier in dict.fromkeys(re.findall(r"[A-Za-z_]\w{5,60}", added_text(call)[:8000])):
            parts = {stem(p) for p in re.findall(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}", identifier)}
            shared = len(parts & set(words))
            if shared >= 2 and "MASKED" not in masked(identifier):
                ranked.append((shared / len(parts), identifier))
        if ranked:
            token = max(ranked)[1]
            return _text_draft(token, [c for c in edits if token in added_text(c)])
    return None


def _text_draft(token: str, hits: Sequence[ToolCall]) -> Draft:
    pattern = rf"(?<!\w){escaped(token)}" + (r"(?!\w)" if token[-1:].isalnum() else "")
    draft = Draft(
        event="file", name=f"no-{token}", instead="Leave it out, or ask first.", pattern=readable(pattern)
    )
    draft.see_in(_endings_of(hits))
    return _finished(draft, hits)


def _endings_of(hits: Sequence[ToolCall]) -> frozenset[str]:
    return frozenset(PurePosixPath(call.path).suffix for call in hits)


def _path_spoken_of(said: str, calls: Sequence[ToolCall]) -> Draft | None:
    """Two or three neighbouring words that are a file's or folder's name: "the full schema" and FullSchema.ts."""
    words = re.findall(r"[A-Za-z0-9]+", said)
    edits = [call for call in calls if call.path]
    folded = [(call, re.sub(r"[^a-z0-9/]", "", call.path.lower())) for call in edits]
    for size in (3, 2):
        for start in range(len(words) - size + 1):
            gram = [word.lower() for word in words[start : start + size]]
            if sum(len(word) for word in gram) < 6 or any(
                len(word) < 2 and not word.isdigit() for word in gram
            ):
                continue
            hits = [call for call, path in folded if "".join(gram) in path]
            if hits and len(hits) <= max(3, len(edits) // 2):
                files = "[-_. ]?".join(re.escape(word) for word in gram)
                draft = Draft(
                    event="file",
                    name="leave-" + "-".join(gram),
                    instead="Leave this file as it is; ask first.",
                    pattern=ANY_CHANGE,
                    files=files,
                )
                return _finished(draft, list(reversed(hits)))
    return None


def _path_draft(name: str, hits: Sequence[ToolCall]) -> Draft | None:
    if not is_plain(name):
        return None
    draft = Draft(
        event="file",
        name=f"leave-{name}",
        instead="Ask before changing this file.",
        pattern=ANY_CHANGE,
        files=rf"(?:^|[\\/]){escaped(name)}\Z",
    )
    return _finished(draft, hits)


def _finished(draft: Draft, hits: Iterable[ToolCall]) -> Draft:
    calls = list(hits)
    draft.calls = tuple(call.key for call in calls)
    examples = (example_of(call) for call in calls[:5])
    draft.examples = tuple(e for e in examples if e is not None and matches_example(draft, e))[:3]
    return draft


def matches_example(draft: Draft, example: Example) -> bool:
    """Whether a masked example still has what the draft looks for."""
    if draft.check:
        found = (
            check_command(example.command)
            if example.command
            else check_change(example.before, example.after, example.path)
        )
        return any(finding.name == draft.check for finding in found)
    text = example.command if draft.event == "bash" else example.added
    return bool(re.search(draft.pattern, text, re.I)) and bool(re.search(draft.files, example.path, re.I))


def example_of(
    call: ToolCall, *, with_change: bool = False, expect: Literal["match", "pass"] = "match"
) -> Example | None:
    """A masked call as an example for a rule file; None where it is too long to keep or is no command and no edit."""
    if call.command:
        text = masked(call.command)
        return Example(expect=expect, command=text) if len(call.command) <= _EXAMPLE_LIMIT else None
    if not call.path:
        return None
    path = PurePosixPath(call.path.replace("\\", "/")).name
    if with_change:
        change = change_of(call)
        if change is None or change[0] is None:
            return None
        old, new = shortened(change[0], change[1])
        if len(old) + len(new) > 2 * _EXAMPLE_LIMIT:
            return None
        return Example(expect=expect, path=path, before=masked(old), after=masked(new))
    added = added_text(call)
    return (
        Example(expect=expect, path=path, added=masked(added)) if 0 < len(added) <= _EXAMPLE_LIMIT else None
    )
