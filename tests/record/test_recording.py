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
from cache_strategy.record import read_trace, run_recorded
from record.tiny_shop import write_application

BEGIN = "from shop import *\napp = create_app()\nfill(app)\nclient = app.test_client()\nimport os\n"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
LIFE = (
    BEGIN
    + """
client.get('/api/products/2?page=1'); client.get('/api/products/2?page=1')
client.put('/api/products/2', json={'name': 'new'})
client.get('/api/products/2?page=1')
client.get('/failing')

for user in (771230771230771, 2, 771230771230771):
    client.post(f'/login/{user}')
    client.get('/hello/jane?email=jane@example.org')
client.delete_cookie('session')
for token in ('a.eyJzdWIiOiAiamFuZSJ9.x', 'b.eyJzdWIiOiAiamFuZSJ9.y', 'opaque'):
    client.get('/hello/x', headers={'Authorization': 'Token ' + token})

def late():
    db.session.add(Product(id=9)); db.session.flush()
    client.get('/hello/between')
    db.session.commit()

def autoflush():
    db.session.add(Product(id=10)); Product.query.count()
    db.session.commit()

def raw():
    with db.engine.begin() as connection:
        connection.execute(db.text("DELETE FROM products WHERE id = 1"))
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(db.text("UPDATE products SET name = 'secret' WHERE id = 2"))

def before_a_savepoint():
    db.session.get(Product, 2).name = 'kept'; db.session.flush()
    nested = db.session.begin_nested()
    db.session.add(Product(id=11)); db.session.flush()
    nested.rollback()
    db.session.commit()

def undone():
    for end in (db.session.rollback, db.session.close):
        db.session.add(Product(id=12)); db.session.flush()
        end()

with app.app_context():
    for step in (late, autoflush, raw, before_a_savepoint, undone):
        step()

from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda path: app.test_client().get(path).status_code, ['/api/products/3', '/hello/t'] * 20))
for number in range(3):
    child = os.fork()
    if not child:
        client.get('/hello/child')
        os._exit(0)
    os.waitpid(child, 0)
os.kill(os.getpid(), 9)
"""
)


def driver(folder: Path, then: str, *command: str, options: str = "") -> list[str]:
    """A process of its own that records `command`."""
    return [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from cache_strategy.record import run_recorded; "
        "run = run_recorded([sys.executable, *"
        f"{command!r}], Path({str(folder)!r}), Path({str(folder / 'trace')!r}){options}); {then}",
    ]


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """The folder and the trace of a process that does much and is killed in the end, as it writes a line."""
    folder = write_application(tmp_path_factory.mktemp("shop"), LIFE)
    before = time.monotonic()
    done = run_recorded([sys.executable, "script.py"], folder, folder / "trace", quiet=True)
    assert done.exit_code == 128 + 9, done.output_tail
    with next((folder / "trace").glob("*-0.jsonl")).open("ab") as stream:
        stream.write(b'{"kind":"access","t":12.5,"gro')
    trace = read_trace(folder / "trace")
    assert before < trace.accesses[0].time_s < time.monotonic(), "comparable between processes"
    return folder, trace


def test_every_finished_request_is_there_once_and_a_torn_line_is_counted(life):
    folder, trace = life
    assert (len(trace.accesses), trace.bad_lines) == (5 + 6 + 3 + 1 + 40 + 3, 1)
    assert len(list((folder / "trace").glob("*.jsonl"))) == 4, "one of each process"


def test_a_request_is_noted_with_its_route_key_statements_times_and_digest(life):
    first, second, _, after, failing = life[1].accesses[:5]
    assert first.group == "GET /api/products/{product_id}"
    assert first.key.startswith("product_id=2&?page=")
    assert (first.status, first.statements, failing.status) == (200, 1, 500)
    assert first.duration_ms >= first.database_ms > 0
    assert first.size_bytes > 10
    assert first.digest == second.digest != after.digest


def test_users_are_told_apart_and_nothing_personal_is_written_down(life):
    folder, trace = life
    users = [a.user for a in trace.accesses if a.group.startswith("GET /hello")][:6]
    assert users[0] == users[2] != users[1]
    assert users[3] == users[4] != users[5], "a token by its holder"
    assert (trace.accesses[0].user, {len(user) for user in users}) == ("", {16})
    text = "".join(file.read_text() for file in (folder / "trace").glob("*.jsonl"))
    assert "jane" not in text
    assert "secret" not in text
    # so long a number that no time and no digest holds it by chance
    assert "771230771230771" not in text.replace("user_id=771230771230771", "")


def test_writes_count_from_their_commit_and_are_put_down_to_their_author(life):
    folder, trace = life
    renamed, *own = (w for w in trace.writes if w.qualname != "fill")
    assert (renamed.tables, renamed.path, renamed.qualname) == (("products",), "shop.py", "Catalog.rename")
    assert "commit()" in (folder / "shop.py").read_text().splitlines()[renamed.line - 1]
    assert [f"{w.qualname} {w.statement.split()[0]}" for w in own] == [
        "late INSERT",
        "autoflush INSERT",
        "raw DELETE",
        "raw UPDATE",
        "before_a_savepoint UPDATE",
    ]
    assert own[0].time_s > trace.accesses[14].time_s, "flushed before that request, committed after it"
    assert any("3 writes were rolled back" in note for note in trace.notes)


def test_threads_do_not_count_each_others_statements(life):
    asked = {(a.group.startswith("GET /api"), a.statements) for a in life[1].accesses[15:]}
    assert asked == {(True, 1), (False, 0)}


def test_answers_are_the_same_with_the_probe_and_without_and_keys_may_be_plain(tmp_path):
    script = BEGIN + (
        "client.post('/login/7')\n"
        "for path in ('/hello/x?a=b', '/api/products/1'):\n"
        "    r = client.get(path)\n"
        "    print(r.status, sorted((k, v) for k, v in r.headers), r.data)\n"
    )
    folder = write_application(tmp_path, script)
    bare = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    done = run_recorded([sys.executable, "script.py"], folder, folder / "trace", quiet=True, plain=True)
    assert done.output_tail.strip() == bare.stdout.strip()
    assert read_trace(folder / "trace").accesses[1].key == "name=x&?a=b"


def test_a_test_suite_with_pytest_is_recorded(tmp_path):
    script = BEGIN + "def test_it():\n    assert client.get('/hello/x').data\n"
    folder = write_application(tmp_path, script, "test_shop.py")
    done = run_recorded([sys.executable, "-m", "pytest", "-q"], folder, folder / "trace", quiet=True)
    assert (done.exit_code, "1 passed" in done.output_tail) == (0, True), done.output_tail
    assert [access.group for access in read_trace(folder / "trace").accesses] == ["GET /hello/{name}"]


def test_a_development_server_is_recorded_until_it_is_interrupted(tmp_path):
    write_application(tmp_path, "")
    command = driver(tmp_path, "sys.exit(0 if run.interrupted else 9)", "-m", "flask", "run")
    process = subprocess.Popen(
        command,
        env={**ENVIRONMENT, "FLASK_APP": "shop:create_app()", "FLASK_RUN_PORT": "0"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        url = next(line.split()[-1] for line in process.stderr if "Running on" in line)
        urllib.request.urlopen(f"{url}/hello/x", timeout=30).close()
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(30) == 0
    finally:
        process.stderr.close()
        process.kill()
    assert [access.group for access in read_trace(tmp_path / "trace").accesses] == ["GET /hello/{name}"]


def test_ctrl_c_at_a_terminal_reaches_the_command_once(tmp_path):
    """The terminal tells the whole group: telling the command again would break off its orderly end."""
    command = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}); print('ready', flush=True); "
        "signal.sigwait({signal.SIGINT}); again = signal.sigtimedwait({signal.SIGINT}, 0.5); "
        "print('again' if again else 'once', flush=True)"
    )
    child, terminal = pty.fork()
    if not child:
        os.execve(sys.executable, driver(tmp_path, "print(run)", "-c", command), ENVIRONMENT)
    said = b""
    with os.fdopen(terminal, "r+b", buffering=0) as stream, suppress(OSError):
        while part := stream.read(1024):
            said += part
            stream.write(b"\x03" if said.strip() == b"ready" else b"")
    os.waitpid(child, 0)
    assert all(word in said for word in (b"once", b"exit_code=0", b"interrupted=True"))


def test_output_of_the_command_passes_through_or_goes_where_it_is_sent(tmp_path, capfd):
    code = "import sys; print('to out', flush=True); print('to err', file=sys.stderr)"
    run_recorded([sys.executable, "-c", code], tmp_path, tmp_path / "trace")
    assert capfd.readouterr() == ("to out\n", "to err\n")
    run_recorded([sys.executable, "-c", code], tmp_path, tmp_path / "other", to=sys.__stderr__.buffer)
    assert capfd.readouterr() == ("", "to out\nto err\n")


def test_the_environment_is_kept_and_added_to_and_has_none_of_the_probes_modules(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.CUSTOMIZED = 'own'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = (
        "import os, importlib.util as u; print(os.environ['MODE'], CUSTOMIZED, "
        "[n for n in ('journal', 'frames', 'watchers') if u.find_spec(n)])"
    )
    command = [sys.executable, "-c", code]
    done = run_recorded(command, tmp_path, tmp_path / "trace", env={"MODE": "shadow"}, quiet=True)
    assert done.output_tail == "shadow own []"


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
    run_recorded([sys.executable, "-I", "-c", ""], tmp_path, tmp_path / "trace")
    assert "ran in no process" in read_trace(tmp_path / "trace").notes[0]
    with pytest.raises(CacheStrategyError, match="is not a folder"):
        read_trace(tmp_path / "nothing")


def test_a_journal_that_cannot_be_written_does_not_stop_the_application(tmp_path):
    script = (
        "import os, shutil\nshutil.rmtree(os.environ['CACHE_STRATEGY_TRACE'])\n"
        + BEGIN
        + "if not os.fork():\n    print(client.get('/hello/x').status_code)\n    os._exit(0)\nos.wait()\n"
    )
    command = driver(write_application(tmp_path, script), "sys.exit(run.exit_code)", "-u", "script.py")
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr
    assert done.stderr.count("not recorded any further") == 1


def test_a_full_journal_ends_the_recording_and_says_so(tmp_path):
    script = BEGIN + "for _ in range(7000): client.get('/hello/x')\nprint('served')\n"
    folder = write_application(tmp_path, script)
    command = driver(folder, "sys.exit(run.exit_code)", "-u", "script.py", options=", limit_mib=1")
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "served"), done.stderr
    assert sum(file.stat().st_size for file in (tmp_path / "trace").iterdir()) < 1.3 * 2**20
    trace = read_trace(tmp_path / "trace")
    assert 3000 < len(trace.accesses) < 7000
    assert "what came later is missing" in trace.notes[-1] and "--limit" in done.stderr
