"""
Does the forecast come true, on a real Redis behind the emitted cache, and on nginx's proxy cache?

    python bench/prediction.py measure redis|nginx FOLDER [NAME...] [--requests N] [--seconds S]
    python bench/prediction.py table FOLDER

`measure` replays traces of a million requests and some writes at their planned moments, 200 seconds each: days are
compressed, and the times to live with them. It writes what the caches did to FOLDER, and when each request was sent (on a busy
machine a replay comes late, and says how late). `table` gives the forecast these moments, keys and writes, which is what an
access log holds, and puts both side by side.
"""

import argparse
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from prediction_traces import ENTRIES, NAMES, REQUESTS, SECONDS, Plan, plan, size_of

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

# E402: a script of this folder finds the package only by the line above
from cache_strategy.cli.foretold import RUNTIME_KEPT  # noqa: E402 - below the path that finds it
from cache_strategy.emit import runtime_source  # noqa: E402 - below the path that finds it
from cache_strategy.simulate.outcome import Grid, outcome_of  # noqa: E402 - below the path that finds it
from cache_strategy.simulate.replay import parts_of_ttls, requests_of  # noqa: E402 - below the path that finds it
from cache_strategy.simulate.storage import Storage, held, nginx_bytes, resident  # noqa: E402 - below the path that finds it
from cache_strategy.verify import private_redis  # noqa: E402 - below the path that finds it

FILL = "x" * 10_000
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or "nginx"


class Pace:
    """Waits for planned moments, and notes when it was."""

    def __init__(self) -> None:
        self.began = time.monotonic() + 0.2
        self.sent_s = array("d")

    def wait_for(self, moment: float) -> None:
        now = time.monotonic() - self.began
        if now < moment - 0.0005:
            time.sleep(moment - now)
            now = time.monotonic() - self.began
        self.sent_s.append(now)


class Tally:
    """Per entry: requests, hits and stale answers."""

    def __init__(self) -> None:
        self.counts = [[0, 0, 0] for _ in ENTRIES]

    def add(self, entry: int, hit: bool, stale: bool) -> None:
        count = self.counts[entry]
        count[0] += 1
        count[1] += hit
        count[2] += stale


def on_redis(trace: Plan) -> dict[str, Any]:
    import redis

    with tempfile.TemporaryDirectory() as folder, private_redis() as url:
        runtime = emitted(Path(folder))
        cache = runtime.Cache(url, "bench", budget_ms=10_000)
        client = redis.Redis.from_url(url)
        current: list[dict[int, int]] = [{} for _ in ENTRIES]
        computed = [0] * len(ENTRIES)
        readers = []
        for number, each in enumerate(ENTRIES):
            depends = [f"{each.name}s:{{key}}"] if each.kind == "event" else []
            entry = cache.entry(each.name, ttl_seconds=each.ttl_s, depends_on=depends, layers=["redis"])
            readers.append(entry(reader(number, current[number], computed)))
        empty, peak, stop = used(client), [0], threading.Event()

        def watch() -> None:
            while not stop.wait(0.5):
                peak[0] = max(peak[0], used(client))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        tally, pace = Tally(), Pace()
        for moment, number, key, is_write in rows_of(trace):
            pace.wait_for(moment)
            if is_write:
                current[number][key] = current[number].get(key, 0) + 1
                if ENTRIES[number].kind == "event":
                    cache.invalidate((f"{ENTRIES[number].name}s", key))
                continue
            before = computed[number]
            version = readers[number](key)[0]
            tally.add(number, computed[number] == before, version != current[number].get(key, 0))
        stop.set()
        watcher.join()
        cache.close()
        return {
            "counts": tally.counts,
            "memory_bytes": max(peak[0], used(client)) - empty,
            "sent_s": pace.sent_s,
        }


def reader(number: int, current: dict[int, int], computed: list[int]) -> Any:
    sizes = size_of(number, np.arange(ENTRIES[number].keys)).tolist()

    def value(key: int) -> list[Any]:
        computed[number] += 1
        return [current.get(key, 0), FILL[: sizes[key]]]

    value.__qualname__ = ENTRIES[number].name
    return value


def used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


def emitted(folder: Path) -> Any:
    file = folder / "emitted_cache.py"
    file.write_text(runtime_source())
    spec = importlib.util.spec_from_file_location("emitted_cache", file)
    assert spec is not None and spec.loader is not None  # it is a file that ends in .py
    runtime: Any = importlib.util.module_from_spec(spec)
    sys.modules["emitted_cache"] = runtime
    spec.loader.exec_module(runtime)
    return runtime


def rows_of(trace: Plan) -> Iterator[tuple[float, int, int, bool]]:
    for start in range(0, len(trace.time_s), 50_000):
        part = (column[start : start + 50_000].tolist() for column in trace)
        yield from zip(*part, strict=True)


CONF = """
{user} worker_processes 1; pid {folder}/pid; daemon off; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; {temporary}
  proxy_cache_path {folder}/kept levels=1:2 keys_zone=kept:64m max_size=8g inactive=1h use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 100000000;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache kept; proxy_cache_lock on; add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
"""


def on_nginx(trace: Plan) -> dict[str, Any]:
    """Without invalidation: a proxy hears of no write."""
    current: list[dict[int, int]] = [{} for _ in ENTRIES]
    with (
        tempfile.TemporaryDirectory() as folder,
        origin(current) as origin_port,
        nginx(Path(folder), origin_port) as port,
    ):
        tally, client = Tally(), Client(port)
        pace = Pace()
        for moment, number, key, is_write in rows_of(trace):
            pace.wait_for(moment)
            if is_write:
                current[number][key] = current[number].get(key, 0) + 1
                continue
            hit, version = client.get(number, key)
            tally.add(number, hit, version != current[number].get(key, 0))
        files = [entry.stat().st_size for entry in Path(folder, "kept").rglob("*") if entry.is_file()]
        return {
            "counts": tally.counts,
            "memory_bytes": sum(files),
            "files": len(files),
            "sent_s": pace.sent_s,
        }


class Client:
    """One connection that is kept, and no more of HTTP than these answers need."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, entry: int, key: int) -> tuple[bool, int]:
        self.socket.sendall(b"GET /%d/%d HTTP/1.1\r\nHost: bench\r\n\r\n" % (entry, key))
        data = self.socket.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.socket.recv(65536)
        head = data[:end].lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        while len(data) < end + 4 + length:
            data += self.socket.recv(65536)
        return b"x-cache: hit" in head, int(data[end + 4 : end + 14])


@contextmanager
def origin(current: list[dict[int, int]]) -> Iterator[int]:
    sizes = [size_of(number, np.arange(each.keys)).tolist() for number, each in enumerate(ENTRIES)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 65536

        def do_GET(self) -> None:
            number, key = map(int, self.path[1:].split("/"))
            body = f"{current[number].get(key, 0):010d}{FILL[: sizes[number][key]]}".encode()
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nCache-Control: public, max-age=%d\r\nContent-Length: %d\r\n\r\n%s"
                % (ENTRIES[number].ttl_s, len(body), body)
            )

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def nginx(folder: Path, origin_port: int) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bodies = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    conf = CONF.format(
        user="user root;" if os.geteuid() == 0 else "",
        folder=folder,
        temporary=" ".join(f"{name}_temp_path {folder}/{name};" for name in bodies),
        origin=origin_port,
        port=port,
    )
    (folder / "nginx.conf").write_text(conf)
    process = subprocess.Popen(
        [NGINX, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    )
    try:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def measure(arguments: argparse.Namespace) -> None:
    replay = {"redis": on_redis, "nginx": on_nginx}[arguments.on]
    Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    for name in arguments.names or NAMES:
        began = time.monotonic()
        trace = plan(name, arguments.requests, arguments.seconds)
        found = replay(trace)
        sent = np.array(found.pop("sent_s"))
        found["late_s"] = [round(float(x), 3) for x in np.quantile(sent - trace.time_s, (0.5, 0.99, 1))]
        found |= {
            "name": name,
            "on": arguments.on,
            "requests": arguments.requests,
            "seconds": arguments.seconds,
        }
        found["took_s"] = round(time.monotonic() - began, 1)
        file = Path(arguments.folder) / f"{arguments.on}-{name.replace(' ', '-')}.json"
        file.write_text(json.dumps(found))
        np.save(file.with_suffix(".npy"), sent)
        print(json.dumps(found), flush=True)


def foretold(found: dict[str, Any], sent: Any) -> tuple[list[tuple[float, float]], float]:
    """Share of hits and of stale answers of each entry, and the bytes of all: from moments, keys and writes alone."""
    trace, rates = plan(found["name"], found["requests"], found["seconds"]), []
    kept: Any = 0.0
    grid = Grid.over(float(sent[0]), float(sent[-1] - sent[0]))
    on_redis = found["on"] == "redis"
    for number, each in enumerate(ENTRIES):
        own, is_write = trace.entry == number, trace.is_write
        read, written = np.flatnonzero(own & ~is_write), np.flatnonzero(own & is_write)
        keys, key = np.unique(trace.key[read], return_inverse=True)
        place = np.minimum(np.searchsorted(keys, trace.key[written]), len(keys) - 1)
        known = keys[place] == trace.key[written]  # a key that nobody reads cannot be stale
        writes = sent[written][known], place[known]
        size = size_of(number, trace.key[read])
        asked = requests_of(sent[read], key, size, None, writes, None, grid)
        # nginx counts whole seconds: a value lives until the second after its time to live has passed, half of one on average
        life = each.ttl_s * RUNTIME_KEPT if on_redis else each.ttl_s + 0.5
        ((part, missed),) = parts_of_ttls(asked, [life], None, on_redis and each.kind == "event")
        done = outcome_of([part])
        rates.append((done.hits / done.requests, done.stale / done.requests))
        if on_redis:
            kept = kept + held(asked, missed, storage_of(number))
        else:  # a file stays until it was not asked for longer than `inactive`, whatever its time to live
            kept += float(nginx_bytes(size_of(number, keys) + 10, len("http://origin/0/12345"), 84).sum())
    return rates, float(np.max(resident(kept, grid)) if on_redis else kept)


def storage_of(number: int) -> Storage:
    each = ENTRIES[number]
    rows = int(each.kind == "event")
    longest = max(entry.ttl_s for entry in ENTRIES)
    name = len(f"bench:e:{each.name}/1/key12345678")
    return Storage(name_bytes=name, rows=rows, tags=3 + 2 * rows, ttl_s=each.ttl_s, version_s=2 * longest)


def table(arguments: argparse.Namespace) -> None:
    print("| on | trace | entry | hits | foretold | stale | foretold |\n|---|---|---|---|---|---|---|")
    near = [0, 0, 0]
    memories = []
    for file in sorted(Path(arguments.folder).glob("*.json")):
        found = json.loads(file.read_text())
        rates, memory = foretold(found, np.load(file.with_suffix(".npy")))
        memories.append((found["on"], found["name"], found["memory_bytes"], memory, found["late_s"]))
        for each, (asked, hits, stale), (hit_rate, stale_rate) in zip(
            ENTRIES, found["counts"], rates, strict=True
        ):
            real, old = hits / asked, stale / asked
            good = abs(real - hit_rate) <= 0.02, abs(old - stale_rate) <= max(0.005, 0.2 * old)
            near = [near[0] + 1, near[1] + good[0], near[2] + good[1]]
            marks = ["" if is_good else " (!)" for is_good in good]
            print(
                f"| {found['on']} | {found['name']} | {each.name}, {each.ttl_s} s, {each.kind if found['on'] == 'redis' else 'ttl'} "
                f"| {real:.2%} | {hit_rate:.2%}{marks[0]} | {old:.2%} | {stale_rate:.2%}{marks[1]} |"
            )
    print("\n| on | trace | memory | foretold | | late: median, 99 %, most |\n|---|---|---|---|---|---|")
    for on, name, real_bytes, said, late in memories:
        off = said / real_bytes - 1
        print(
            f"| {on} | {name} | {real_bytes / 2**20:.1f} MiB | {said / 2**20:.1f} MiB | {off:+.1%} | {', '.join(f'{x:.2f} s' for x in late)} |"
        )
    print(
        f"\nHit rate within 2 points: {near[1]} of {near[0]}. Stale share within 0.5 points or a fifth: {near[2]} of {near[0]}."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("measure")
    verb.add_argument("on", choices=("redis", "nginx"))
    verb.add_argument("folder")
    verb.add_argument("names", nargs="*")
    verb.add_argument("--requests", type=int, default=REQUESTS)
    verb.add_argument("--seconds", type=float, default=SECONDS)
    verb.set_defaults(do=measure)
    verb = verbs.add_parser("table")
    verb.add_argument("folder")
    verb.set_defaults(do=table)
    asked = parser.parse_args()
    asked.do(asked)
