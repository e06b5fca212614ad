"""`profile --stacks`: a real profile of cProfile, pyinstrument's JSON, and hostile bytes."""

from __future__ import annotations

import contextlib
import cProfile
import json
import marshal
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.profile import profile
from cache_strategy.profile.measurements import load_sources
from cache_strategy.profile.measurements.stacks import Marshalled

READ = load_sources()["stacks"].read
CODE = """
from flask import Flask
from sqlalchemy import text

app = Flask(__name__)


class Board:
    def rows(self, session):
        return [tuple(row) for row in session.execute(text("SELECT id FROM points"))]


@app.get("/board")
def board(session=None):
    return {"rows": Board().rows(session)}
"""


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    (folder / "board_app.py").write_text(textwrap.dedent(CODE))
    return folder, profile(folder)


def test_a_profile_of_cprofile_gives_calls_and_time_per_function(evidence, tmp_path, monkeypatch):
    folder, found = evidence
    monkeypatch.syspath_prepend(str(folder))
    import board_app

    class Session:
        def execute(self, _):
            return [(1,)]

    recorder = cProfile.Profile()
    recorder.enable()
    for _ in range(3):
        board_app.board(Session())
    recorder.disable()
    file = tmp_path / "out.prof"
    recorder.dump_stats(file)
    measured = {e.id: e.figures for e in READ(str(file), found).endpoints}
    assert measured["board_app.py:Board.rows"]["calls"].value == 3
    assert (
        measured["board_app.py:board"]["total_seconds"].value
        >= measured["board_app.py:Board.rows"]["total_seconds"].value
    )
    del sys.modules["board_app"]


def frame(function, file, line, time, *children):
    return {
        "function": function,
        "file_path": file,
        "line_no": line,
        "time": time,
        "children": list(children),
    }


def test_pyinstruments_tree_gives_database_outside_and_own_time(evidence, tmp_path):
    site = "/venv/lib/python3.11/site-packages"
    execute = frame(
        "execute",
        f"{site}/sqlalchemy/engine/base.py",
        9,
        0.5,
        frame("do", f"{site}/psycopg/cursor.py", 1, 0.4),
    )
    rows = frame("rows", "/srv/board_app.py", 9, 0.8, execute)
    called = frame("urlopen", f"{site}/urllib3/connectionpool.py", 5, 0.1)
    root = frame("<module>", "run.py", 1, 1.5, frame("board", "/srv/board_app.py", 13, 1.0, rows, called))
    file = tmp_path / "out.json"
    file.write_text(json.dumps({"root_frame": root}))
    measured = {
        e.id: {k: v.value for k, v in e.figures.items()} for e in READ(str(file), evidence[1]).endpoints
    }
    assert measured["board_app.py:board"] == pytest.approx(
        {"total_seconds": 1.0, "own_seconds": 0.1, "database_seconds": 0.5, "outside_seconds": 0.1}
    )
    assert measured["board_app.py:Board.rows"] == pytest.approx(
        {"total_seconds": 0.8, "own_seconds": 0.3, "database_seconds": 0.5, "outside_seconds": 0}
    )
    records = [
        [["MainThread\0<thread>\0001", "board\0/srv/board_app.py\00013\x01l14", "f\0x.py\0001"], 0.2]
    ] * 3
    file.write_text(json.dumps({"frame_records": records}))
    (saved,) = READ(str(file), evidence[1]).endpoints
    assert saved.figures["total_seconds"].value == pytest.approx(0.6)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff" * 500,
        b"{}",
        b'{"root_frame": {"function": 1}}',
        b'{"root_frame": ' * 5000,
        marshal.dumps(compile("print('ran')", "x", "exec")),
        marshal.dumps([1, 2]),
        marshal.dumps({("a", 1, "b"): (1, 1, 0.1, 0.1, {})})[:-3],
        b"(\xff\xff\xff\x7f" * 40,
        b"r\xff\xff\xff\x7f",
        b"l\xff\xff\xff\x7f",
        b"\xa8\x05r\x00\x00\x00\x00" * 3,
    ],
)
def test_what_is_no_profile_is_one_line_and_nothing_is_run(tmp_path, data, evidence, capfd):
    file = tmp_path / "out.prof"
    file.write_bytes(data)
    with pytest.raises(CacheStrategyError, match="no profile that can be read") as caught:
        READ(str(file), evidence[1])
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


@given(st.recursive(st.integers(-(2**70), 2**70) | st.text() | st.floats(allow_nan=False) | st.none() | st.booleans(), lambda inner: st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=20), st.integers(0, 4))  # fmt: skip
def test_what_marshal_wrote_is_read_as_marshal_reads_it(value, version):
    data = marshal.dumps(value, version)
    assert Marshalled(data).whole() == marshal.loads(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise(data):
    with contextlib.suppress(ValueError, TypeError, IndexError):
        Marshalled(data).whole()
