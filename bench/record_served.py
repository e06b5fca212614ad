"""
What recording costs a real server: the same application served twice, once under `record`, asked in turns.

Usage:
    python bench/record_served.py --requests FILE [--cwd FOLDER] [--count 150] [--rounds 20] [--seed N] -- CMD with {port}

FILE has a request a line: method, path, and headers as `Name: value`, then a body, parted by tabs. Some of them are drawn and asked
for in rounds, of both servers, each first in turn, over one connection each. Counted is the processor time of all processes of a server
(`schedstat`, nanoseconds), from before one request to before its next, so that what is done after an answer counts; of each request the lower
quartile of its rounds, as other work on the machine only adds. Linux only; the database's time is not counted, so that a share is of the
application's own work. With an evidence of `profile` in FOLDER its
candidate functions are watched as well, unless `--no-functions`. Servers find their database by
themselves: name it in the environment.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

from cache_strategy.cli.sources import candidate_functions_of  # noqa: E402 - below the path that finds it
from cache_strategy.record.command import _probe_environment  # noqa: E402 - below the path that finds it


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--cwd", type=Path, default=Path())
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-functions", action="store_true")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    lines = options.requests.read_text().splitlines()
    lines = random.Random(options.seed).sample(lines, min(options.count, len(lines)))
    functions = () if options.no_functions else candidate_functions_of(options.cwd)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        trace.mkdir()
        recording = _probe_environment(options.cwd, trace, False, functions)
        servers = [Server(options.command, options.cwd, more) for more in ({}, recording)]
        try:
            costs, codes = _ask(servers, lines, options.rounds)
        finally:
            for server in servers:
                server.stop()
        recorded_lines = sum(len(file.read_bytes().split()) > 0 for file in trace.iterdir())
    plain, recorded = ([statistics.quantiles(own)[0] for own in column] for column in costs)
    more = [b - a for a, b in zip(plain, recorded, strict=True)]
    print(
        f"{len(lines)} requests in {options.rounds} rounds ({', '.join(f'{n} x {code}' for code, n in sorted(codes.items()))}), "
        f"{len(functions)} functions watched, {recorded_lines} processes recorded\n"
        f"without {statistics.median(plain):,.0f} us at the median, {statistics.fmean(plain):,.0f} at the mean\n"
        f"more    {statistics.median(more):,.0f} us at the median, {statistics.fmean(more):,.0f} at the mean\n"
        f"lost    {100 * (1 - sum(plain) / sum(recorded)):.1f} % of throughput"
    )


class Server:
    """One of the two, with its connection."""

    def __init__(self, command: list[str], cwd: Path, more: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        words = [word.replace("{port}", str(self._port)) for word in command]
        self._process = subprocess.Popen(
            words if len(words) > 1 else shlex.split(words[0]), cwd=cwd, env={**os.environ, **more}, stdout=-3, stderr=-3
        )  # fmt: skip
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        for _ in range(300):
            try:
                self.ask("GET", "/", {}, None)
                break
            except OSError:
                self._connection.close()
                time.sleep(0.1)

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> int:
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        except (http.client.BadStatusLine, BrokenPipeError, ConnectionResetError):
            # A server that keeps no connection.
            self._connection.close()
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def busy_us(self) -> float:
        """Of the process and all below it, all threads."""
        found, waiting = 0, [self._process.pid]
        while waiting:
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                found += int((task / "schedstat").read_text().split()[0])
                waiting += map(int, (task / "children").read_text().split())
        return found / 1000

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(20)


def _ask(
    servers: list[Server], lines: list[str], rounds: int
) -> tuple[list[list[list[float]]], dict[int, int]]:
    """Microseconds of each server, request and round; and how many answers had which status."""
    costs: list[list[list[float]]] = [[[] for _ in lines] for _ in servers]
    codes: dict[int, int] = {}
    before: list[tuple[int, float]] = [(-1, server.busy_us()) for server in servers]
    for turn in range(rounds + 2):
        for n, line in enumerate(lines):
            method, path, *others = line.split("\t")
            headers = dict(
                part.split(": ", 1) for part in others if ": " in part and not part.startswith("{")
            )
            body = next((part.encode() for part in others if part.startswith("{")), None)
            for at in (0, 1) if (n + turn) % 2 else (1, 0):
                now, (asked, then) = servers[at].busy_us(), before[at]
                if asked >= 0 and turn > 1:
                    costs[at][asked].append(now - then)
                before[at] = n, now
                code = servers[at].ask(method, path, headers, body)
                codes[code] = codes.get(code, 0) + 1
    return costs, codes


if __name__ == "__main__":
    main()
