"""`run_recorded` and `read_trace` on a real Flask application, in processes of its own."""

import os
import pty
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Trace
from cache_strategy.record import RecordedRun, read_trace, run_recorded
from record.tiny_shop import write_application

BEGIN = "from shop import *\napp = create_app()\nfill(app)\nclient = app.test_client()\n"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}


def run(tmp_path: Path, *command: str, **options: object) -> RecordedRun:
    repo = tmp_path / "shop"
    where = repo if repo.exists() else tmp_path
    return run_recorded([sys.executable, *command], where, tmp_path / "trace", **{"quiet": True, **options})


def recorded(tmp_path: Path, script: str, **options: object) -> Trace:
    write_application(tmp_path / "shop", BEGIN + script)
    done = run(tmp_path, "script.py", **options)
    assert done.exit_code == 0, done.output_tail
    return read_trace(tmp_path / "trace")


def driver(tmp_path: Path, then: str, *command: str) -> list[str]:
    """A process of its own that records `command`."""
    return [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from cache_strategy.record import run_recorded; "
        f"run = run_recorded([sys.executable, *{command!r}], Path({str(tmp_path / 'shop')!r}), "
        f"Path({str(tmp_path / 'trace')!r})); {then}",
    ]


def test_a_request_is_noted_with_its_route_key_statements_and_times(tmp_path):
    before = time.monotonic()
    trace = recorded(tmp_path, "assert client.get('/api/products/2?page=1').status_code == 200\n")
    (access,) = trace.accesses
    assert before < access.time_s < time.monotonic(), "comparable between processes"
    assert access.group == "GET /api/products/{product_id}"
    assert access.key.startswith("product_id=2&?page=")
    assert (access.status, access.statements) == (200, 1)
    assert access.duration_ms >= access.database_ms > 0
    assert access.size_bytes > 10
    assert trace.bad_lines == 0


def test_a_write_is_noted_with_its_table_and_the_line_of_the_users_code(tmp_path):
    trace = recorded(tmp_path, "client.put('/api/products/2', json={'name': 'new'})\n")
    (write,) = [write for write in trace.writes if write.statement.startswith("UPDATE")]
    assert write.tables == ("products",)
    assert (write.path, write.qualname) == ("shop.py", "Catalog.rename")
    source = (tmp_path / "shop" / "shop.py").read_text(encoding="utf-8").splitlines()
    assert "commit()" in source[write.line - 1]


def test_a_write_counts_from_its_commit_and_not_from_its_statement(tmp_path):
    trace = recorded(
        tmp_path,
        """
with app.app_context():
    db.session.add(Product(id=9, name="late"))
    db.session.flush()
    client.get('/hello/between')
    db.session.commit()
""",
    )
    insert = [write for write in trace.writes if write.statement.startswith("INSERT")][-1]
    (access,) = trace.accesses
    assert insert.time_s > access.time_s


SAVEPOINT = """
    nested = db.session.begin_nested()
    db.session.add(Product(id=9))
    db.session.flush()
    nested.rollback()
    db.session.commit()
"""


@pytest.mark.parametrize(
    "undo",
    [
        "    db.session.add(Product(id=9)); db.session.flush(); db.session.rollback()",
        "    db.session.add(Product(id=9)); db.session.flush(); db.session.close()",
        SAVEPOINT,
    ],
    ids=["rollback", "close", "savepoint"],
)
def test_a_write_that_is_rolled_back_does_not_count(tmp_path, undo):
    trace = recorded(tmp_path, f"with app.app_context():\n{undo}\n")
    assert [write.qualname for write in trace.writes if "INSERT" in write.statement] == ["fill"]
    assert any("rolled back" in note for note in trace.notes)


@pytest.mark.parametrize(
    ("script", "written"),
    [
        ("    db.session.get(Product, 1).name = 'kept'; db.session.flush()" + SAVEPOINT, ["UPDATE <module>"]),
        (
            """
    def look():
        return Product.query.count()

    def add():
        db.session.add(Product(id=9))
        look()
        db.session.commit()

    add()
""",
            ["INSERT add"],
        ),
        (
            """
    with db.engine.begin() as connection:
        connection.execute(db.text("DELETE FROM products WHERE id = 1"))
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(db.text("UPDATE products SET name = 'secret' WHERE id = 2"))
""",
            ["DELETE <module>", "UPDATE <module>"],
        ),
    ],
    ids=["before a savepoint that is rolled back", "an autoflush, by the code that commits", "raw"],
)
def test_writes_count_and_are_put_down_to_their_author(tmp_path, script, written):
    trace = recorded(tmp_path, f"with app.app_context():\n{script}\n")
    own = [write for write in trace.writes if write.path == "script.py"]
    assert [f"{write.statement.split()[0]} {write.qualname}" for write in own] == written
    assert not any("secret" in write.statement for write in own)


def test_nothing_personal_is_written_down_in_clear_unless_asked_for(tmp_path):
    script = "client.post('/login/77123'); client.get('/hello/jane?email=jane@example.org')\n"
    recorded(tmp_path, script)
    text = "".join(file.read_text() for file in (tmp_path / "trace").glob("*.jsonl"))
    assert "jane" not in text
    assert "77123" not in text.replace("user_id=77123", "")
    (tmp_path / "trace").rename(tmp_path / "first")
    assert recorded(tmp_path, script, plain=True).accesses[-1].key == "name=jane&?email=jane@example.org"


def test_users_are_told_apart_by_a_hash_that_says_nothing_and_tokens_by_their_holder(tmp_path):
    trace = recorded(
        tmp_path,
        """
client.get('/hello/x')
for user in (1, 2, 1):
    client.post(f'/login/{user}')
    client.get('/hello/x')
client.delete_cookie('session')
for token in ('a.eyJzdWIiOiAiamFuZSJ9.x', 'b.eyJzdWIiOiAiamFuZSJ9.y', 'opaque'):
    client.get('/hello/x', headers={'Authorization': 'Token ' + token})
""",
    )
    users = [access.user for access in trace.accesses if access.group.startswith("GET")]
    assert users[0] == ""
    assert users[1] == users[3] != users[2]
    assert users[4] == users[5] != users[6]
    assert all(len(user) == 16 for user in users[1:])


def test_an_answer_that_changes_has_another_digest_and_a_failure_is_a_500(tmp_path):
    trace = recorded(
        tmp_path,
        """
client.get('/api/products/1'); client.get('/api/products/1')
client.put('/api/products/1', json={'name': 'other'})
client.get('/api/products/1')
assert client.get('/failing').status_code == 500
""",
    )
    *answers, failure = (a for a in trace.accesses if a.group.startswith("GET"))
    first, second, third = (answer.digest for answer in answers)
    assert first == second != third
    assert failure.status == 500


def test_answers_are_the_same_with_the_probe_and_without(tmp_path):
    script = BEGIN + (
        "client.post('/login/7')\n"
        "for path in ('/hello/x', '/api/products/1'):\n"
        "    r = client.get(path)\n"
        "    print(r.status, sorted((k, v) for k, v in r.headers), r.data)\n"
    )
    repo = write_application(tmp_path / "shop", script)
    bare = subprocess.run([sys.executable, "script.py"], cwd=repo, capture_output=True, text=True, check=True)
    assert run(tmp_path, "script.py").output_tail.strip() == bare.stdout.strip()


def test_a_test_suite_with_pytest_is_recorded(tmp_path):
    write_application(
        tmp_path / "shop", BEGIN + "def test_it():\n    assert client.get('/hello/x').data\n", "test_shop.py"
    )
    done = run(tmp_path, "-m", "pytest", "-q")
    assert done.exit_code == 0
    assert "1 passed" in done.output_tail
    assert [access.group for access in read_trace(tmp_path / "trace").accesses] == ["GET /hello/{name}"]


def test_each_fork_writes_a_journal_of_its_own_and_nothing_twice(tmp_path):
    trace = recorded(
        tmp_path,
        """
import os
client.get('/hello/parent')
for number in range(3):
    child = os.fork()
    if not child:
        client.get(f'/hello/child{number}')
        os._exit(0)
    os.waitpid(child, 0)
client.get('/hello/parent')
""",
        plain=True,
    )
    keys = sorted(a.key.removeprefix("name=") for a in trace.accesses)
    assert keys == "child0 child1 child2 parent parent".split()
    assert len(list((tmp_path / "trace").glob("*.jsonl"))) == 4


def test_threads_do_not_count_each_others_statements(tmp_path):
    trace = recorded(
        tmp_path,
        """
from concurrent.futures import ThreadPoolExecutor
paths = ['/api/products/1', '/hello/x'] * 40
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda path: app.test_client().get(path).status_code, paths))
""",
    )
    assert len(trace.accesses) == 80
    assert {(a.group.startswith("GET /api"), a.statements) for a in trace.accesses} == {(True, 1), (False, 0)}


def test_a_process_that_is_killed_leaves_every_finished_request_and_a_torn_line_is_counted(tmp_path):
    script = BEGIN + "import os\nfor n in range(50):\n    client.get('/hello/x')\nos.kill(os.getpid(), 9)\n"
    write_application(tmp_path / "shop", script)
    assert run(tmp_path, "script.py").exit_code == 128 + 9
    (journal,) = (tmp_path / "trace").glob("*.jsonl")
    with journal.open("ab") as stream:
        stream.write(b'{"kind":"access","t":12.5,"gro')
    trace = read_trace(tmp_path / "trace")
    assert (len(trace.accesses), trace.bad_lines) == (50, 1)


def test_a_development_server_is_recorded_until_it_is_interrupted(tmp_path):
    write_application(tmp_path / "shop", "")
    server = ("-m", "flask", "--app", "shop:create_app()", "run", "--port", "0")
    process = subprocess.Popen(
        driver(tmp_path, "sys.exit(0 if run.interrupted else 9)", *server),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        url = next(line.split()[-1] for line in process.stderr if "Running on" in line)
        with urllib.request.urlopen(f"{url}/hello/x", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(30) == 0
    finally:
        process.stderr.close()
        process.kill()
    (access,) = read_trace(tmp_path / "trace").accesses
    assert access.group == "GET /hello/{name}"


def test_ctrl_c_at_a_terminal_reaches_the_command_once(tmp_path):
    """The terminal tells the whole group: telling the command again would break off its orderly end."""
    command = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}); print('ready', flush=True); "
        "signal.sigwait({signal.SIGINT}); again = signal.sigtimedwait({signal.SIGINT}, 0.5); "
        "print('again' if again else 'once', flush=True)"
    )
    (tmp_path / "shop").mkdir()
    child, terminal = pty.fork()
    if not child:
        os.execve(sys.executable, driver(tmp_path, "print(run)", "-c", command), ENVIRONMENT)
    said = b""
    with os.fdopen(terminal, "r+b", buffering=0) as stream, suppress(OSError):
        while part := stream.read(1024):
            said += part
            if said.strip() == b"ready":
                stream.write(b"\x03")
    os.waitpid(child, 0)
    assert b"once" in said
    assert b"exit_code=0" in said
    assert b"interrupted=True" in said


def test_output_of_the_command_passes_through_or_goes_where_it_is_sent(tmp_path, capfd):
    code = "import sys; print('to out', flush=True); print('to err', file=sys.stderr)"
    run_recorded([sys.executable, "-c", code], tmp_path, tmp_path / "trace")
    assert capfd.readouterr() == ("to out\n", "to err\n")
    run_recorded([sys.executable, "-c", code], tmp_path, tmp_path / "other", to=sys.__stderr__.buffer)
    assert capfd.readouterr() == ("", "to out\nto err\n")


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("import os; print(os.environ['CACHE_MODE'])", "shadow"),
        ("print(CUSTOMIZED)", "by the environment's own"),
        (
            "import importlib.util as u; print([n for n in ('journal', 'frames', 'watchers') if u.find_spec(n)])",
            "[]",
        ),
    ],
    ids=["is added to", "keeps its sitecustomize", "cannot import the probe's modules"],
)
def test_the_environment(tmp_path, monkeypatch, code, output):
    (tmp_path / "sitecustomize.py").write_text(
        'import builtins\nbuiltins.CUSTOMIZED = "by the environment\'s own"\n'
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run(tmp_path, "-c", code, env={"CACHE_MODE": "shadow"}).output_tail == output


@pytest.mark.parametrize(
    ("command", "folder", "said"),
    [
        ("no-such-program", "trace", "no-such-program: cannot be started"),
        (sys.executable, "holds", "holds a trace already"),
        (sys.executable, "file/trace", "cannot be written"),
    ],
)
def test_what_cannot_be_recorded_is_named(tmp_path, command, folder, said):
    (tmp_path / "file").touch()
    (tmp_path / "holds").mkdir()
    (tmp_path / "holds" / "1-0.jsonl").touch()
    with pytest.raises(CacheStrategyError, match=said):
        run_recorded([command, "-c", ""], tmp_path, tmp_path / folder)


def test_a_python_that_ignores_the_probe_and_a_trace_that_is_not_there_are_said(tmp_path):
    run(tmp_path, "-I", "-c", "")
    (note,) = read_trace(tmp_path / "trace").notes
    assert "ran in no process" in note
    with pytest.raises(CacheStrategyError, match="is not a folder"):
        read_trace(tmp_path / "nothing")


def test_a_journal_that_cannot_be_written_does_not_stop_the_application(tmp_path):
    write_application(
        tmp_path / "shop",
        "import os, shutil\nshutil.rmtree(os.environ['CACHE_STRATEGY_TRACE'])\n"
        + BEGIN
        + "if not os.fork():\n    print(client.get('/hello/x').status_code)\n    os._exit(0)\nos.wait()\n",
    )
    command = driver(tmp_path, "sys.exit(run.exit_code)", "-u", "script.py")
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr
    assert done.stderr.count("not recorded any further") == 1
