"""What the hookify plugin itself reads in a rule file, and when it speaks."""

from __future__ import annotations

import pytest

from cache_strategy.rules._hookify_plugin import hookify_fires, read_like_hookify


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("name: \"r'\"\nx: 'true'", {"name": "r", "x": True}),
        ("pattern: a---b\naction: block", {"pattern": "a"}),
        ("c:\n  - field: a, pattern: c{1,2}", {"c": [{"field": "a", "pattern": "c{1"}]}),
        ("c:\n  - field: a\n    pattern: b", {"c": [{"field": "a", "pattern": "b"}]}),
        ("c:\n- field: a\n  pattern: b", {"c": [{"field": "a"}]}),
        ("tools:\n  - a\n  - 'b'", {"tools": ["a", "b"]}),
    ],
)
def test_hookifys_reading_of_a_front_matter(head, expected):
    assert read_like_hookify(f"---\n{head}\n---\nm") == expected
    assert read_like_hookify(f"\ufeff---\n{head}\n---\nm") is None
    assert read_like_hookify(f"---\n{head.replace('---', '')}\n") is None


BASH = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": "rm -rf x"}}
WRITE = {"tool_name": "Write", "tool_input": {"file_path": "/p/a.env", "content": "x = 1"}}
MULTI = {"tool_name": "MultiEdit", "tool_input": {"edits": [{"new_string": "eval"}, {"new_string": "b"}]}}
READ = {"tool_name": "Read", "tool_input": {"file_path": "/p/a.env"}}
STOP = {"hook_event_name": "Stop"}
PROMPT = {"hook_event_name": "UserPromptSubmit", "prompt": "deploy"}


@pytest.mark.parametrize(
    ("head", "event", "fires"),
    [
        ("event: bash\npattern: RM", BASH, True),
        ("event: bash\nenabled: false\npattern: rm", BASH, False),
        ("event: bash\npattern: (", BASH, False),
        ("event: file\npattern: x", BASH, False),
        ("event: file\npattern: x", WRITE, False),
        ("event: file\npattern: eval b", MULTI, True),
        ("pattern: x", WRITE, True),
        ("pattern: rm", BASH, False),
        ("event: file\ntool_matcher: Edit\nconditions:\n  - field: content\n    pattern: x", WRITE, False),
        (
            "event: stop\nconditions:\n  - field: file_path\n    operator: contains\n    pattern: env",
            READ,
            True,
        ),
        (
            "event: stop\nconditions:\n  - field: reason\n    operator: not_contains\n    pattern: x",
            STOP,
            True,
        ),
        ("event: prompt\nconditions:\n  - field: user_prompt\n    pattern: deploy", PROMPT, False),
        ("event: stop\nconditions:\n  - field: x\n    operator: matches\n    pattern: x", STOP, False),
        ("event: bash", BASH, False),
    ],
)
def test_when_hookify_speaks(head, event, fires):
    assert hookify_fires(f"---\nname: r\n{head}\n---\nm", event) == fires
