r"""
Deeds that have a name in speech, and what they are in a command or in a text.

A row is `name: how it is said => the pattern that finds it -> what to do instead`. In a pattern `<git push>` stands for these
words at a command's beginning, and `…` for the rest of the command up to what follows.
"""

import re
from dataclasses import dataclass

from cache_strategy.hookify.patterns import at_command, within

_COMMANDS = r"""
commit-signature: \byour\s+signature|\bsignatures?\b(?=[^.\n]*\b(?:commit|message|claude)\b)|\bco-?author|\battribution\b|\b(?:signed?|signing|by|as)\s+(?:by\s+|as\s+)?claude\b => <git commit>[\s\S]{0,4000}?(?:Co-Authored-By|Generated with|noreply@anthropic) -> Leave the agent's signature out of the commit message.
git-force-push: \bforce[- ]?push => <git push>…\s(?:--force\b|-f\b|--force-with-lease\b|\+\w) -> Push without force, or ask first.
git-no-verify: --no-verify|\bskip(?:ping)?\s+(?:the\s+)?(?:git\s+|pre-?commit\s+)?hooks?\b => <git>…\s--no-verify\b -> Let the hooks run and repair what they report.
git-commit-amend: \bamend => <git commit>…\s--amend\b -> Make a new commit.
git-new-branch: \bbranch(?:ing|ed)?\s+(?:off|from)|\b(?:fresh|new|another|separate)\s+branch|\bswitch\s+to\s+main\b => <git (?:checkout|switch)>…\s-[bBcC]\b -> Check which branch the new one starts from.
gh-pr-create: \b(?:open|create|raise|make|put\s+up)\s+(?:a\s+|any\s+|the\s+)?(?:prs?|pull\s+requests?)\b => <gh pr create> -> Ask before a pull request is opened.
browser-tests: \b(?:browser|visual)\s*-?\s*(?:tests?|testing|checks?|verification)\b|\bplaywright\b|\bpuppeteer\b|\bscreenshots?\b => \b(?:playwright|puppeteer|cypress|selenium)\b|--headless\b|<node>…\s\S*(?:verify|preview|screenshot)\S*\.m?js\b -> Leave checks in the browser to the user.
git-rebase: \b(?:git\s+)?rebas => <git rebase> -> Merge, or ask first.
git-cherry-pick: \bcherry-?pick => <git cherry-pick> -> Ask first.
git-stash: \b(?:git\s+)?stash => <git stash> -> Commit, or ask first.
git-reset-hard: \bhard\s+reset|\breset\s+(?:--)?hard => <git reset>…\s--hard\b -> Keep uncommitted work; ask first.
git-add-all: \bgit\s+add\s+(?:-A|--all|\.)|\b(?:add|stage)\s+everything\b => <git add>…\s(?:-A|--all|\.)(?:\s|\Z) -> Add the files by name.
git-commit: \bcommit => <git commit> -> Ask before committing.
git-push: \bpush(?:ed|ing)?\b(?!\s+through|\s+back) => <git push> -> Ask before pushing.
git-merge: \bmerg(?:e|ed|ing)\b => <git merge>|<gh pr merge> -> Ask before merging.
run-migrations: \bpush(?:ing)?\s+through\s+(?:the\s+)?migrations?|\brun(?:ning)?\s+(?:the\s+)?migrations? => \b(?:migration:run|alembic\s+upgrade|manage\.py\s+migrate|(?:db|prisma|flask\s+db)\s*[ :]\s*(?:migrate|upgrade))\b|<ssh>…(?:migrat|psql|typeorm) -> Repair the deployment that runs them.
install-packages: \binstall(?:ed|ing)?\b|\bnew\s+dependenc => <(?:npm|pnpm|yarn|bun|pip3?|uv|poetry|cargo|brew|apt(?:-get)?) (?:install|add|i)> -> Ask before a dependency is added.
inline-python: \b(?:weird|inline|ad-?hoc)\s+python => <python3? -c>|<python3?>[ \t]+(?:-\s+)?<< -> Use the project's own tools, or a script in the repository.
deploy: \bdeploy => <[\w.-]*deploy[\w.-]*>|<\w+ (?:run[ \t]+)?[\w:-]*deploy[\w:.-]*> -> Ask before deploying.
"""

_TEXTS = r"""
em-dashes: \bem[- ]?dash => \u2014 -> Write a comma, a colon or a full stop.
en-dashes: \ben[- ]dash => \u2013 -> Write a hyphen or a comma.
emojis: \bemojis?\b => (?:[\u2600-\u27BF\U0001F300-\U0001FAFF]) -> Write it without emojis.
console-log: \bconsole\.?\s?logs?\b|\bconsole\.log => \bconsole\.log\( -> Use the project's logger.
print-statements: \bprint\s+statements?\b => \bprint\( -> Use the project's logger.
local-storage: \blocal\s?storage\b => \blocalStorage\.setItem\( -> Keep it in memory or on the server.
type-ignore: \btype:?\s?ignores?\b => (?:#\s?type:\s?ignore) -> Repair the types.
swallowed-errors: \b(?:bare\s+except|swallow\w*\s+(?:the\s+|any\s+)?(?:errors?|exceptions?)) => \bexcept\s*(?:Exception\s*)?:\s*(?:pass|continue)? -> Let the error through, or handle it.
any-type: \bas\s+any\b|\bany\s+types?\b => \bas\s+any\b|:\s?any\b -> Write the type.
"""

_FORGOTTEN = r"\b(?:forg[eo]t\w*|you\s+(?:did\s*n[o'’]t|did\s+not|never|skipped)|without|always|every\s+time|make\s+sure|remember)\b"
_DUTIES = r"""
tests: tests?\b|test\s+suite|pytest|jest|vitest => \b(?:pytest|unittest|tox|nox|jest|vitest|mocha|rspec|phpunit|ctest)\b|\b(?:npm|pnpm|yarn|bun|go|cargo|mix|dotnet|make|gradle|mvn)[ \t]+(?:run[ \t]+)?test -> Run the tests after the last change.
linter: lint\w*|ruff|eslint|prettier => \b(?:ruff|flake8|pylint|black|eslint|prettier|biome|golangci-lint|clippy|rubocop|lint|fmt)\b -> Run the linter after the last change.
type-check: type\s*-?check\w*|mypy|tsc => \b(?:mypy|pyright|tsc|type-?check)\b -> Check the types after the last change.
"""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A way of saying it, the pattern that finds the deed, a name for a rule and what to do instead."""

    said: re.Pattern[str]
    pattern: str
    name: str
    instead: str


def _rows(table: str) -> tuple[Spoken, ...]:
    rows = []
    for row in table.strip().split("\n"):
        name, _, rest = row.partition(": ")
        said, _, rest = rest.partition(" => ")
        pattern, _, instead = rest.rpartition(" -> ")
        pattern = re.sub(r"<([^<>]+)>", lambda found: at_command(*_WORDS.findall(found[1])), pattern)
        rows.append(Spoken(re.compile(said, re.I), pattern.replace("…", within("")), name, instead))
    return tuple(rows)


def _duty(row: Spoken) -> Spoken:
    run = rf"[^.!?\n]{{0,30}}?(?:{row.said.pattern})"
    said = rf"{_FORGOTTEN}[^.!?\n]{{0,30}}\b(?:run|ran|running)\b{run}"
    said += rf"|\brun\b{run}[^.!?\n]{{0,30}}\bbefore\s+(?:you|saying|finishing|committing)"
    return Spoken(re.compile(said, re.I), row.pattern, f"{row.name}-before-the-end", row.instead)


_WORDS = re.compile(r"(?:\[[^\]]*\]|\S)+")
COMMANDS = _rows(_COMMANDS)
"""More specific first: the first that fits a sentence is taken."""

TEXTS = _rows(_TEXTS)
DUTIES = tuple(map(_duty, _rows(_DUTIES)))
"""What must have been done when a turn ends: the pattern finds the command that does it."""


def spoken_duty(sentence: str) -> Spoken | None:
    """The duty that a sentence says was, or must not be, forgotten."""
    return next((duty for duty in DUTIES if duty.said.search(sentence)), None)


def spoken_deed(sentence: str) -> Spoken | None:
    """The first deed in a shell that a sentence names."""
    return next((spoken for spoken in COMMANDS if spoken.said.search(sentence)), None)


def spoken_text(sentence: str) -> Spoken | None:
    """The first way of writing that a sentence names."""
    return next((spoken for spoken in TEXTS if spoken.said.search(sentence)), None)
