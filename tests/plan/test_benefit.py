"""Where production was measured, an entry has to pay; what does not says from when on it would."""

import re
from dataclasses import replace

import pytest
from test_surroundings import CANDIDATE, ENDPOINT, planned_from

from cache_strategy.model.evidence import EndpointMeasurement, Measurement


def measured(id: str = ENDPOINT.id, **figures: float) -> EndpointMeasurement:
    known = {n: Measurement(value=v, unit="", source="measured", where="log") for n, v in figures.items()}
    return EndpointMeasurement(id=id, figures=known)


def contract(*measurements: EndpointMeasurement, candidates=(CANDIDATE,)):
    return planned_from(candidates=candidates, measurements=measurements)


def reason(*measurements: EndpointMeasurement) -> str:
    found = contract(*measurements)
    assert found.entries == ()
    return found.rejected[0].reason


def test_what_saves_minutes_is_an_entry_that_says_how_many():
    (entry,) = contract(measured(requests_per_hour=36_000, latency_ms_p50=50.3)).entries

    assert entry.because[-1] == "saves at most 30 min an hour: 36,000 requests an hour of 50.3 ms (measured)"


def test_what_hardly_anyone_asks_for_is_rejected_with_the_volume_at_which_it_pays():
    said = reason(measured(requests_per_hour=10, latency_ms_p50=40.3))

    assert said.startswith("saves at most 0.4 s an hour, less than the 3.6 s")
    assert said.endswith("10 requests an hour of 40.3 ms (measured); it pays from 90 requests an hour")


@pytest.mark.parametrize("writes", [0, 500, 40_000])
def test_at_the_break_even_that_is_named_the_decision_changes(writes):
    said = reason(measured(requests_per_hour=1, latency_ms_p50=20, writes_per_hour=writes))
    needed = int(re.search(r"pays from ([\d,]+) requests", said)[1].replace(",", ""))

    def entries(volume: float) -> int:
        return len(
            contract(measured(requests_per_hour=volume, latency_ms_p50=20, writes_per_hour=writes)).entries
        )

    assert (entries(needed * 0.99 - 1), entries(needed * 1.01 + 1)) == (0, 1)


def test_what_is_as_fast_as_a_cache_never_pays():
    assert "takes 0.2 ms and a cache answers in 0.3 ms" in reason(
        measured(requests_per_hour=1e9, latency_ms_p50=0.2)
    )


@pytest.mark.parametrize("figures", [{}, {"requests_per_hour": 1}, {"latency_ms_p50": 0.01}])
def test_what_was_not_measured_is_no_reason(figures):
    (entry,) = contract(*([measured(**figures)] if figures else [])).entries

    assert not any("saves" in because for because in entry.because)


def test_what_saves_more_comes_first_and_what_was_not_measured_by_its_rank():
    second = replace(CANDIDATE, rank=2, line=50, qualname="other", endpoints=("GET /other",))
    third = replace(CANDIDATE, rank=3, line=90, qualname="unmeasured", endpoints=("GET /u",))
    figures = [
        measured(requests_per_hour=1000, latency_ms_p50=20),
        measured("GET /other", requests_per_hour=9000, latency_ms_p50=20),
    ]

    found = contract(*figures, candidates=(CANDIDATE, second, third)).entries

    assert [entry.target.partition(":")[2] for entry in found] == ["other", "lines", "unmeasured"]
