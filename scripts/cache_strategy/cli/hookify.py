"""The verbs of `cache-strategy hookify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cache_strategy.cli.terminal import print_json, progress

if TYPE_CHECKING:
    from cache_strategy.model.proposal import Proposal

app = typer.Typer(
    name="hookify",
    help="Read past conversations, propose rules that would have prevented what went wrong, write the accepted ones.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE…]", help="Transcripts, or folders of them; default: this project's."),
]
ProjectOption = Annotated[Path, typer.Option("--project", metavar="PATH", help="The project's folder.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The rule's name.")]
EverywhereOption = Annotated[
    bool, typer.Option("--everywhere", help="Read the transcripts of all of this user's projects.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


@app.command()
def scan(
    files: FilesArgument = None,
    project: ProjectOption = Path(),
    everywhere: EverywhereOption = False,
    json_: JsonOption = False,
) -> None:
    """Find the places where the user corrected, undid or refused something."""
    from cache_strategy.hookify import scan as read
    from cache_strategy.model.document import to_data

    with progress() as say:
        result = read(_transcripts(files, project, everywhere), progress=say)
    if json_:
        print_json(to_data(result))
        return
    print(
        f"{result.transcripts} transcripts, {result.records:,} records, {result.tool_calls:,} tool calls, "
        f"{len(result.incidents)} incidents, {result.bad_lines} lines that could not be read"
    )
    for incident in result.incidents[:60]:
        check = f"safety check: {incident.check}" if incident.check else ", ".join(incident.because)
        print(f"{_short(incident.file)}:{incident.line} {incident.kind}: {incident.quote}  ({check})")
    if len(result.incidents) > 60:
        print(f"… and {len(result.incidents) - 60} more; see them with --json")
    for item in result.unread:
        print(f"{item.path}: not read, {item.reason}")


@app.command()
def propose(
    files: FilesArgument = None,
    project: ProjectOption = Path(),
    everywhere: EverywhereOption = False,
    instruction: Annotated[
        str | None,
        typer.Option("--for", metavar="TEXT", help="Instead: rules for this instruction; - for stdin."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Propose rules for what was found, each tried on the whole history. Writes nothing."""
    from cache_strategy.hookify import proposals_data
    from cache_strategy.hookify import propose as make

    with progress() as say:
        read = _transcripts(files, project, everywhere)
        said = sys.stdin.read() if instruction == "-" else instruction or ""
        result = make(read, instruction=said, progress=say)
    if json_:
        print_json(proposals_data(result))
        return
    for proposal in result.proposals[:_IN_FULL]:
        _print_proposal(proposal)
    more = result.proposals[_IN_FULL:]
    if more:
        print(
            f"{len(more)} more, with fewer complaints: {', '.join(p.name for p in more)}; see them with --json"
        )
    if not result.proposals:
        print(f"Nothing to propose: {result.transcripts} transcripts, {result.records:,} records.")
    else:
        print(
            "Keep one: cache-strategy hookify propose --json > FILE; cache-strategy hookify write --from FILE NAME"
        )


_IN_FULL = 8
"""Proposals that a person reads at one sitting."""


def _print_proposal(proposal: "Proposal") -> None:
    from cache_strategy.hookify import in_words

    tried, files = proposal.backtest, in_words(proposal.files)
    what = proposal.check or (
        "any change" if files and proposal.pattern == "." else in_words(proposal.pattern)
    )
    print(f"{proposal.name} ({proposal.event}, {proposal.action}): {what}{f' in {files}' if files else ''}")
    for row in filter(None, proposal.message.splitlines()):
        print(f"  {row}")
    print(
        f"  of {tried.tool_calls:,} calls it would have stopped {tried.fired:,}, "
        f"{tried.fired_on_incidents:,} of them objected to"
    )
    for quote in proposal.incidents[:3]:
        print(f"  {_short(quote.file)}:{quote.line} {quote.quote}")
    for quote in tried.wrongly_stopped[:3]:
        print(f"  would wrongly have stopped {_short(quote.file)}:{quote.line} {quote.quote}")
    if proposal.because:
        print(f"  {proposal.because}")


def _short(file: str) -> str:
    """A path that leaves room for what was said in it."""
    return file if len(file) <= 50 else f"…/{Path(file).name}"


@app.command()
def write(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", help="The proposals that the user accepted.")
    ],
    from_: Annotated[
        Path, typer.Option("--from", metavar="FILE", help="What `hookify propose --json` printed.")
    ],
    project: ProjectOption = Path(),
    json_: JsonOption = False,
) -> None:
    """Write accepted proposals as .claude/hookify.NAME.local.md. Never over a rule that is there."""
    from cache_strategy.hookify import read_proposals, write_rules

    paths = [str(path) for path in write_rules(read_proposals(from_), names, project)]
    if json_:
        print_json({"schema": 1, "written": paths})
    else:
        print("\n".join(paths))


@app.command("list")
def list_(project: ProjectOption = Path(), json_: JsonOption = False) -> None:
    """Show the rules of the project and whether they are on."""
    from cache_strategy.hookify import list_rules
    from cache_strategy.model.document import to_data

    rules = list_rules(project)
    if json_:
        print_json({"schema": 1, "rules": to_data(rules)})
        return
    for rule in rules:
        state = "on " if rule.enabled else "off"
        print(f"{state} {rule.name} ({rule.event}, {rule.action}): {rule.what}  {rule.path}")
    if not rules:
        print("No rules: there is no .claude/hookify.*.local.md in this project.")


@app.command()
def check(project: ProjectOption = Path(), json_: JsonOption = False) -> None:
    """Find what is wrong in rule files: the line, what it does, what was meant."""
    from cache_strategy.hookify import check_rules
    from cache_strategy.model.document import to_data

    problems = check_rules(project)
    if json_:
        print_json({"schema": 1, "problems": to_data(problems)})
    else:
        for problem in problems:
            print(
                f"{problem.path}:{problem.line}: {problem.severity}: {problem.message} {problem.fix}".rstrip()
            )
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(1)


@app.command()
def enable(name: NameArgument, project: ProjectOption = Path()) -> None:
    """Turn a rule on."""
    _turn(name, project, on=True)


@app.command()
def disable(name: NameArgument, project: ProjectOption = Path()) -> None:
    """Turn a rule off; its file stays."""
    _turn(name, project, on=False)


@app.command()
def approve(name: NameArgument, project: ProjectOption = Path()) -> None:
    """Let a rule count that came with the repository, as it stands now."""
    from cache_strategy.hookify import approve_rule

    print(f"{approve_rule(name, project)}: counts from the next call on")


@app.command("try")
def try_(
    event: Annotated[
        Path | None, typer.Argument(metavar="[EVENT]", help="A file with a hook event as JSON; - for stdin.")
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", metavar="TEXT", help="Instead: a shell command.")
    ] = None,
    project: ProjectOption = Path(),
    json_: JsonOption = False,
) -> None:
    """Try one event on the rules and explain each: why it speaks or is silent, and what hookify would do."""
    from cache_strategy.hookify import event_of, try_event
    from cache_strategy.model.document import to_data
    from cache_strategy.model.errors import CacheStrategyError

    if (event is None) == (command is None):
        raise CacheStrategyError("try: needs an event or --command, not both; name a file, or - for stdin.")
    if command is not None:
        given = {"tool_name": "Bash", "tool_input": {"command": command}}
    else:
        given = event_of(sys.stdin.read() if str(event) == "-" else _read(event))
    trials = try_event(given, project)
    if json_:
        print_json({"schema": 1, "rules": to_data(trials)})
        return
    for trial in trials:
        also = (
            ", hookify too"
            if trial.hookify and trial.fires
            else " (hookify would fire)"
            if trial.hookify
            else ""
        )
        says = f"{trial.action}{also}" if trial.fires else f"silent{also}"
        print(f"{trial.name}: {says}: {trial.because}  {trial.path}")
    if not trials:
        print("No rules: there is no .claude/hookify.*.local.md in this project.")


def _read(path: Path | None) -> str:
    from cache_strategy.model.errors import CacheStrategyError

    try:
        return Path(path or "").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CacheStrategyError(
            f"{path}: cannot be read ({error.strerror}); name a file with an event."
        ) from None


def _turn(name: str, project: Path, *, on: bool) -> None:
    from cache_strategy.hookify import set_enabled

    print(f"{set_enabled(name, project, on=on)}: {'on' if on else 'off'} from the next call on")


def _transcripts(files: list[Path] | None, project: Path, everywhere: bool) -> list[Path]:
    from cache_strategy.hookify import find_transcripts

    return list(files or find_transcripts(None if everywhere else project))
