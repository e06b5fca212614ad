"""Every log format of the folder keeps the family's contract; the sample of each is read by it alone."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.simulate.readers import load_readers

READERS = load_readers()
SAMPLES = {
    "combined": '10.0.0.1 - jane [10/Oct/2025:13:55:36 +0200] "GET /a?b=1 HTTP/1.1" 200 2326 "-" "curl" 0.012',
    "json_lines": json.dumps(
        {"ts": 1760097336, "method": "GET", "uri": "/a?b=1", "status": 200, "size": 2326, "duration_ms": 12}
        | {"user": "jane"}
    ),
}


def test_every_format_has_a_sample():
    assert set(SAMPLES) == set(READERS)


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_sample_says_the_same_in_every_format(name):
    assert READERS[name].parse(SAMPLES[name]) == (1760097336, "GET", "/a?b=1", 200, 2326, 12, "jane")


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_line_of_another_format_is_left_to_the_others(name):
    assert all(READERS[name].parse(text) is None for other, text in SAMPLES.items() if other != name)


@pytest.mark.parametrize("name", sorted(READERS))
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_line_makes_a_reader_raise(name, data):
    text = SAMPLES[name]
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, len(text)))
    READERS[name].parse(text[:at] + data.draw(st.text(max_size=8)) + text[end:])
