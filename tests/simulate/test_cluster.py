"""The forecast of a trace in Parquet on a cluster of two workers is that of one machine."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.simulate import simulate
from cache_strategy.simulate.cluster import Asked, read_parquet, simulate_on_cluster

GROUPS = ("GET /a/{id}", "GET /b", "GET /c/{id}", "POST /a/{id}")
TABLES = {"GET /a/{id}": frozenset({"a"}), "GET /b": frozenset({"b"})}
WRITING = {"POST /a/{id}": frozenset({"a"})}


def trace(folder: Path, many: int = 6_000) -> str:
    """Four groups, one of them with users and digests, some answers without a time; in two files of several row groups."""
    chance = np.random.default_rng(1)
    group = chance.integers(0, 4, many)
    key = np.where(group == 1, 0, chance.zipf(1.5, many) % 300)
    user = np.where(group == 2, chance.integers(0, 5, many), 0)
    took = np.where(chance.random(many) < 0.1, np.nan, chance.lognormal(3, 1, many))
    table = pa.table(
        {
            "time_s": np.sort(chance.random(many) * 7200).round(2),
            "group": [GROUPS[n] for n in group],
            "key": [f"id={n}" for n in key],
            "user": [f"u{n}" if n else "" for n in user],
            "digest": [
                f"{k}{t // 900}" if g == 2 else "" for g, k, t in zip(group, key, range(many), strict=True)
            ],
            "size_bytes": 100 + key,
            "duration_ms": pa.array(took.astype("f4"), from_pandas=True),
            "status": np.where(chance.random(many) < 0.01, 500, 200),
        }
    )
    for part in range(2):
        rows = table.slice(part * many // 2, many // 2)
        parquet.write_table(rows, folder / f"{part}.parquet", row_group_size=many // 5)
    return str(folder)


def test_two_workers_give_what_one_process_gives(tmp_path):
    place = trace(tmp_path)
    asked = Asked([10, 600, None], [None, 9_000], ["lru", "redis_lfu"], ["ttl", "event"])
    here = simulate(
        read_parquet(place),
        ttls=asked.ttls,
        capacities=asked.capacities,
        policies=asked.policies,
        invalidations=asked.invalidations,
        tables_of=TABLES,
        writing=WRITING,
    )
    there = simulate_on_cluster(place, "local", asked, workers=2, tables_of=TABLES, writing=WRITING)
    assert (there.requests, there.keys, there.notes) == (here.requests, here.keys, here.notes)
    assert len(here.rows) == 72
    for mine, theirs in zip(here.rows, there.rows, strict=True):
        assert vars(theirs) == {
            name: pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
            for name, value in vars(mine).items()
        }


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read as Parquet"), ("PAR1", "cannot be read"), ("lacking", "lacks key")],
)
def test_what_is_no_trace_is_one_clear_error(tmp_path, content, said):
    file = tmp_path / "trace.parquet"
    if content == "lacking":
        parquet.write_table(pa.table({"time_s": [1.0], "group": ["GET /"]}), file)
    elif content:
        file.write_text(content)
    with pytest.raises(CacheStrategyError, match=said) as error:
        read_parquet(str(file))
    assert "\n" not in str(error.value)
