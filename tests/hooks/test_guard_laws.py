"""Whatever comes in on standard input: exit code 0, and nothing or one JSON object on standard output."""

from __future__ import annotations

import gc
import io
import json
import runpy
import sys
from pathlib import Path

import pytest
from hook import ROOT, run, said
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = st.sampled_from(
    ["cache", "redis-cli FLUSHALL", "cache.delete(k)", "def f():\n", "@cache.cached()\n", "current_user", "x.py", "/dev/zero",
     "..", "\0", "\ud800", "Write", "Edit", "Bash", "NotebookEdit", "MultiEdit", "old_string", "é", "$(", "<<EOF\n"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=8).map("".join)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
TOOLS = st.sampled_from(["Write", "Edit", "MultiEdit", "NotebookEdit", "Bash", "Read", 7, None])
KEYS = ["file_path", "notebook_path", "content", "old_string", "new_string", "replace_all", "edits", "command", "new_source", "cell_id", "edit_mode"]  # fmt: skip
INPUTS = st.fixed_dictionaries({}, optional={key: st.one_of(TEXTS, VALUES) for key in KEYS})
EVENTS = st.fixed_dictionaries(
    {"tool_name": TOOLS, "tool_input": st.one_of(INPUTS, INPUTS, VALUES)},
    optional={
        "hook_event_name": st.sampled_from(["PreToolUse", "Stop", "", None, 3]),
        "cwd": TEXTS,
        "session_id": VALUES,
    },
)
ANYTHING = st.one_of(
    st.binary(max_size=200),
    EVENTS.map(lambda e: json.dumps(e).encode()),
    EVENTS.map(lambda e: json.dumps(e).encode()[:-3]),
    EVENTS.map(lambda e: json.dumps(e, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    VALUES.map(lambda v: json.dumps(v).encode()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=ANYTHING)
def test_any_bytes_are_answered_by_nothing_or_json(raw: bytes, tmp_path: Path):
    said(run(raw, tmp_path))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=ANYTHING)
def test_any_bytes_are_answered_by_nothing_or_json_in_one_process(
    raw: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / "hooks" / "judge.py"))["main"]
    written = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        patch.setattr(sys, "stdout", written)
        main()
    gc.enable()

    assert written.getvalue() == "" or isinstance(json.loads(written.getvalue()), dict)
