"""Runs the user's own command with the probe inside."""

import os
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.record import probe

OUTPUT = "output.txt"
TAIL_LINES = 40
"""Lines of a quiet command that are kept for people (assumed: a test runner's summary fits)."""


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """How a command ended: 128 + the signal's number where a signal did, `interrupted` by Ctrl-C or a SIGTERM."""

    exit_code: int
    seconds: float
    output_tail: str = ""
    interrupted: bool = False


def run_recorded(
    command: Sequence[str],
    repo: Path,
    trace_dir: Path,
    *,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
    plain: bool = False,
    functions: Sequence[str] = (),
    to: IO[bytes] | None = None,
    limit_mib: int = 0,
) -> RecordedRun:
    """
    Runs `command` in `repo` and leaves its journals in `trace_dir`.

    Args:
        quiet: standard output and error go to `trace_dir/output.txt` instead of passing through.
        plain: keys and values are written in clear; otherwise only numbers in paths are.
        functions: candidates whose calls are noted, as "path:qualname".
        to: where the standard output of a command that is not quiet goes; None for where ours goes.
        limit_mib: what all journals may hold together, 0 for as much as the disk has room for; what comes later is missing, and
            the trace says so.

    Raises:
        CacheStrategyError: the command cannot be started, or `trace_dir` cannot be written or holds a trace already.
    """
    if not command:
        raise CacheStrategyError("record: no command is given; name one after --: record -- pytest")
    _prepare(trace_dir)
    variables = {
        **os.environ,
        **(env or {}),
        **_probe_environment(repo, trace_dir, plain, functions, limit_mib),
    }
    began = time.monotonic()
    with (trace_dir / OUTPUT).open("wb") if quiet else nullcontext(to) as output:
        try:
            errors = subprocess.STDOUT if quiet else None
            process = subprocess.Popen(list(command), cwd=repo, env=variables, stdout=output, stderr=errors)
        except OSError as error:
            raise CacheStrategyError(
                f"{command[0]}: cannot be started in {repo} ({error.strerror}); "
                "name a program on PATH or a file that may be executed."
            ) from error
        exit_code, interrupted = _wait(process)
    seconds, tail = time.monotonic() - began, _tail(trace_dir) if quiet else ""
    return RecordedRun(exit_code=exit_code, seconds=seconds, output_tail=tail, interrupted=interrupted)


def _prepare(trace_dir: Path) -> None:
    try:
        trace_dir.mkdir(parents=True, exist_ok=True)
        if any(trace_dir.glob("*.jsonl")):
            raise CacheStrategyError(
                f"{trace_dir}: holds a trace already; each recording needs a folder of its own."
            )
        with tempfile.TemporaryFile(dir=trace_dir):
            pass
    except OSError as error:
        raise CacheStrategyError(
            f"{trace_dir}: cannot be written ({error.strerror}); a trace needs a writable folder."
        ) from error


def _probe_environment(
    repo: Path, trace_dir: Path, plain: bool, functions: Sequence[str], limit_mib: int = 0
) -> dict[str, str]:
    paths = [str(Path(probe.__file__).resolve().parent), os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        probe.FOLDER: str(trace_dir.resolve()),
        probe.REPOSITORY: str(repo.resolve()),
        # Never written down: the hashes of one recording cannot be looked up afterwards.
        probe.SALT: secrets.token_hex(8),
        probe.PLAIN: "1" if plain else "",
        probe.FUNCTIONS: "\n".join(functions),
        probe.LIMIT: str(limit_mib << 20),
    }


def _wait(process: "subprocess.Popen[bytes]") -> tuple[int, bool]:
    """The exit code, and whether it was interrupted; a signal that only reached us is handed on."""
    interrupted = threading.Event()
    with _handing_on_sigterm(process, interrupted):
        while True:
            try:
                code = process.wait()
                return (128 - code if code < 0 else code), interrupted.is_set()
            except KeyboardInterrupt:
                interrupted.set()
                if not _shares_our_terminal():
                    process.send_signal(signal.SIGINT)


def _shares_our_terminal() -> bool:
    """True when Ctrl-C was typed, which the terminal sends to the whole group by itself."""
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:  # noqa: PTH123  # unbuffered bytes of a device
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def _handing_on_sigterm(process: "subprocess.Popen[bytes]", interrupted: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hand_on(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        process.send_signal(number)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tail(trace_dir: Path) -> str:
    with (trace_dir / OUTPUT).open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - 16_384))
        return "\n".join(stream.read().decode("utf-8", "replace").splitlines()[-TAIL_LINES:])
