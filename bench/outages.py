"""
What callers notice when Redis fails in every way: errors, the slowest call, what is added after, recovery, old values.

    python bench/outages.py [--async] [WORD…]        only troubles with these words

Eight threads read 20 keys through two caches as two processes would have them, with a budget of 100 ms; meanwhile rows are
invalidated. `slowest` is the slowest call of all; `before` the 99th percentile while nothing is wrong, `after` the 99th and
the slowest from half a second after the beginning of the trouble to its end; `back` the time from its end to the first
hit; `old` counts answers older than an invalidation that was announced (for the other cache: delivered) before the call.
"""

import argparse
import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

RedisServer: Any = importlib.import_module("servers").RedisServer
runtime_source = importlib.import_module("cache_strategy.emit").runtime_source

BUDGET_MS, KEYS, THREADS = 100, 20, 8
RESET = struct.pack("ii", 1, 0)


class Line:
    """Redis behind a line that can be slow, or break."""

    def __init__(self, port: int) -> None:
        self.seconds, self.resets = 0.0, False
        self._target, self._server = port, socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            redis = socket.create_connection(("127.0.0.1", self._target))
            for ends in ((client, redis, False), (redis, client, True)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.resets:
                    for end in (source, target):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    break
                time.sleep(self.seconds if is_answer else 0)
                target.sendall(data)
        for end in (source, target):
            end.close()


def restart(server: Any) -> None:
    server.kill()
    server.start()


Step = Callable[[Any, Line], Any]
TROUBLES: dict[str, tuple[float, Step, Step]] = {
    "killed": (2, lambda server, line: server.kill(), lambda server, line: server.start()),
    "paused for 5 s": (5, lambda server, line: server.pause(), lambda server, line: server.resume()),
    "restarted empty": (1, lambda server, line: restart(server), lambda server, line: None),
    "restarted with old data": (1, lambda server, line: restart(server), lambda server, line: None),
    "out of memory": (
        *(2, lambda server, line: server.command("CONFIG", "SET", "maxmemory", "1")),
        lambda server, line: server.command("CONFIG", "SET", "maxmemory", "0"),
    ),
    "a read-only replica": (
        *(2, lambda server, line: server.command("REPLICAOF", "127.0.0.1", "1")),
        lambda server, line: server.command("REPLICAOF", "NO", "ONE"),
    ),
    "slow (200 ms)": (2, lambda server, line: vars(line).update(seconds=0.2), lambda s, line: vars(line).update(seconds=0)),
    "resetting connections": (2, lambda s, line: vars(line).update(resets=True), lambda s, line: vars(line).update(resets=False)),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*")
    parser.add_argument("--async", dest="is_async", action="store_true")
    options = parser.parse_args()
    print(f"{'':24}  calls  errors  slowest ms  before p99  after p99, max ms  back ms  old")
    for name in TROUBLES:
        if not options.words or any(word in name for word in options.words):
            print(f"{name:24}  {measured(name, options.is_async)}", flush=True)
    return 0


@contextlib.contextmanager
def module(is_async: bool) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "caching_there.py")
        file.write_text(runtime_source(is_async), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("caching_there", file)
        assert spec is not None and spec.loader is not None
        sys.modules["caching_there"] = made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        yield made


def measured(name: str, is_async: bool) -> str:
    seconds, begin, end = TROUBLES[name]
    server = RedisServer()
    line = Line(server.port)
    try:
        with module(is_async) as runtime:
            port = line.port if name[:4] in ("slow", "rese") else server.port
            caches = [
                runtime.Cache(f"redis://127.0.0.1:{port}/0", "shop", budget_ms=BUDGET_MS) for _ in range(2)
            ]
            scene = Scene(caches, is_async)
            scene.run_for(0.8)
            if name.endswith("old data"):
                server.command("SAVE")
                scene.invalidate_some()
            began = time.monotonic()
            begin(server, line)
            while time.monotonic() < began + seconds:
                scene.invalidate_some()
                scene.run_for(0.25)
            ended = time.monotonic()
            end(server, line)
            back = scene.until_a_hit()
            scene.run_for(1)
            scene.stop()
    finally:
        server.stop()
    calls = sorted(took for _, took, _ in scene.calls)
    sooner = sorted(took for at, took, _ in scene.calls if began - 0.5 <= at < began)
    later = sorted(took for at, took, _ in scene.calls if began + 0.5 <= at <= ended)
    before = f"{sooner[int(len(sooner) * 0.99)] * 1000:6.2f}"
    after = f"{later[int(len(later) * 0.99)] * 1000:6.2f} {later[-1] * 1000:8.2f}" if later else f"{'':15}"
    figures = f"{len(calls):7d} {scene.errors:6d} {calls[-1] * 1000:11.1f} {before:>11}  {after:>17}"
    return f"{figures} {(back - ended) * 1000:8.0f} {sum(is_old for _, _, is_old in scene.calls):4d}"


class Scene:
    """Readers and a writer, and what they saw."""

    def __init__(self, caches: list[Any], is_async: bool) -> None:
        self.is_async, self.caches = is_async, caches
        self.entries = [c.entry("page", ttl_seconds=60, depends_on=("rows:{row}",)) for c in caches]
        self.rows = [0] * KEYS
        self.announced = [[0] * KEYS, [0] * KEYS]
        self.calls: list[tuple[float, float, bool]] = []
        self.errors, self.is_over = 0, False
        self._loop, self._random = asyncio.new_event_loop(), random.Random(1)
        self._threads = [threading.Thread(target=self._read, args=(n % 2,)) for n in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _wait(self, outcome: Any, loop: asyncio.AbstractEventLoop) -> Any:
        return loop.run_until_complete(outcome) if inspect.isawaitable(outcome) else outcome

    def _read(self, which: int) -> None:
        loop, entry = asyncio.new_event_loop(), self.entries[which]
        choice = random.Random(which)
        while not self.is_over:
            row = choice.randrange(KEYS)
            wanted, started = self.announced[which][row], time.monotonic()

            async def slowly(row: int = row) -> int:
                return self.rows[row]

            compute = slowly if self.is_async else lambda row=row: self.rows[row]
            try:
                value = self._wait(entry.get_or_compute({"row": row}, compute), loop)
                self.calls.append((started, time.monotonic() - started, value < wanted))
            except Exception:
                self.errors += 1
            time.sleep(0.005)
        loop.close()

    def invalidate_some(self) -> None:
        row = self._random.randrange(KEYS)
        self.rows[row] += 1
        self._wait(self.caches[0].invalidate(("rows", row)), self._loop)
        self.announced[0][row] = self.rows[row]
        self.settle()

    def settle(self) -> None:
        if not self.caches[0].state()["undelivered"]:
            self.announced[1] = list(self.announced[0])

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
            self.settle()

    def until_a_hit(self) -> float:
        before, patience = [entry.counts["hits"] for entry in self.entries], time.monotonic() + 20
        while any(e.counts["hits"] <= hits for e, hits in zip(self.entries, before, strict=True)):
            if time.monotonic() > patience:
                break
            time.sleep(0.001)
        return time.monotonic()

    def stop(self) -> None:
        self.is_over = True
        for thread in self._threads:
            thread.join()
        for cache in self.caches:
            cache.close()
        self._loop.close()


if __name__ == "__main__":
    sys.exit(main())
