"""What holds for every detector of hookify, found by listing its folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cache_strategy.hookify.detectors import all_detectors
from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.hookify.stream import Transcripts
from cache_strategy.hookify.transcripts import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "hookify"))
from conversation import TRANSCRIPTS

DETECTORS = all_detectors()


def session_of(name: str) -> Session:
    (session,) = Transcripts([TRANSCRIPTS / name]).sessions()
    return session


def facts(sighting: Sighting) -> tuple[object, ...]:
    return (
        sighting.line,
        sighting.said,
        sighting.strength,
        sighting.lasts,
        tuple(c.key for c in sighting.calls),
    )


@pytest.fixture(params=DETECTORS, ids=lambda detector: detector.name)
def detector(request) -> Detector:
    return request.param


def test_every_file_of_the_family_is_a_detector():
    folder = Path(DETECTORS[0].sightings.__code__.co_filename).parent
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}

    assert {detector.name for detector in DETECTORS} == files


def test_it_says_what_it_finds_and_what_it_leaves_alone(detector):
    assert "\nFinds\n" in detector.page and "\nLeaves alone\n" in detector.page


def test_it_finds_its_incident_in_the_transcript_of_its_name(detector):
    session = session_of(f"{detector.name}.jsonl")
    lines = (TRANSCRIPTS / f"{detector.name}.jsonl").read_text(encoding="utf-8").count("\n")

    sightings = list(detector.sightings(session))

    assert sightings
    for sighting in sightings:
        assert sighting.kind == detector.name
        assert sighting.file == session.file and 1 <= sighting.line <= lines
        assert 0.5 <= sighting.strength <= 1
        assert sighting.lasts in ("always", "turn")
        assert {call.key for call in sighting.calls} <= {call.key for call in session.calls}


def test_it_finds_nothing_lasting_where_there_is_nothing_to_learn(detector):
    sightings = detector.sightings(session_of("nothing_to_learn.jsonl"))

    assert [sighting.said for sighting in sightings if sighting.lasts == "always"] == []


def test_it_finds_nothing_in_an_empty_session(detector):
    assert list(detector.sightings(Session(id="s", file="f"))) == []


def test_it_finds_the_same_twice_and_leaves_the_session_as_it_is(detector):
    session = session_of(f"{detector.name}.jsonl")
    before = repr(session)

    first, second = list(detector.sightings(session)), list(detector.sightings(session))

    assert [facts(s) for s in first] == [facts(s) for s in second]
    assert repr(session) == before
