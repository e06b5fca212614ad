"""
CS302 cache-config-command

What it does
    Flags CONFIG SET and CONFIG REWRITE sent to a running Redis or Valkey: an error where the server loses data, its bound
    or its password (maxmemory 0, noeviction, save "", appendonly no, requirepass "", protected-mode no, dir, dbfilename).
    And SHUTDOWN, DEBUG and REPLICAOF.

Why is this bad
    What is set so is not in redis.conf: it is gone after the next start, and until then no review and no other machine has
    it. A server without its bound takes the machine's memory; one without its password is open.

Example
    redis-cli -h cache.internal CONFIG SET maxmemory-policy noeviction

Use instead
    redis-cli -h cache.internal CONFIG GET maxmemory-policy

Known problems
    A server on localhost counts too. Settings that only watch (slowlog, latency, notify-keyspace-events) pass.

Source
    https://redis.io/docs/latest/commands/config-set/
"""

from __future__ import annotations

from cache_strategy.rules._base import ERROR, Rule
from cache_strategy.rules.commands._redis import redis_statements
from cache_strategy.syntax.patterns import regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cache_strategy.rules._shell import Invocation
    from cache_strategy.rules._types import Finding, Iterator

rule = Rule(__name__, code="CS302", keywords=("redis", "valkey", "keydb"), severity="warning")

_GRAVE = regex(
    r"maxmemory (?:0\w*)?$|maxmemory-policy noeviction|save ?$|appendonly no|requirepass ?$|protected-mode no|(?:dir|dbfilename)(?: |$)",
)
_WATCHES = regex(r"(?:slowlog-|latency-|notify-keyspace-events|loglevel|lazyfree-|activedefrag|tracking-)")
_FIX = "Write it into redis.conf (or the service's parameters), where it is reviewed and survives a start."
_TOLD = {
    "SHUTDOWN": "ends the server, and what it has not saved is gone",
    "DEBUG": "stops or crashes the server for a test",
    "REPLICAOF": "replaces everything in this server with another one's data",
    "SLAVEOF": "replaces everything in this server with another one's data",
}


@rule.command
def visit_invocation(run: "Invocation") -> "Iterator[Finding]":
    for name, words in redis_statements(run):
        verb = words[0].upper()
        second = words[1].upper() if len(words) > 1 else ""
        if verb == "CONFIG" and second == "SET" and len(words) > 2:
            setting = " ".join([words[2].lower(), *words[3:]]).strip("\"'")
            if _WATCHES.match(setting):
                continue
            grave = bool(_GRAVE.match(setting.lower()))
            why = (
                "takes away what keeps the data, the memory or the server safe"
                if grave
                else "holds until the next start only"
            )
            yield rule.finding(
                run, f"{name} CONFIG SET {setting} {why}.", fix=_FIX, severity=ERROR if grave else None
            )
        elif verb == "CONFIG" and second == "REWRITE":
            yield rule.finding(
                run, f"{name} CONFIG REWRITE writes what was set by hand over redis.conf.", fix=_FIX
            )
        elif (
            verb in _TOLD
            and not (verb in ("REPLICAOF", "SLAVEOF") and second == "NO")
            and second not in ("OBJECT", "JMAP")
        ):
            yield rule.finding(
                run,
                f"{name} {verb} {_TOLD[verb]}.",
                fix="Do it in the service's own way, when nobody needs it.",
                severity=ERROR,
            )
