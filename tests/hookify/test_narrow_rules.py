from __future__ import annotations

import re

import pytest

from cache_strategy import hookify
from cache_strategy.hookify.commands import programs
from cache_strategy.hookify.patterns import at_command, escaped, is_slow, why_unsafe
from cache_strategy.hookify.vocabulary import COMMANDS, TEXTS


def rule_for_rejected(talk, command):
    talk.say("go")
    talk.reject("Bash", {"command": command})
    (proposal,) = hookify.propose([talk.path]).proposals
    return proposal


REJECTED_COMMANDS = [
    (
        "cd /tmp && node verify-page.mjs 2>&1 | head -70",
        ["node verify-page.mjs", "node /tmp/verify-page.mjs --fast"],
        ["node build.mjs", "cat verify-page.mjs"],
    ),
    (
        "git push --force origin main",
        ["cd x && git push --force", "git push origin main --force"],
        ["git push origin main", "git commit -m 'git push --force'", "echo git push --force"],
    ),
    (
        "rm -rf build",
        ["rm -rf ./build", "sudo rm -rf /home/x/build"],
        ["rm -rf dist", "rm notes", "npm run build"],
    ),
    ("npm install left-pad", ["npm install right-pad"], ["npm test", "pnpm install x"]),
    (
        "docker compose restart tunnel",
        ["docker compose restart"],
        ["docker compose logs tunnel", "docker ps"],
    ),
    ("lsof -ti :3000 | xargs kill -9", ["pgrep x | xargs kill -9"], ["kill 12", "echo killed"]),
    ("TOKEN=abc123 timeout 60 pytest -q", ["pytest tests"], ["pip install pytest", "cat pytest.ini"]),
    ("mise run test:ci 2>&1", ["mise run test:ci"], ["mise run fmt", "mise run test"]),
    ("tool --no-verify-tls x.pem", ["tool --no-verify-tls"], ["tool y.pem"]),
    ("for x in a; do tool $x; done", ["tool b"], ["for y in b", "ls a"]),
    ("python3 -c 'print(1)'", ["python3 -c 'import x'"], ["python3 manage.py test"]),
]


@pytest.mark.parametrize(("command", "alike", "others"), REJECTED_COMMANDS)
def test_the_rule_of_a_rejected_command_is_narrow(talk, command, alike, others):
    proposal = rule_for_rejected(talk, command)

    pattern = re.compile(proposal.pattern, re.I)
    assert (proposal.event, proposal.action) == ("bash", "ask")
    assert [text for text in (command, *alike) if not pattern.search(text)] == []
    assert [text for text in others if pattern.search(text)] == []


def test_signs_in_a_transcript_are_no_regular_expression(talk):
    proposal = rule_for_rejected(talk, "rm -rf '.*(a+)+$' plain.txt")

    assert not is_slow(proposal.pattern) and why_unsafe(proposal.pattern) == ""
    assert not re.search(proposal.pattern, "rm -rf everything", re.I)


@pytest.mark.parametrize("spoken", [*COMMANDS, *TEXTS], ids=lambda spoken: spoken.name)
def test_every_pattern_of_the_vocabulary_is_safe_in_a_rule_file(spoken):
    assert why_unsafe(spoken.pattern) == ""
    assert re.search(spoken.pattern, "") is None


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("", "is empty"),
        ("(a", "is no regular expression"),
        ("(a+)+$", "may take exponential time"),
        ("a" * 2001, "may take exponential time"),
        ("git push ---?force", "is read differently"),
        ("a #b", "is read differently"),
        ("*.py", "is no regular expression"),
        ("[ab]", "is read differently"),
        ("em—dash", "is read differently"),
    ],
)
def test_a_pattern_that_is_unsafe_in_a_rule_file_is_named(pattern, wrong):
    assert why_unsafe(pattern).startswith(wrong)


@pytest.mark.parametrize(
    "text", ["a.b", "x---y", 'it\'s "q"', "a #b: c", "em\u2014dash \U0001f600", "(a+)+$", "[x]*"]
)
def test_an_escaped_text_finds_itself_and_is_ascii(text):
    pattern = "x?" + escaped(text)

    assert re.search(pattern, text) and pattern.isascii()
    assert why_unsafe(pattern) == ""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cd /tmp && a.mjs 2>&1 | head -7", [["cd", "/tmp"], ["a.mjs"], ["head", "-7"]]),
        ("A=1 sudo timeout 9 /usr/bin/docker ps >out.txt", [["docker", "ps"]]),
        ("cat <<'EOF' > x\nrm -rf /\nEOF\nls # rm", [["cat"], ["ls"]]),
        ("", []),
    ],
)
def test_a_command_is_read_as_programs(command, expected):
    assert programs(command) == expected


def test_a_pattern_begins_where_a_command_begins():
    pattern = re.compile(at_command("git", "push"), re.I)

    for text in ("git push", "x;git push", "(git push)", "ls\ngit  push", "A=1 /usr/bin/git push"):
        assert pattern.search(text), text
    for text in ("echo git push", "mygit push", "git pushed", "git-push", "'git push'"):
        assert not pattern.search(text), text
