"""
The same forecast past one machine: a trace in Parquet files, its keys dealt out to the workers of a Dask cluster.

A file's rows are split by key, so that all requests of a key meet at one worker. Workers first say what must be known of a
group as a whole (`Facts`), then replay their keys; what they found adds up. A cache with a limit concerns all keys at once: its
group is replayed by one worker, and the cases are dealt out instead.

Columns: time_s (seconds, or a timestamp), group ("GET /api/users/{user_id}"), key; where known user, status, size_bytes,
duration_ms, digest. Places are whatever pyarrow opens: folders, files, s3://, gs://.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from cache_strategy import extras
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.forecast import Forecast, ForecastRow
from cache_strategy.model.trace import Accesses, Trace
from cache_strategy.simulate.columns import cacheable
from cache_strategy.simulate.facts import Facts, facts_of, requests_with
from cache_strategy.simulate.forecast import (
    check_options,
    check_sizes,
    grouped,
    is_judged,
    row_of,
    writes_to,
)
from cache_strategy.simulate.loops import FOREVER
from cache_strategy.simulate.outcome import Part, outcome_of
from cache_strategy.simulate.policies import load_policies
from cache_strategy.simulate.replay import First, first_requests, parts, warming_of

NEEDED = ("time_s", "group", "key")
KNOWN = (*NEEDED, "user", "status", "size_bytes", "duration_ms", "digest")
PARTS_PER_WORKER = 4
Case = tuple[int | None, int | None, str, str]


class Asked(NamedTuple):
    """What is asked: the options of `simulate`."""

    ttls: Sequence[int | None]
    capacities: Sequence[int | None]
    policies: Sequence[str]
    invalidations: Sequence[str]


class Found(NamedTuple):
    """What one worker found of one group."""

    parts: dict[Case, Part]
    first: First
    keys: int
    judged: bool


def simulate_on_cluster(
    place: str,
    address: str,
    asked: Asked,
    *,
    workers: int = 2,
    tables_of: Mapping[str, frozenset[str]] | None = None,
    writing: Mapping[str, frozenset[str]] | None = None,
) -> Forecast:
    """
    The rows that `simulate` gives for the same requests. Of parts with many misses memory is the sum of what they held at
    most within one slice of the time (see `outcome.Grid`): never less than the whole held, and hardly more.

    Args:
        address: "local" for processes of this machine, else that of a scheduler, whose workers have this package.
    """
    check_options(*asked)
    _check_prepared("distributed", "--cluster: Dask")
    with _client(address, workers) as client:
        dealt = max(1, PARTS_PER_WORKER * len(client.scheduler_info(n_workers=-1)["workers"]))
        pieces = client.submit(_pieces, place).result()
        split = [client.submit(_split, place, *piece, dealt, pure=False) for piece in pieces]
        parts_of = [
            client.submit(_joined, [client.submit(_nth, each, n) for each in split]) for n in range(dealt)
        ]
        told = client.gather(client.map(_facts, parts_of))
        wrote = client.gather(client.map(_writes, parts_of))
        return _forecast(client, place, asked, parts_of, told, _log_of_writes(wrote), tables_of, writing)


def read_parquet(place: str) -> Trace:
    """The whole trace, on this machine."""
    _check_prepared("pyarrow", "--parquet: pyarrow")
    accesses = _joined([table for path, group in _pieces(place) for table in _split(place, path, group, 1)])
    return Trace(accesses=accesses, seconds=float(accesses.time_s[-1] - accesses.time_s[0]), source=place)


def _check_prepared(package: str, name: str) -> None:
    if not extras.has(package, "cluster.lock"):
        raise CacheStrategyError(f"{name} could not be prepared. Install it: pip install distributed pyarrow")


@contextmanager
def _client(address: str, workers: int) -> Iterator[Any]:
    distributed: Any = import_module("distributed")  # it comes without types

    if address == "local":
        quiet = {"dashboard_address": None, "silence_logs": 50}
        with distributed.LocalCluster(n_workers=workers, threads_per_worker=1, **quiet) as cluster, distributed.Client(cluster) as client:  # fmt: skip
            yield client
        return
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise CacheStrategyError(
            f"--cluster {address}: no scheduler answers ({error}); name one, as tcp://HOST:8786, or write local."
        ) from error
    with client:
        yield client


def _pieces(place: str) -> list[tuple[str, int]]:
    """File and row group of each piece."""
    from pyarrow import ArrowException, dataset

    try:
        data = dataset.dataset(place, format="parquet")
        lacking = [name for name in NEEDED if name not in data.schema.names]
        found = [(f.path, group.id) for f in data.get_fragments() for group in f.row_groups]
    except (ArrowException, OSError) as error:
        raise CacheStrategyError(
            f"{place}: cannot be read as Parquet ({str(error).splitlines()[0]}); name a file, a folder of such files, or s3://…"
        ) from error
    if lacking:
        raise CacheStrategyError(
            f"{place}: lacks {', '.join(lacking)}; a trace has {', '.join(KNOWN)}. Rename its columns."
        )
    if not found:
        raise CacheStrategyError(f"{place}: has no requests (empty); name a trace that has some.")
    return found


def _split(place: str, path: str, group: int, dealt: int) -> list[Any]:
    """The rows of one piece by the part that their key belongs to."""
    from pyarrow import dataset

    fragments = dataset.dataset(place, format="parquet").get_fragments()
    fragment = next(f for f in fragments if f.path == path).subset(row_group_ids=[group])
    names = [name for name in KNOWN if name in fragment.physical_schema.names]
    table = fragment.to_table(columns=names)
    pairs = zip(table["group"].to_pylist(), table["key"].to_pylist(), strict=True)
    part = np.fromiter(
        (zlib.crc32(f"{group}\0{key}".encode("utf-8", "surrogatepass")) % dealt for group, key in pairs),
        "i4",
        table.num_rows,
    )
    return [table.filter(part == n) for n in range(dealt)]


def _nth(tables: list[Any], n: int) -> Any:
    return tables[n]


def _joined(tables: list[Any]) -> Accesses:
    """The requests of one part in columns, in time order."""
    import pyarrow

    table = pyarrow.concat_tables(tables)
    many = table.num_rows

    def numbers(name: str, kind: str, unknown: float) -> Any:
        if name not in table.column_names:
            return np.full(many, unknown, kind)
        column = table[name]
        if pyarrow.types.is_timestamp(column.type):
            return column.cast(pyarrow.timestamp("us", column.type.tz)).cast("int64").to_numpy() / 1e6
        return column.fill_null(unknown).to_numpy().astype(kind)

    def names(*columns: str) -> tuple[Any, list[tuple[str, ...]]]:
        known: dict[tuple[str, ...], int] = {("",) * len(columns): 0} if len(columns) == 1 else {}
        rows = zip(
            *((table[c].to_pylist() if c in table.column_names else [""] * many) for c in columns),
            strict=True,
        )
        places = [known.setdefault(tuple(value or "" for value in row), len(known)) for row in rows]
        return np.array(places, "i4"), list(known)

    time_s = numbers("time_s", "f8", 0)
    order = np.argsort(time_s, kind="stable")
    group, groups = names("group")
    key, keys = names("group", "key")
    user, users = names("user")
    digest, digests = names("digest")
    return Accesses(
        time_s=time_s[order],
        group=group[order],
        key=key[order],
        user=user[order],
        status=numbers("status", "i4", -1)[order],
        duration_ms=numbers("duration_ms", "f4", np.nan)[order],
        size_bytes=numbers("size_bytes", "i8", -1)[order],
        digest=digest[order],
        groups=tuple(name for (name,) in groups),
        keys=tuple(name for _, name in keys),
        users=tuple(name for (name,) in users),
        digests=tuple(name for (name,) in digests),
    )


def _members(accesses: Accesses) -> dict[str, Any]:
    return dict(grouped(accesses, np.flatnonzero(cacheable(accesses))))


def _facts(accesses: Accesses) -> tuple[int, float, float, dict[str, Facts]]:
    """Of all requests how many, the first and the last moment; and the facts of each group."""
    if not len(accesses):
        return 0, FOREVER, -FOREVER, {}
    found = {group: facts_of(accesses, members) for group, members in _members(accesses).items()}
    return len(accesses), float(accesses.time_s[0]), float(accesses.time_s[-1]), found


def _writes(accesses: Accesses) -> dict[str, Any]:
    """When the groups were asked that no cache could answer."""
    reading = _members(accesses)
    at = np.flatnonzero(accesses.status < 400)
    found = accesses.group[at]
    return {
        name: accesses.time_s[at[found == number]]
        for number, name in enumerate(accesses.groups)
        if name and name not in reading
    }


def _log_of_writes(wrote: Sequence[Mapping[str, Any]]) -> Trace:
    """A log that has these requests alone, for `writes_to`."""
    groups = sorted({group for each in wrote for group in each})
    pairs = [
        (each[g], np.full(len(each[g]), n, "i4")) for each in wrote for n, g in enumerate(groups) if g in each
    ]
    time_s, group = (np.concatenate(column) for column in zip(*pairs, strict=True)) if pairs else (np.zeros(0), np.zeros(0, "i4"))  # fmt: skip
    order, nothing = np.argsort(time_s, kind="stable"), np.zeros(len(time_s), "i4")
    accesses = Accesses(
        time_s=time_s[order],
        group=group[order],
        key=nothing,
        user=nothing,
        status=nothing,
        duration_ms=nothing,
        size_bytes=nothing,
        digest=nothing,
        groups=tuple(groups),
        keys=("",),
        users=("",),
        digests=("",),
    )
    return Trace(accesses=accesses)


def _replay(
    accesses: Accesses, asked: Asked, facts: Mapping[str, Facts], writes: Mapping[str, Any]
) -> dict[str, Found]:
    """The keys of one part."""
    known, found = load_policies(), {}
    for group, members in _members(accesses).items():
        requests = requests_with(accesses, members, facts[group], writes[group])
        policies = {name: known[name] for name in asked.policies}
        done = parts(requests, asked.ttls, asked.capacities, policies, asked.invalidations, by_slice=True)
        found[group] = Found(done, first_requests(requests), requests.keys, is_judged(requests))
    return found


def _one_group(
    all_parts: list[Accesses], group: str, asked: Asked, facts: Facts, writes: Any
) -> dict[Case, Part]:
    """All keys of a group, which a cache with a limit concerns."""
    whole = _together([part for part in all_parts if group in part.groups])
    (members,) = (members for name, members in _members(whole).items() if name == group)
    requests = requests_with(whole, members, facts, writes)
    policies = {name: load_policies()[name] for name in asked.policies}
    return parts(requests, asked.ttls, asked.capacities, policies, asked.invalidations)


def _together(several: Sequence[Accesses]) -> Accesses:
    """Parts as one, in time order; no key is in two of them."""
    columns: dict[str, Any] = {"time_s": None, "status": None, "duration_ms": None, "size_bytes": None}
    order = np.argsort(np.concatenate([part.time_s for part in several]), kind="stable")
    for name in columns:
        columns[name] = np.concatenate([getattr(part, name) for part in several])[order]
    for name in ("group", "user", "digest"):
        known: dict[str, int] = {}
        for part in several:
            for text in getattr(part, f"{name}s"):
                known.setdefault(text, len(known))
        maps = [np.array([known[text] for text in getattr(part, f"{name}s")], "i4") for part in several]
        columns[name] = np.concatenate([m[getattr(part, name)] for m, part in zip(maps, several, strict=True)])[order]  # fmt: skip
        columns[f"{name}s"] = tuple(known)
    offsets = np.cumsum([0, *(len(part.keys) for part in several)])
    columns["key"] = np.concatenate([part.key + at for part, at in zip(several, offsets[:-1], strict=True)])[order]  # fmt: skip
    return Accesses(**columns, keys=tuple(key for part in several for key in part.keys))


def _forecast(
    client: Any,
    place: str,
    asked: Asked,
    parts_of: list[Any],
    told: Sequence[tuple[int, float, float, Mapping[str, Facts]]],
    log: Trace,
    tables_of: Mapping[str, frozenset[str]] | None,
    writing: Mapping[str, frozenset[str]] | None,
) -> Forecast:
    facts: dict[str, Facts] = {}
    for *_, each in told:
        for group, own in each.items():
            facts[group] = facts[group] + own if group in facts else own
    many, read = sum(count for count, *_ in told), sum(f.requests for f in facts.values())
    if not facts:
        raise CacheStrategyError(f"{place}: has no request that a cache could answer (GET or HEAD, status 200 or 304).")  # fmt: skip
    notes: list[str] = []
    if read < many:
        notes.append(
            f"{many - read} of {many} requests are left out: they write, or were answered with an error."
        )
    for group, own in facts.items():
        check_sizes(group, own, asked.capacities, place, notes)
    writes = {group: writes_to(log, (tables_of or {}).get(group), writing) for group in facts}
    shared = client.scatter([facts, writes], broadcast=True)
    free = asked._replace(capacities=[None])
    found = client.gather([client.submit(_replay, part, free, *shared) for part in parts_of])
    cases: dict[tuple[str, Case], list[Part]] = {}
    for each in found:
        for group, own_found in each.items():
            for case, part in own_found.parts.items():
                cases.setdefault((group, case), []).append(part)
    limited = [capacity for capacity in asked.capacities if capacity]
    waiting = [
        (group, client.submit(_one_group, parts_of, group, asked._replace(capacities=[c], policies=[p]), facts[group], writes[group]))
        for group, c, p in product(facts, limited, asked.policies)
    ]  # fmt: skip
    for group, future in waiting:
        cases |= {(group, case): [part] for case, part in future.result().items()}
    rows, all_keys = [], 0
    for group, own in sorted(facts.items(), key=lambda item: (-item[1].requests, item[0])):
        mine = [each[group] for each in found if group in each]
        keys, first = sum(m.keys for m in mine), First.joined([m.first for m in mine])
        all_keys += keys
        for ttl, capacity, name, kind in product(*asked):
            done = outcome_of(cases[group, (ttl, capacity, name, kind)])
            life = FOREVER if ttl is None else ttl
            warm = None if capacity else warming_of(first, life, kind == "event")
            row = row_of(done, keys, any(m.judged for m in mine), bool(own.sized), warm)
            row |= {"group": group, "ttl_seconds": ttl, "capacity_bytes": capacity, "policy": name}
            rows.append(ForecastRow(**row, invalidation=kind))
    private = [group for group, own in facts.items() if own.is_private]
    if private:
        notes.append(
            f"Keyed by user as well, as their answers may differ between users: {', '.join(private)}"
        )
    seconds = max(last for _, _, last, _ in told) - min(first_s for _, first_s, _, _ in told)
    return Forecast(
        requests=many, keys=all_keys, rows=tuple(rows), source=place, seconds=seconds, notes=tuple(notes)
    )
