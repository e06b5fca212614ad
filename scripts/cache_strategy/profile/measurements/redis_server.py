"""
Redis: its health, and its keys by prefix from a sample. SCAN, never KEYS; nothing is asked that touches a key's idle time.

Hits per prefix come from MONITOR, only when asked and for a minute at most: a read that the same client follows with a
write of that key was a miss. A command that the user may not use is said, and the rest goes on.

Source:
    https://redis.io/docs/latest/commands/info/, …/scan/, …/memory-usage/, …/object-idletime/, …/monitor/
"""

import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Evidence, Measurement, Observation
from cache_strategy.profile.measurements._base import Found, Source, derived, measured

SAMPLE_AT_MOST = 20_000
SECONDS_AT_MOST = 5.0
PIPELINED = 200
PREFIXES_AT_MOST = 40
KEYS_SHOWN = 10
BIG_BYTES = 1 << 20
MONITOR_SECONDS_AT_MOST = 60.0
MONITOR_COMMANDS_AT_MOST = 200_000
CHILDREN_AT_MOST = 20
"""More different names than this at one place of keys are values (assumed)."""
READS = frozenset("GET MGET GETEX HGET HGETALL HMGET SMEMBERS LRANGE ZRANGE JSON.GET EXISTS".split())
WRITES = frozenset("SET SETEX PSETEX SETNX MSET HSET HMSET SADD RPUSH LPUSH ZADD JSON.SET".split())
EVERY_KEY = frozenset("MGET EXISTS".split())
_VALUE = re.compile(r"-?\d+|[0-9a-fA-F-]{8,}|.*[@%].*|.{25,}")
_COMMAND = re.compile(r'\S+ \[\d+ (?P<client>[^\]]*)\] "(?P<name>[^"]+)"(?P<rest>.*)', re.DOTALL)
_ENCODED = "write redis://HOST:PORT/0, with %40 for an @ in a password, %2F for a / and %3F for a ?."
_ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"')


def read(where: str, evidence: Evidence) -> Found:
    """
    Asks a server; `#monitor=SECONDS` behind the address watches its commands for so long.

    Raises:
        CacheStrategyError: no server there, a wrong password, an address that is none.
    """
    import redis

    address, _, seconds = where.partition("#monitor=")
    shown = _shown(address)
    if not shown:
        raise CacheStrategyError(f"--redis redis://…: is no address; {_ENCODED}")
    try:
        client = redis.Redis.from_url(
            address, socket_timeout=10, socket_connect_timeout=5, client_name="cache-strategy"
        )
        with client:
            return _Reading(client, float(seconds or 0)).found()
    except redis.exceptions.RedisError as error:
        text = _words(error)
        reason = f"no Redis answers there ({text}); write redis://HOST:PORT/0."
        if isinstance(error, redis.exceptions.AuthenticationError) or re.search(
            "WRONGPASS|NOAUTH|invalid username", text
        ):
            reason = f"the password is wrong or missing ({text}); write redis://USER:PASSWORD@HOST:PORT/0."
        raise CacheStrategyError(f"--redis {shown}: {reason}") from None
    except ValueError:
        raise CacheStrategyError(f"--redis {shown}: is no address; {_ENCODED}") from None


def _shown(address: str) -> str:
    """Without user and password; "" where it is no address, or what is taken for another part may be a piece of one."""
    plain = re.fullmatch(
        r"(?P<scheme>(?:rediss?|unix)://)(?:[^/?#]*@)?(?P<place>[\w.-]+(:\d+)?|\[[\da-fA-F:.]+\](:\d+)?|:\d+|)"
        r"(?P<path>/[^@?#]*)?(?:\?[^@#]*)?",
        address,
    )
    return f"{plain['scheme']}{plain['place']}{plain['path'] or ''}" if plain else ""


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:160].rstrip(".")


@dataclass
class _Prefix:
    """What is known of the sampled keys below one prefix."""

    keys: int = 0
    sizes: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    without_expiry: int = 0
    expiry_known: int = 0
    reads: int = 0
    misses: int = 0
    writes: int = 0


class _Reading:
    def __init__(self, client: Any, monitor_seconds: float) -> None:
        self._client, self._seconds = client, min(monitor_seconds, MONITOR_SECONDS_AT_MOST)
        kwargs = client.connection_pool.connection_kwargs
        host = kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
        self._where = f"Redis {host}/{kwargs.get('db') or 0}"
        self._notes: list[str] = []

    def _ask(self, what: str, ask: Callable[[], Any], instead: Any) -> Any:
        """An answer; `instead` with a note where the user may not ask or the server does not know how to answer."""
        import redis

        try:
            return ask()
        except redis.exceptions.NoPermissionError:
            self._denied(what)
        except redis.exceptions.ResponseError as error:
            if "NOPERM" in str(error) or "no permissions" in str(error):
                self._denied(what)
            else:
                self._notes.append(f"{self._where}: {what} is not answered ({_words(error)})")
        return instead

    def _denied(self, what: str) -> None:
        self._notes.append(
            f"{self._where}: this user may not use {what}; allow it: ACL SETUSER NAME +{what.lower().replace(' ', '|')}"
        )

    def found(self) -> Found:
        info = self._ask("INFO", self._client.info, {})
        total = int(self._ask("DBSIZE", self._client.dbsize, 0))
        keys = self._ask("SCAN", self._scan, [])
        facts = self._facts(keys)
        commands = self._ask("MONITOR", self._monitor, []) if self._seconds else []
        prefixes = _Prefixes([key for key, *_ in commands] + keys)
        found = self._grouped(keys, facts, prefixes)
        _count_hits(commands, prefixes, found)
        server = [_server(info, total, self._where)] if info else []
        largest = sorted(found.items(), key=lambda item: -(sum(item[1].sizes) + item[1].keys))
        observations = [
            self._prefix(name, one, len(keys), total or len(keys)) for name, one in largest[:PREFIXES_AT_MOST]
        ]
        return Found(
            observations=(*server, *observations, *self._shown_keys(keys, facts, commands)),
            notes=tuple(self._notes),
        )

    def _scan(self) -> list[str]:
        """A sample: SCAN goes by the keys' hashes, so its first keys are like any others."""
        keys: list[str] = []
        cursor, until = 0, time.monotonic() + SECONDS_AT_MOST
        while len(keys) < SAMPLE_AT_MOST and time.monotonic() < until:
            cursor, some = self._client.scan(cursor, count=1000)
            keys += [key.decode("utf-8", "replace") if isinstance(key, bytes) else key for key in some]
            if not cursor:
                break
        return list(dict.fromkeys(keys))

    def _facts(self, keys: Sequence[str]) -> dict[str, list[int | None]]:
        """Of each key bytes, milliseconds to expiry, idle seconds and, under LFU, its frequency."""
        columns: dict[str, list[int | None]] = {}
        until = time.monotonic() + SECONDS_AT_MOST
        for name in ("MEMORY USAGE", "PTTL", "OBJECT IDLETIME", "OBJECT FREQ"):
            column: list[int | None] = []
            for start in range(0, len(keys), PIPELINED):
                pipe = self._client.pipeline(transaction=False)
                for key in keys[start : start + PIPELINED]:
                    pipe.execute_command(name, key)
                answers = pipe.execute(raise_on_error=False)
                refused = [answer for answer in answers if isinstance(answer, Exception)]
                if len(refused) == len(answers):
                    if "permission" in str(refused[0]):
                        self._denied(name)
                    break
                column += [a if isinstance(a, int) else None for a in answers]
                if time.monotonic() > until:
                    break
            columns[name] = column + [None] * (len(keys) - len(column))
        return columns

    def _grouped(
        self, keys: Sequence[str], facts: Mapping[str, list[int | None]], prefixes: "_Prefixes"
    ) -> dict[str, _Prefix]:
        found: dict[str, _Prefix] = defaultdict(_Prefix)
        rows = zip(keys, facts["MEMORY USAGE"], facts["PTTL"], facts["OBJECT IDLETIME"], strict=True)
        for key, size, expiry, idle in rows:
            one = found[prefixes.of(key)]
            one.keys += 1
            one.sizes += [size] if size is not None else []
            one.idle += [idle] if idle is not None else []
            if expiry is not None and expiry != -2:
                one.expiry_known += 1
                one.without_expiry += expiry == -1
        return found

    def _prefix(self, name: str, one: _Prefix, sampled: int, total: int) -> Observation:
        scale = total / sampled if sampled else 1.0
        where = f"{self._where}, {sampled:,} of {total:,} keys"
        make = measured if scale == 1 else derived
        figures: dict[str, Measurement] = {}
        if one.keys:
            figures["keys"] = make(round(one.keys * scale), "keys", where, one.keys)
        if one.sizes:
            figures["memory_bytes"] = make(
                statistics.fmean(one.sizes) * one.keys * scale, "bytes", where, len(one.sizes)
            )
            figures["key_bytes_p50"] = measured(statistics.median(one.sizes), "bytes", where, len(one.sizes))
        if one.idle:
            figures["idle_seconds_p50"] = measured(statistics.median(one.idle), "s", where, len(one.idle))
        if one.expiry_known:
            figures["without_expiry_share"] = measured(
                one.without_expiry / one.expiry_known, "share", where, one.expiry_known
            )
        watched = f"{self._where}, MONITOR for {self._seconds:g} s"
        if one.reads or one.writes:
            figures["reads_per_second"] = measured(one.reads / self._seconds, "reads/s", watched, one.reads)
            figures["writes_per_second"] = measured(
                one.writes / self._seconds, "writes/s", watched, one.writes
            )
        if one.reads:
            words = f"{watched}: a read that its client follows with a write of the key is a miss"
            figures["hit_rate"] = derived(1 - one.misses / one.reads, "share", words, one.reads)
        notes = []
        if one.without_expiry:
            notes.append(f"{one.without_expiry:,} of {one.expiry_known:,} sampled keys never expire")
        return Observation(kind="prefix", name=name, figures=figures, notes=tuple(notes))

    def _shown_keys(
        self, keys: Sequence[str], facts: Mapping[str, list[int | None]], commands: "Sequence[_Command]"
    ) -> Iterator[Observation]:
        """The biggest keys, those used most under LFU, and those that MONITOR saw most."""
        unit = {
            "MEMORY USAGE": ("size_bytes", "bytes", BIG_BYTES),
            "OBJECT FREQ": ("frequency", "of 255", 50),
        }
        for name, (figure, word, floor) in unit.items():
            known = [
                (value, key)
                for value, key in zip(facts[name], keys, strict=True)
                if value is not None and value >= floor
            ]
            for value, key in sorted(known, reverse=True)[:KEYS_SHOWN]:
                yield Observation(
                    kind="key",
                    name=_veiled(key),
                    figures={figure: measured(value, word, f"{self._where}, {name}")},
                )
        asked: dict[str, int] = defaultdict(int)
        for key, _, kind in commands:
            asked[key] += kind == "read"
        for key, many in sorted(asked.items(), key=lambda item: -item[1])[:KEYS_SHOWN]:
            if many > max(10, len(commands) / 100):
                where = f"{self._where}, MONITOR for {self._seconds:g} s"
                yield Observation(
                    kind="key",
                    name=_veiled(key),
                    figures={"reads_per_second": measured(many / self._seconds, "reads/s", where, many)},
                )

    def _monitor(self) -> "list[_Command]":
        """What clients ask, for the time that was asked for."""
        import redis

        commands: list[_Command] = []
        until = time.monotonic() + self._seconds
        # A connection of its own, that is closed: the way to end a MONITOR.
        connection = self._client.connection_pool.get_connection()
        try:
            connection.send_command("MONITOR")
            connection.read_response()
            while time.monotonic() < until and len(commands) < MONITOR_COMMANDS_AT_MOST:
                if connection.can_read(timeout=max(0.0, min(0.5, until - time.monotonic()))):
                    commands += _command_of(connection.read_response())
        except redis.exceptions.TimeoutError:
            pass
        finally:
            connection.disconnect()
            self._client.connection_pool.release(connection)
        return commands


_Command = tuple[str, str, str]
"""A key, its client, and read or write."""


def _command_of(line: Any) -> list[_Command]:
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else str(line)
    match = _COMMAND.match(text)
    name = match["name"].upper() if match else ""
    kind = "read" if name in READS else "write" if name in WRITES else ""
    if not match or not kind:
        return []
    arguments = _ARGUMENT.findall(match["rest"])
    keys = arguments if name in EVERY_KEY else arguments[::2] if name == "MSET" else arguments[:1]
    return [(key, match["client"], kind) for key in keys]


def _count_hits(commands: Sequence[_Command], prefixes: "_Prefixes", found: dict[str, _Prefix]) -> None:
    """A client has many connections, so its address alone, without the port, says who it is."""
    waiting: set[tuple[str, str]] = set()
    for key, client, kind in commands:
        one, who = found[prefixes.of(key)], (key, client.rpartition(":")[0])
        if kind == "read":
            one.reads += 1
            waiting.add(who)
        else:
            one.writes += 1
            one.misses += who in waiting
            waiting.discard(who)


class _Prefixes:
    """Keys by what they begin with; a part that is a number, a hash or one of many names is a *."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._known: dict[str, str] = {}
        self._children: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for key in keys:
            parts = _parts(key)
            for place, part in enumerate(parts):
                self._children[tuple(parts[:place])].add(part)

    def of(self, key: str) -> str:
        found = self._known.get(key)
        if found is None:
            parts = _parts(key)
            named = [
                "*" if len(self._children[tuple(parts[:place])]) > CHILDREN_AT_MOST else part
                for place, part in enumerate(parts)
            ]
            found = self._known[key] = ":".join(named)
        return found


def _parts(key: str) -> list[str]:
    """At most four, the last of which stands for the rest."""
    parts = re.split(r"[:/|]", key)
    parts = [*parts[:3], "*"] if len(parts) > 4 else parts
    return ["*" if _VALUE.fullmatch(part) else part for part in parts]


def _veiled(key: str) -> str:
    """The name of a key without what may be somebody's address or token; numbers stay."""
    parts = re.split(r"([:/|])", key[:200])
    return "".join(
        "…" if _VALUE.fullmatch(part) and not part.lstrip("-").isdigit() else part for part in parts
    )


def _server(info: Mapping[str, Any], total: int, where: str) -> Observation:
    where = f"{where}, INFO"
    named = {
        "memory_bytes": ("used_memory", "bytes"),
        "memory_limit_bytes": ("maxmemory", "bytes"),
        "fragmentation": ("mem_fragmentation_ratio", "x"),
        "clients": ("connected_clients", "clients"),
        "commands_per_second": ("instantaneous_ops_per_sec", "commands/s"),
        "evicted_keys": ("evicted_keys", "keys"),
        "expired_keys": ("expired_keys", "keys"),
        "uptime_seconds": ("uptime_in_seconds", "s"),
    }
    figures = {
        name: measured(info[key], unit, where)
        for name, (key, unit) in named.items()
        if isinstance(info.get(key), int | float)
    }
    figures["keys"] = measured(total, "keys", where)
    hits, misses = int(info.get("keyspace_hits", 0)), int(info.get("keyspace_misses", 0))
    if hits + misses:
        figures["hit_rate"] = measured(hits / (hits + misses), "share", where, hits + misses)
    limit, used, policy = (
        int(info.get("maxmemory", 0)),
        int(info.get("used_memory", 0)),
        str(info.get("maxmemory_policy", "")),
    )
    notes = [f"version {info.get('redis_version', '?')}, {policy or 'policy not known'}"]
    if not limit:
        notes.append("no maxmemory: it grows until the machine has no memory left")
    elif policy == "noeviction" and used > 0.8 * limit:
        notes.append(
            f"{100 * used // limit} % of maxmemory under noeviction: writes will fail when it is full"
        )
    if info.get("evicted_keys"):
        notes.append(f"{info['evicted_keys']:,} keys were evicted: memory is too small for what is kept")
    if info.get("rdb_last_bgsave_status") == "err":
        notes.append("the last save failed: Redis may refuse writes")
    if info.get("loading"):
        notes.append("it is still loading its data")
    return Observation(kind="server", name=where.split(",")[0], figures=figures, notes=tuple(notes))


source = Source("redis", read)
