"""The narrowest pattern for a command that was run: program, subcommand, telling flags, and the argument spoken of."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from cache_strategy.hookify.commands import programs
from cache_strategy.hookify.linking import stem
from cache_strategy.hookify.masking import masked
from cache_strategy.hookify.patterns import ahead, at_command, escaped, is_plain, within

_PLUMBING = frozenset(
    "cd echo printf tail head grep rg egrep sleep cat wc true false sort uniq jq tee ls export set which awk sed cut tr find xargs pwd test [ read".split()
)
"""Programs that stand around the one a command is about."""

_DANGEROUS = frozenset(
    "kill pkill killall rm dd mkfs truncate shutdown reboot drop dropdb redis-cli psql mysql ssh scp rsync".split()
)
_SUBCOMMAND = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[:_-][A-Za-z0-9]+)*\Z")
_TWO_LEVELS = frozenset(
    "docker compose,docker container,docker image,docker volume,gh pr,gh issue,gh release,gh repo,uv pip,kubectl rollout,git stash,"
    "git worktree,flask db".split(",")
)
_INTERPRETERS = frozenset("python python3 node bash sh zsh ruby perl deno tsx ts-node bun".split())
_DANGEROUS_FLAG = re.compile(r"--(?:dangerously|force|skip|no)-[\w-]+\Z")
_TELLING_FLAGS = frozenset(
    "--force -f --no-verify --hard -rf -fr -r --force-with-lease --amend -9 --delete -D --headless -c -e --prune --all -A --purge --no-cache".split()
)
_WITH_TARGETS = frozenset(
    "rm mv cp ln chmod chown curl wget ssh kill pkill killall psql mysql sqlite3 dropdb tar rsync scp truncate open".split()
)


def run_spoken_of(command: str, words: Sequence[str]) -> list[str] | None:
    """The program of a command that shares the most with what was said; without words the first that does something."""
    runs = [run for run in programs(masked(command)) if is_plain(run[0])]
    telling = [run for run in runs if run[0] not in _PLUMBING]
    if words:
        telling = [run for run in telling if _spoken_in(run, words)]
        return max(telling, key=lambda run: len(_spoken_in(run, words)), default=None)
    dangerous = [run for run in telling if run[0] in _DANGEROUS]
    return next(iter(dangerous or telling), None)


def _spoken_in(run: Sequence[str], words: Sequence[str]) -> set[str]:
    """The words of `words` that a program's name and arguments hold."""
    return {stem(part) for word in run for part in re.findall(r"[A-Za-z]{3,}", word)} & set(words)


def pattern_of(run: Sequence[str], words: Sequence[str]) -> tuple[str, str]:
    """(pattern, name) of one program as it was run."""
    program, arguments = run[0], run[1:]
    names = [program]
    plain = [word for word in arguments if not word.startswith("-") and is_plain(word)]
    # "stay away from docker" is about the program, whatever it was to do.
    only_program = bool(words) and not _spoken_in(arguments, words)
    alone = only_program or program in _WITH_TARGETS
    if not alone and arguments and arguments[0] in plain and _SUBCOMMAND.match(arguments[0]):
        names.append(arguments[0])
        two = arguments[0] in ("run", "exec") or f"{program} {arguments[0]}" in _TWO_LEVELS
        if two and arguments[1:2] and arguments[1] in plain:
            names.append(arguments[1])
    pattern = at_command(*map(escaped, names))
    target = _target_of(program, [word for word in plain if word not in names], len(names) == 1, words)
    for flag in arguments:
        if (flag in _TELLING_FLAGS or _DANGEROUS_FLAG.match(flag)) and flag != target:
            pattern += ahead(rf"\s{escaped(flag)}(?![\w-])")
            names.append(flag.lstrip("-"))
    if target:
        pattern += within(rf"(?<![\w-]){escaped(target)}(?![\w-])")
        names.append(target)
    return pattern, "-".join(names)


def _target_of(program: str, rest: Sequence[str], alone: bool, words: Sequence[str]) -> str:
    """The argument that a run is about: a script, a file, a host, or what was spoken of; "" for none."""
    if not rest:
        return ""
    if (program in _INTERPRETERS and alone) or program in _WITH_TARGETS:
        found = rest[0]
    else:
        found = next((word for word in rest if _spoken_in([word], words)), "")
    return PurePosixPath(found).name
