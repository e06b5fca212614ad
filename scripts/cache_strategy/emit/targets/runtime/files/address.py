"""
Where Redis is, as its URL says; schemes with a second s are encrypted, and Valkey's own are taken as well.

    redis://user:password@host:6379/0?ssl_ca_certs=…     one server, as redis-py takes it; unix:// too
    redis+sentinel://host:26379,host:26379/service/0     the master of a service, which Sentinels know
    redis+cluster://host:7000,host:7001                  a cluster, of which these nodes may be asked
"""

from __future__ import annotations

import binascii
import time
import urllib.parse
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff

from .protocol import pack, read_answer
from .wire import Pool, Retry, Wire, connected

SLOTS = 16384


class Place(NamedTuple):
    """A node; None stands for the only one."""

    host: str
    port: int


def address_of(url: str) -> Address:
    scheme, _, rest = url.partition("://")
    scheme = scheme.replace("valkey", "redis")
    secure, _, kind = scheme.partition("+")
    if kind not in ("", "sentinel", "cluster"):
        raise ValueError(
            f"{scheme}:// is none of redis://, rediss://, unix://, redis+sentinel://, redis+cluster://"
        )
    if not kind:
        return Address(f"{scheme}://{rest}")
    rest, _, query = rest.partition("?")
    whole, _, path = rest.partition("/")
    identity, at, hosts = whole.rpartition("@")
    service, _, database = path.partition("/") if kind == "sentinel" else ("", "", "")
    options = dict(urllib.parse.parse_qsl(query))
    secrets = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    places = [
        Place(host, int(port or 6379)) for host, _, port in (h.rpartition(":") for h in hosts.split(","))
    ]
    one = f"{secure}://{identity}{at}{hosts.split(',')[0]}/{database or 0}?{urllib.parse.urlencode(options)}"
    return Sentinels(one, places, service, secrets) if kind == "sentinel" else Cluster(one, places)


class Address:
    """One server."""

    is_cluster = False

    def __init__(self, url: str) -> None:
        protocol = 3 if "protocol=3" in url.partition("?")[2].split("&") else 2
        forced = {
            "protocol": protocol,
            "decode_responses": False,
            "health_check_interval": 0,
            "retry": Retry(NoBackoff(), 0),
        }
        pool = Pool.from_url(url, **forced)
        self._class: Any = pool.connection_class
        self._options = {**pool.connection_kwargs, **forced}  # against options in the URL

    def place(self, key: bytes) -> Place | None:
        """The node that has a key; None while that is unknown."""
        return None

    def locate(self, deadline: float, hint: Place | None = None) -> None:
        """Find out anew where Redis is, if that can change; a hint is asked first."""

    def connect(self, place: Place | None, deadline: float) -> Wire:
        return self._open(deadline, {})

    def _open(self, deadline: float, more: dict[str, Any]) -> Wire:
        seconds = max(0.001, deadline - time.monotonic())
        timeouts = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
        return connected(self._class(**{**self._options, **timeouts, **more}), deadline)

    def _first_answer(self, places: list[Place], deadline: float, more: dict[str, Any], *command: Any) -> Any:
        """What the first node says that says something, and which it was."""
        for number, (host, port) in enumerate(places):
            share = (deadline - time.monotonic()) / (
                len(places) - number
            )  # the others may have to be asked too
            try:
                wire = self._open(time.monotonic() + share, {**more, "host": host, "port": port})
                wire.write(pack(*command))
                answer = read_answer(wire, deadline)
                wire.close()
                if isinstance(answer, list) and answer:
                    return answer, host
            except (redis.RedisError, OSError):
                continue
        raise redis.ConnectionError(f"none of {places} knows where Redis is")


class Sentinels(Address):
    """The master of a service. A replica is never asked: it may not have heard of an invalidation yet."""

    def __init__(self, url: str, places: list[Place], service: str, secrets: dict[str, Any]) -> None:
        super().__init__(url)
        self._sentinels, self._service = places, service
        self._secrets = {**secrets, "db": 0}
        self._master: Place | None = None

    def locate(self, deadline: float, hint: Place | None = None) -> None:
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        (host, port), _ = self._first_answer(self._sentinels, deadline, self._secrets, *question)
        self._master = Place(host.decode(), int(port))

    def connect(self, place: Place | None, deadline: float) -> Wire:
        if self._master is None:
            self.locate(deadline)
        host, port = self._master or ("", 0)
        wire = self._open(deadline, {"host": host, "port": port})
        wire.write(pack("ROLE"))
        answer = read_answer(wire, deadline)
        if isinstance(answer, list) and answer[0] != b"master":
            wire.close()
            self._master = None
            raise redis.ConnectionError(f"{host}:{port} is no master any more")
        return wire


class Cluster(Address):
    """Many masters, each with some of the slots."""

    is_cluster = True

    def __init__(self, url: str, places: list[Place]) -> None:
        super().__init__(url)
        self._options.pop("db", None)
        self._nodes = places
        self._owners: list[Place | None] = [None] * SLOTS

    def place(self, key: bytes) -> Place | None:
        begin = key.find(b"{") + 1
        end = key.find(b"}", begin)
        slot = binascii.crc_hqx(key[begin:end] if begin and end > begin else key, 0) % SLOTS
        return self._owners[slot]

    def locate(self, deadline: float, hint: Place | None = None) -> None:
        nodes = [*([hint] if hint else ()), *dict.fromkeys(filter(None, self._owners)), *self._nodes]
        slots, asked = self._first_answer(nodes, deadline, {}, "CLUSTER", "SLOTS")
        owners: list[Place | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in slots:
            owners[first : last + 1] = [Place((host or b"").decode() or asked, port)] * (last + 1 - first)
        self._owners = owners

    def connect(self, place: Place | None, deadline: float) -> Wire:
        host, port = place or ("", 0)
        return self._open(deadline, {"host": host, "port": port})
