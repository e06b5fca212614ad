"""Access logs to a trace."""

import hashlib
import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Accesses, Sample, Trace
from cache_strategy.simulate import scan
from cache_strategy.simulate.engine import engine_for
from cache_strategy.simulate.readers import Layout, layout_of, load_readers
from cache_strategy.simulate.routes import Crowds, Routes, key_of, template
from cache_strategy.simulate.thinning import Names, Room

BLOCK = 8 << 20
SAMPLE = 1 << 16
STEPS_PER_BYTE = 3
MOST_REQUESTS = 7_500_000
"""As many as fit into 2 GB, if a request has four of its like; see `thinning.NAME_ROWS`."""
FORMATS_TRIED = 8
"""Blocks of a file in which no format is found before no more is looked for (assumed)."""
OTHERS_SHARE = 0.005
"""Of the lines; of more that do not fit, whether they fit another format is tried (assumed)."""
BACKWARDS = 120.0
"""Seconds by which a request may be logged after one that began later: logs are written when the answer is out (assumed)."""
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}
WHAT = "a log of nginx, Apache, gunicorn, AWS or JSON lines, plain, gzip or zstd"
NAMED_TIME = re.compile(r"(?:rt|request_time|total_time)[=:]\"?$")
BEHIND = re.compile(r'" \d{3} \S+ "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" (.*)')
NUMBER = re.compile(r'("?(?:[a-z_]+[=:]"?)?)(\d+(?:\.\d+)?)(.*)')


def read_access_log(
    paths: Sequence[Path],
    routes: Sequence[tuple[str, str]],
    log_format: str = "",
    most_requests: int = MOST_REQUESTS,
) -> Trace:
    """
    The requests of one or more access logs in time order. Users are hashed anew at each reading.

    Args:
        routes: method and route with parameters in braces; a path that fits none has its numbers, UUIDs and slugs replaced.
        log_format: of nginx, Apache or gunicorn; "" to find it from the first lines of each file.
        most_requests: of more than these a sample is drawn over the whole log, so that logs of any size need no more memory.

    Raises:
        CacheStrategyError: a file is missing, unreadable, not text, or of no known format; all files are empty.
    """
    logs = _Logs(log_format, sum(path.stat().st_size for path in paths if path.is_file()), most_requests)
    for path in paths:
        try:
            with path.open("rb", buffering=0) as raw:
                logs.read(path, _blocks(path, raw, logs.notes))
        except OSError as error:
            raise CacheStrategyError(
                f"{path}: cannot be read ({error.strerror or error}); name {WHAT}."
            ) from error
    if not logs.room.seen:
        raise CacheStrategyError(f"{', '.join(map(str, paths))}: has no requests (empty); name {WHAT}.")
    accesses = _accesses(logs, Routes(routes))
    if np.isnan(accesses.duration_ms).all():
        logs.notes.append(
            "The log has no request times, so latency is not known; nginx logs it with $request_time, Apache with %D."
        )
    if accesses.sample:
        logs.notes.append(_drawn(accesses, accesses.sample, logs.room.writes_whole))
    if logs.bad:
        logs.notes.append(
            f"{logs.bad} of {logs.bad + logs.room.seen} lines could not be read. The first of them: {logs.first_bad!r}"
        )
    return Trace(
        accesses=accesses,
        seconds=logs.last_s - logs.first_s,
        bad_lines=logs.bad,
        source=", ".join(path.name for path in paths) + f" ({', '.join(sorted(logs.formats))})",
        notes=tuple(logs.notes),
    )


def _drawn(accesses: Accesses, sample: Sample, writes_whole: bool) -> str:
    """What the reader of figures must know of a sample."""
    whole = int((sample.rate >= 1).sum())
    asked = sample.repeats[sample.rate[sample.unit] >= 1].sum(dtype="i8") / sample.requests
    return (
        f"Of {sample.requests:,} requests {len(accesses):,} are replayed, as more do not fit into memory: the {whole:,} paths that are "
        f"asked for most ({asked:.0%} of all requests) whole, those alike within a second as one, and of the other paths "
        f"{len(sample.rate) - whole:,} drawn by a hash. Every figure is of the whole log; sampling_error is half of the 90 % "
        "interval of a hit rate (simulate --exact-requests N replays all, with about 200 bytes of memory each)."
        + (
            ""
            if writes_whole
            else " So many requests write that of these, too, a part was drawn: stale shares are too low."
        )
    )


def _blocks(path: Path, raw: Any, notes: list[str]) -> Iterator[bytes]:
    """Pieces of a file; unpacked by the program of its format, beside us. A truncated archive ends with a note."""
    program = PACKED.get(raw.read(2))
    raw.seek(0)
    if not program:
        yield from iter(lambda: raw.read(BLOCK), b"")
        return
    found = 0
    if shutil.which(program) is None:
        raise CacheStrategyError(
            f"{path}: is packed with {program}, which is not on PATH; install {program}, or unpack it."
        )
    with subprocess.Popen([program, "-dcq"], stdin=raw, stdout=-1, stderr=subprocess.DEVNULL) as unpacking:
        assert unpacking.stdout
        while block := unpacking.stdout.read(BLOCK):
            found += len(block)
            yield block
    if unpacking.returncode and not found:
        raise CacheStrategyError(f"{path}: is no whole {program} archive; unpack it, or copy it again.")
    if unpacking.returncode:
        notes.append(f"{path.name} ends early: the archive is damaged. What came before is used.")


class _Logs:
    """What several files hold: columns in parts, requests and users by number."""

    def __init__(self, log_format: str = "", size: int = 0, most: int = MOST_REQUESTS) -> None:
        self._given = layout_of(log_format) if log_format else None
        self._engine = engine_for(size * STEPS_PER_BYTE)
        self.requests, self.users = _Numbers(), _Numbers()
        self.room = Room(most)
        self.bad = 0
        self.first_s, self.last_s = np.inf, -np.inf
        self._latest_s, self._back, self._furthest_back = -np.inf, 0, 0.0
        self.first_bad = ""
        self.notes: list[str] = []
        self.formats = {"given format"} if log_format else set()

    def read(self, path: Path, blocks: Iterator[bytes]) -> None:
        """One file; a line that does not fit into a block is cut. Lines that do not fit the formats so far are tried in others."""
        layouts, rest = [self._given] if self._given else [], b""
        tries, unknown = 0 if self._given else FORMATS_TRIED, None
        self._latest_s, self._back, self._furthest_back = -np.inf, 0, 0.0
        for block in chain(blocks, (b"\n",)):
            rest += block + (b"\n" if len(rest) > BLOCK else b"")
            end = rest.rfind(b"\n") + 1
            data, rest = rest[:end], rest[end:]
            if b"\0" in data:
                raise CacheStrategyError(f"{path}: is not text; name {WHAT}.")
            lines = 0
            for layout in tuple(layouts):
                more, data = self.take(data, layout)
                lines += more
            while tries and data.strip() and data.count(b"\n") > OTHERS_SHARE * lines:
                tries -= 1
                try:
                    layouts.insert(0, self._guess(path, data))
                except CacheStrategyError as error:
                    unknown = error
                    break
                if len(layouts) > 1:
                    self.notes.append(f"{path.name} changes its format: lines of both are used.")
                more, data = self.take(data, layouts[0])
                lines += more
            self._lose(data)
            if not layouts and not tries:
                break
        if not layouts and unknown:
            raise unknown
        if not layouts:
            self.notes.append(f"{path.name} is empty.")
        self._check_clock(path)

    def _lose(self, data: bytes) -> None:
        """Counts lines that no format reads."""
        lost = [line for line in data.split(b"\n") if line.strip() and not line.startswith(b"#")]
        if lost and not self.bad:
            self.first_bad = lost[0][:60].decode("utf-8", "replace")
        self.bad += len(lost)

    def _watch_clock(self, times: Any) -> None:
        back = np.append(self._latest_s, times[:-1]) - times
        self._latest_s = times[-1]
        self._back += int((back > BACKWARDS).sum())
        self._furthest_back = max(self._furthest_back, float(back.max()))

    def _check_clock(self, path: Path) -> None:
        if self._back:
            self.notes.append(
                f"{path.name}: its clock goes backwards {'once' if self._back == 1 else f'{self._back:,} times'}, by {self._furthest_back:,.0f} s at most (daylight saving "
                "without an offset, or logs put together); requests are put in order by their times."
            )

    def _guess(self, path: Path, data: bytes) -> Layout:
        """The layout that reads most of the first lines."""
        sample = data[: data.find(b"\n", SAMPLE) + 1] or data
        found = [
            (_Logs().take(sample, layout)[0], layout, reader.name, text)
            for reader in load_readers().values()
            for layout, text in zip(reader.layouts, reader.formats, strict=True)
        ]
        most, best, name, text = max(found, key=lambda item: item[0])
        if not most:
            first = data.strip().split(b"\n")[0][:60].decode("utf-8", "replace")
            raise CacheStrategyError(
                f"{path}: is in no known format (first line: {first!r}); the known ones are {', '.join(load_readers())}."
            )
        self.formats.add(name)
        timed = layout_of(_with_time(text, sample))
        return timed if text and _Logs().take(sample, timed)[0] >= 0.98 * most else best

    def take(self, data: bytes, layout: Layout) -> tuple[int, bytes]:
        """The lines of a block: how many could be read, and those that could not."""
        engine, most = self._engine, data.count(b"\n")
        asked, whole = engine.blank(8 * most, -1, "i4"), engine.blank(5 * most, -1)
        real, bad = engine.blank(2 * most, 0, "f8"), engine.blank(1 + 2 * most, 0)
        columns = (layout.roles, list(layout.stops), layout.lengths, layout.table)
        lines: int = engine.ready(scan.scan)(
            np.frombuffer(data, "u1") if engine.is_compiled else data,
            *(engine.column(np.array(column, "i8")) for column in columns),
            (asked, whole, real, bad),
            engine.blank(2 * scan.ROLES, -1),
            engine.blank(scan.ROLES, 99),
        )
        places = np.asarray(bad)[1 : 1 + 2 * int(bad[0])].reshape(-1, 2).tolist()
        lost = b"".join(data[start:end] + b"\n" for start, end in places)
        if lines:
            spans, numbers = (
                np.asarray(asked).reshape(-1, 8)[:lines],
                np.asarray(whole).reshape(-1, 5)[:lines],
            )
            times, took = np.asarray(real).reshape(-1, 2)[:lines].T
            self._watch_clock(times)
            self.first_s, self.last_s = min(self.first_s, float(times.min())), max(self.last_s, float(times.max()))  # fmt: skip
            at = self.room.wanted(numbers[:, 0], numbers[:, 4], numbers[:, 1])
            spans, numbers, times, took = spans[at], numbers[at], times[at], took[at]
            request = self.requests.of(numbers[:, 0], data, spans[:, :6], numbers[:, 4])
            user = self.users.of(numbers[:, 1], data, spans[:, 6:])
            status, size = numbers[:, 2].astype("i2"), numbers[:, 3].astype("i4")
            part = (times.copy(), request, user, status, size, took.astype("f4"))
            if self.room.add(part, len(self.requests), self.names):
                self._forget()
        return lines, lost

    def names(self) -> Names:
        return Names(self.requests.hashes(), np.array(self.requests.paths, "i8"), self.users.hashes())

    def _forget(self) -> None:
        """The names of requests that are not kept any more."""
        parts = self.room.parts
        for at, names in ((1, self.requests), (2, self.users)):
            numbers = names.keep(np.unique(np.concatenate([part[at] for part in parts])))
            parts = [(*part[:at], numbers[part[at]], *part[at + 1 :]) for part in parts]
        self.room.parts = parts


class _Numbers(dict[int, int]):
    """Numbers hashes from 0 as they come; what they stand for is kept in `texts`, of requests the hashes of their paths in `paths`."""

    def __init__(self) -> None:
        self.texts: list[tuple[bytes, ...]] = []
        self.paths: list[int] = []

    def __missing__(self, key: int) -> int:
        number = self[key] = len(self)
        return number

    def hashes(self) -> Any:
        return np.fromiter(self, "i8", len(self))

    def keep(self, used: Any) -> Any:
        """Forgets all numbers but these; the new one of each old number."""
        hashes, chosen = self.hashes(), used.tolist()
        new = np.full(len(hashes), -1, "i4")
        new[used] = np.arange(len(used))
        self.texts = [self.texts[number] for number in chosen]
        self.paths = [self.paths[number] for number in chosen] if self.paths else []
        self.clear()
        self.update(zip(hashes[used].tolist(), range(len(used)), strict=True))
        return new

    def of(self, hashes: Any, data: bytes, spans: Any, paths: Any = None) -> Any:
        before = len(self)
        numbers = np.fromiter(map(self.__getitem__, hashes.tolist()), "i4", len(hashes))
        new = np.flatnonzero(numbers >= before)
        first = new[np.unique(numbers[new], return_index=True)[1]]
        for span in spans[first].tolist():
            pairs = zip(span[::2], span[1::2], strict=True)
            self.texts.append(tuple(data[start:end] if start >= 0 else b"" for start, end in pairs))
        if paths is not None:
            self.paths += paths[first].tolist()
        return numbers


def _with_time(log_format: str, sample: bytes) -> str:
    """
    A combined format with the request time behind it: a number called so, else the last one with a point (seconds), else the
    last whole one (Apache's %D, microseconds).
    """
    match = BEHIND.search(sample.decode("utf-8", "replace"))
    words = match[1].split() if match else []
    numbers = [(at, found) for at, word in enumerate(words) if (found := NUMBER.fullmatch(word))]
    ranked = [
        (bool(NAMED_TIME.search(n[1])), "." in n[2], at, n)
        for at, n in numbers
        if NAMED_TIME.search(n[1]) or n[1] in ("", '"')
    ]
    if not ranked:
        return log_format
    is_named, has_point, at, number = max(ranked, key=lambda item: item[:3])
    unit = "request_time" if is_named or has_point else "request_us"
    behind = number[3] or (" " if at + 1 < len(words) else "")
    return f"{log_format}{' $passed' * at} {number[1]}${{{unit}}}{behind}"


def _accesses(logs: _Logs, routes: Routes) -> Accesses:
    columns = [np.concatenate(parts) for parts in zip(*logs.room.parts, strict=True)]
    logs.room.parts.clear()
    if not np.all(columns[0][1:] >= columns[0][:-1]):
        order = np.argsort(columns[0], kind="stable")
        columns = [column[order] for column in columns]
    times, request, user, status, size, took, repeats = columns
    groups: dict[str, int] = {}
    keys: dict[tuple[int, str], int] = {}
    places = []
    for group, key in _matched(logs.requests.texts, routes):
        number = groups.setdefault(group, len(groups))
        places.append((number, keys.setdefault((number, key), len(keys))))
    group_and_key = np.array(places, "i4")
    salt, users = secrets.token_bytes(16), {b"": ""}
    for (name,) in logs.users.texts:
        users.setdefault(name, hashlib.blake2b(name, key=salt, digest_size=8).hexdigest())
    numbers = {name: number for number, name in enumerate(users)}
    return Accesses(
        time_s=times,
        group=group_and_key[request, 0],
        key=group_and_key[request, 1],
        user=np.array([numbers[name] for (name,) in logs.users.texts], "i4")[user],
        status=status,
        duration_ms=np.where(took < 0, np.float32(np.nan), took),
        size_bytes=np.where(status == 304, np.int32(-1), size),
        digest=np.zeros(len(times), "i1"),
        groups=tuple(groups),
        keys=tuple(key for _, key in keys),
        users=tuple(users.values()),
        digests=("",),
        sample=logs.room.sample(logs.names(), request, user, repeats),
    )


def _matched(requests: Sequence[tuple[bytes, ...]], routes: Routes) -> Iterator[tuple[str, str]]:
    """Group and key of each request."""
    asked = [_split(*map(_text, parts)) for parts in requests]
    matches = [routes.match(method, path) for method, path, _ in asked]
    pairs = list(zip(asked, matches, strict=True))
    crowds = Crowds({(method, template(path)) for (method, path, _), match in pairs if not match})
    for (method, path, query), match in pairs:
        route, values = match or (crowds.reduce(method, template(path)), [("path", path)])
        yield f"{method} {route}", key_of(values, query)


def _text(part: bytes) -> str:
    """Of JSON with its escapes undone, which are also those of nginx and Apache for a quote."""
    text = part.decode("utf-8", "replace")
    try:
        return str(json.loads(f'"{text}"')) if "\\" in text else text
    except ValueError:
        return text


def _split(method: str, target: str, query: str) -> tuple[str, str, str]:
    """Method, path and query; a proxy's log has whole URLs."""
    path, _, asked = target.partition("?")
    if "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return method.upper(), path, asked or query.lstrip("?")
