"""What a program sends to Redis: `redis-cli` and its kin, and what writes to a socket."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cache_strategy.rules._shell import Invocation

CLIENTS = frozenset(("redis-cli", "valkey-cli", "keydb-cli"))
SENDERS = frozenset("nc ncat netcat socat telnet".split())
# Source: `redis-cli --help`, Redis 7.0 and Valkey 8.0.
_VALUES = frozenset(
    "-h -p -s -a -u -r -i -n -d -D -X -t --user --pass --sni --cacert --cacertdir --cert --key --tls-ciphers "
    "--tls-ciphersuites --pattern --quoted-pattern --count --cursor --eval --rdb --functions-rdb --show-pushes "
    "--memkeys-samples --keystats-samples --lru-test --intrinsic-latency".split()
)


def redis_statements(run: "Invocation") -> "Iterator[tuple[str, list[str]]]":
    """(program, command and arguments) of what an invocation sends to Redis, by its arguments or its standard input."""
    name, *args = map(str, run.argv)
    if name in CLIENTS:
        index, scans = 0, "--scan" in args
        while index < len(args) and args[index].startswith("-") and len(args[index]) > 1:
            if args[index] == "--cluster" and args[index + 1 : index + 2] == ["call"]:
                index += 3
                break
            index += 2 if args[index] in _VALUES else 1
        words = args[index:]
        words = words[0].split() if len(words) == 1 and " " in words[0] else words
        if words:
            yield name, words
            return
        if scans or "--eval" in args:
            return
    elif name not in SENDERS:
        return
    for row in (run.stdin or "").splitlines():
        words = row.replace('"', " ").replace("'", " ").split()
        if words:
            yield name, words
