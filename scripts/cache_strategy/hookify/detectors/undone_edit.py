"""
A file change that was taken back.

Finds
    `git checkout`, `restore`, `revert`, `reset --hard` or `stash` of a file that the agent had just edited, run by the
    user with `!` or by the agent after the user asked for it; lines that the user put back by hand; and an edit that
    the user changed before accepting it.

Leaves alone
    What the agent takes back of its own accord while it tries things.
"""

from collections.abc import Iterator, Sequence

from cache_strategy.hookify.changes import added_text, removed_text
from cache_strategy.hookify.circumstances import calls_before
from cache_strategy.hookify.commands import programs
from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.hookify.provenance import own_words
from cache_strategy.hookify.transcripts import Session, ToolCall, UserDeed
from cache_strategy.hookify.wording import objections_in

detector = Detector(__name__)

_BY_USER = 0.8
_ASKED_FOR = 0.7
_MODIFIED = 0.6
_TELLING = 8
"""Characters of a line that is not found everywhere (assumed)."""


@detector.finds
def find_undone_edits(session: Session) -> Iterator[Sighting]:
    """Edits taken back by the user's hand, at the user's word, or changed in the dialog."""
    for call in session.own_calls:
        if call.user_modified and call.path:
            yield Sighting(
                call.result_line,
                "",
                _MODIFIED,
                calls=(call,),
                recent=(call,),
                because=("changed before it was accepted",),
            )
    for deed in session.deeds:
        calls = session.calls[: deed.calls_before]
        undone = edits_taken_back(deed.command, calls) or _put_back(deed, calls)
        if undone:
            yield Sighting(deed.line, deed.command, _BY_USER, calls=undone, recent=undone)
    for index, prompt in enumerate(session.prompts):
        asked = next((o for o in objections_in(own_words(prompt.text).text) if o.kind == "undone"), None)
        if asked is None:
            continue
        following = (
            session.prompts[index + 1].calls_before
            if index + 1 < len(session.prompts)
            else len(session.calls)
        )
        earlier = calls_before(session, prompt)
        for call in session.calls[prompt.calls_before : following]:
            undone = edits_taken_back(call.command, earlier) if call.command else ()
            if undone:
                yield Sighting(
                    prompt.line,
                    asked.words,
                    _ASKED_FOR,
                    calls=undone,
                    recent=undone,
                    because=("taken back by hand",),
                )
                break


def edits_taken_back(command: str, earlier: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The edits among `earlier`, latest first, whose file a git command puts back."""
    if "git" not in command:
        return ()
    edits = [call for call in reversed(earlier) if call.path and call.outcome == "ok"]
    for run in programs(command[:4000]):
        if run[0] != "git" or len(run) < 2:
            continue
        verb, rest = _verb(run[1:])
        names = [word for word in rest if not word.startswith("-")]
        if (verb == "reset" and "--hard" in rest) or (verb in ("stash", "revert") and not names):
            return tuple(edits[:8])
        if verb == "stash" and names[:1] == ["push"]:
            return tuple(edits[:8])
        if verb == "checkout" and "--" not in rest and not any("." in name or "/" in name for name in names):
            continue
        if verb in ("checkout", "restore"):
            undone = [edit for edit in edits if any(_names(name, edit.path) for name in names)]
            if undone:
                return tuple(undone[:8])
    return ()


def _put_back(deed: UserDeed, earlier: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The edit whose old lines are in the file again, and whose new ones are not, after the user changed it."""
    changed = (
        [call for call in earlier if call.path == deed.path and call.outcome == "ok"] if deed.path else []
    )
    if not changed or any("git" in call.command for call in earlier[changed[-1].order :]):
        return ()
    now = {line.partition("\t")[2].strip() for line in deed.snippet.split("\n")}
    old = {line.strip() for line in removed_text(changed[-1]).split("\n") if len(line.strip()) >= _TELLING}
    new = {line.strip() for line in added_text(changed[-1]).split("\n") if len(line.strip()) >= _TELLING}
    return (changed[-1],) if old and old <= now and not new & now else ()


def _verb(words: Sequence[str]) -> tuple[str, list[str]]:
    """Git's subcommand after its own options, and what follows."""
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] in ("-C", "-c") else 1
    return (words[index], list(words[index + 1 :])) if index < len(words) else ("", [])


def _names(argument: str, path: str) -> bool:
    if argument in (".", "./", ":/", "*"):
        return True
    argument = argument.removeprefix("./").rstrip("/")
    return bool(argument) and (
        path == argument
        or path.endswith("/" + argument)
        or f"/{argument}/" in path
        or path.startswith(argument + "/")
    )
