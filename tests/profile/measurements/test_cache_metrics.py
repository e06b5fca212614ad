"""`profile --cache-metrics`: the emitted runtime's own answer, and what is none."""

from __future__ import annotations

import json

import pytest

from cache_strategy.emit.targets.runtime.files.runtime import Cache
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.profile.measurements import load_sources

READ = load_sources()["cache-metrics"].read


def test_hits_per_entry_are_those_that_the_runtime_counted(tmp_path, redis_url, evidence_of_shop):
    cache = Cache(redis_url, namespace="test")

    @cache.entry("square", ttl_seconds=60)
    def square(number):
        return number * number

    for number in (1, 2, 1, 1):
        square(number)
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({"mode": "on", **cache.state(), "entries": cache.metrics()}))
    (entry,) = READ(str(file), evidence_of_shop).observations
    assert (entry.kind, entry.name, entry.figures["hit_rate"].value, entry.figures["hit_rate"].n) == (
        "entry",
        "square",
        0.5,
        4,
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"entries": 7}', '{"entries": {"a": 7}}', "\0"])
def test_what_is_no_answer_of_a_cache_is_one_line(tmp_path, text, evidence_of_shop):
    file = tmp_path / "metrics.json"
    file.write_text(text)
    with pytest.raises(CacheStrategyError, match="is no answer of the emitted caches"):
        READ(str(file), evidence_of_shop)
