"""Deeds that have a name in speech, and what they are in a command or in a text."""

import re
from dataclasses import dataclass

from cache_strategy.hookify.patterns import at_command, within

_PACKAGE_MANAGERS = r"(?:npm|pnpm|yarn|bun|pip3?|uv|poetry|cargo|brew|apt(?:-get)?)"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A way of saying it, the pattern that finds the deed, a name for a rule and what to do instead."""

    said: re.Pattern[str]
    pattern: str
    name: str
    instead: str


def _spoken(said: str, pattern: str, name: str, instead: str) -> Spoken:
    return Spoken(re.compile(said, re.I), pattern, name, instead)


COMMANDS: tuple[Spoken, ...] = (
    _spoken(
        r"\bforce[- ]?push",
        at_command("git", "push") + within(r"\s(?:--force\b|-f\b|--force-with-lease\b|\+\w)"),
        "git-force-push",
        "Push without force, or ask first.",
    ),
    _spoken(
        r"--no-verify|\bskip(?:ping)?\s+(?:the\s+)?(?:git\s+|pre-?commit\s+)?hooks?\b",
        at_command("git") + within(r"\s--no-verify\b"),
        "git-no-verify",
        "Let the hooks run and repair what they report.",
    ),
    _spoken(
        r"\bamend",
        at_command("git", "commit") + within(r"\s--amend\b"),
        "git-commit-amend",
        "Make a new commit.",
    ),
    _spoken(
        r"\bbranch(?:ing|ed)?\s+(?:off|from)|\b(?:fresh|new|another|separate)\s+branch|\bswitch\s+to\s+main\b",
        at_command("git", "(?:checkout|switch)") + within(r"\s-[bBcC]\b"),
        "git-new-branch",
        "Check which branch the new one starts from.",
    ),
    _spoken(
        r"\b(?:open|create|raise|make|put\s+up)\s+(?:a\s+|any\s+|the\s+)?(?:prs?|pull\s+requests?)\b",
        at_command("gh", "pr", "create"),
        "gh-pr-create",
        "Ask before a pull request is opened.",
    ),
    _spoken(
        r"\b(?:browser|visual)\s*-?\s*(?:tests?|testing|checks?|verification)\b|\bplaywright\b|\bpuppeteer\b|\bscreenshots?\b",
        r"\b(?:playwright|puppeteer|cypress|selenium)\b|--headless\b|"
        + at_command("node")
        + within(r"\s\S*(?:verify|preview|screenshot)\S*\.m?js\b"),
        "browser-tests",
        "Leave checks in the browser to the user.",
    ),
    _spoken(r"\b(?:git\s+)?rebas", at_command("git", "rebase"), "git-rebase", "Merge, or ask first."),
    _spoken(r"\bcherry-?pick", at_command("git", "cherry-pick"), "git-cherry-pick", "Ask first."),
    _spoken(r"\b(?:git\s+)?stash", at_command("git", "stash"), "git-stash", "Commit, or ask first."),
    _spoken(
        r"\bhard\s+reset|\breset\s+(?:--)?hard",
        at_command("git", "reset") + within(r"\s--hard\b"),
        "git-reset-hard",
        "Keep uncommitted work; ask first.",
    ),
    _spoken(
        r"\bgit\s+add\s+(?:-A|--all|\.)|\b(?:add|stage)\s+everything\b",
        at_command("git", "add") + within(r"\s(?:-A|--all|\.)(?:\s|\Z)"),
        "git-add-all",
        "Add the files by name.",
    ),
    _spoken(r"\bcommit", at_command("git", "commit"), "git-commit", "Ask before committing."),
    _spoken(
        r"\bpush(?:ed|ing)?\b(?!\s+through|\s+back)",
        at_command("git", "push"),
        "git-push",
        "Ask before pushing.",
    ),
    _spoken(
        r"\bmerg(?:e|ed|ing)\b",
        at_command("git", "merge") + "|" + at_command("gh", "pr", "merge"),
        "git-merge",
        "Ask before merging.",
    ),
    _spoken(
        r"\bpush(?:ing)?\s+through\s+(?:the\s+)?migrations?|\brun(?:ning)?\s+(?:the\s+)?migrations?",
        r"\b(?:migration:run|alembic\s+upgrade|manage\.py\s+migrate|(?:db|prisma|flask\s+db)\s*[ :]\s*(?:migrate|upgrade))\b|"
        + at_command("ssh")
        + within(r"(?:migrat|psql|typeorm)"),
        "run-migrations",
        "Repair the deployment that runs them.",
    ),
    _spoken(
        r"\binstall(?:ed|ing)?\b|\bnew\s+dependenc",
        at_command(_PACKAGE_MANAGERS, "(?:install|add|i)"),
        "install-packages",
        "Ask before a dependency is added.",
    ),
    _spoken(
        r"\b(?:weird|inline|ad-?hoc)\s+python",
        at_command("python3?", "-c") + "|" + at_command("python3?") + r"[ \t]+(?:-\s+)?<<",
        "inline-python",
        "Use the project's own tools, or a script in the repository.",
    ),
    _spoken(
        r"\bdeploy",
        at_command(r"[\w.-]*deploy[\w.-]*")
        + "|"
        + at_command(r"\w+", r"(?:run[ \t]+)?[\w:-]*deploy[\w:.-]*"),
        "deploy",
        "Ask before deploying.",
    ),
)
"""More specific first: the first that fits a sentence is taken."""

TEXTS: tuple[Spoken, ...] = (
    _spoken(r"\bem[- ]?dash", r"\u2014", "em-dashes", "Write a comma, a colon or a full stop."),
    _spoken(r"\ben[- ]dash", r"\u2013", "en-dashes", "Write a hyphen or a comma."),
    _spoken(
        r"\bemojis?\b", r"(?:[\u2600-\u27BF\U0001F300-\U0001FAFF])", "emojis", "Write it without emojis."
    ),
    _spoken(
        r"\bconsole\.?\s?logs?\b|\bconsole\.log",
        r"\bconsole\.log\(",
        "console-log",
        "Use the project's logger.",
    ),
    _spoken(r"\bprint\s+statements?\b", r"\bprint\(", "print-statements", "Use the project's logger."),
    _spoken(
        r"\blocal\s?storage\b",
        r"\blocalStorage\.setItem\(",
        "local-storage",
        "Keep it in memory or on the server.",
    ),
    _spoken(r"\btype:?\s?ignores?\b", r"(?:#\s?type:\s?ignore)", "type-ignore", "Repair the types."),
    _spoken(
        r"\b(?:bare\s+except|swallow\w*\s+(?:the\s+|any\s+)?(?:errors?|exceptions?))",
        r"\bexcept\s*(?:Exception\s*)?:\s*(?:pass|continue)?",
        "swallowed-errors",
        "Let the error through, or handle it.",
    ),
    _spoken(r"\bas\s+any\b|\bany\s+types?\b", r"\bas\s+any\b|:\s?any\b", "any-type", "Write the type."),
)


_FORGOTTEN = r"\b(?:forg[eo]t\w*|you\s+(?:did\s*n[o'’]t|did\s+not|never|skipped)|without|always|every\s+time|make\s+sure|remember)\b"
_DUTIES = (
    (
        r"tests?\b|test\s+suite|pytest|jest|vitest",
        r"\b(?:pytest|unittest|tox|nox|jest|vitest|mocha|rspec|phpunit|ctest)\b"
        r"|\b(?:npm|pnpm|yarn|bun|go|cargo|mix|dotnet|make|gradle|mvn)[ \t]+(?:run[ \t]+)?test",
        "tests",
    ),
    (
        r"lint\w*|ruff|eslint|prettier",
        r"\b(?:ruff|flake8|pylint|black|eslint|prettier|biome|golangci-lint|clippy|rubocop|lint|fmt)\b",
        "linter",
    ),
    (r"type\s*-?check\w*|mypy|tsc", r"\b(?:mypy|pyright|tsc|type-?check)\b", "type-checker"),
)
DUTIES: tuple[Spoken, ...] = tuple(
    _spoken(
        rf"{_FORGOTTEN}[^.!?\n]{{0,30}}\b(?:run|ran|running)\b[^.!?\n]{{0,30}}?(?:{said})"
        rf"|\brun\b[^.!?\n]{{0,30}}?(?:{said})[^.!?\n]{{0,30}}\bbefore\s+(?:you|saying|finishing|committing)",
        pattern,
        f"{name}-before-the-end",
        f"Run the {name.replace('-', ' ')} after the last change.",
    )
    for said, pattern, name in _DUTIES
)
"""What must have been done when a turn ends: the pattern finds the command that does it."""


def spoken_duty(sentence: str) -> Spoken | None:
    """The duty that a sentence says was, or must not be, forgotten."""
    return next((duty for duty in DUTIES if duty.said.search(sentence)), None)


def spoken_command(sentence: str) -> re.Pattern[str] | None:
    """The pattern of the deed that a sentence names, as it is searched in commands."""
    spoken = spoken_deed(sentence)
    return re.compile(spoken.pattern, re.I) if spoken is not None else None


def spoken_deed(sentence: str) -> Spoken | None:
    """The first deed in a shell that a sentence names."""
    return next((spoken for spoken in COMMANDS if spoken.said.search(sentence)), None)


def spoken_text(sentence: str) -> Spoken | None:
    """The first way of writing that a sentence names."""
    return next((spoken for spoken in TEXTS if spoken.said.search(sentence)), None)
