"""Every log format of the folder keeps the family's contract; the sample of each is found to be in it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.simulate import access_log
from cache_strategy.simulate.readers import layout_of, load_readers

READERS = load_readers()
SAMPLES = {
    "aws_load_balancer": "h2 2025-10-10T11:55:36.000000Z app/lb/1 10.0.0.1:5000 10.0.0.2:80 0.000 0.012 0.000 200 200 34 "
    '2326 "GET https://shop.example:443/a?b=1 HTTP/2.0" "curl" ECDHE TLSv1.2 arn "Root=1" "shop" "-" 0 …',
    "cloudfront": "2025-10-10\t11:55:36\tFRA56\t2326\t10.0.0.1\tGET\td1.cloudfront.net\t/a\t200\t-\tcurl\tb=1\t-\tMiss\tid="
    "\tshop.example\thttps\t34\t0.012\t-\tTLSv1.3",
    "combined": '10.0.0.1 - - [10/Oct/2025:13:55:36 +0200] "GET /a?b=1 HTTP/1.1" 200 2326 "-" "curl" 0.012',
    "json_lines": json.dumps(
        {
            "ts": 1760097336,
            "request": {"method": "GET", "uri": "/a?b=1"},
            "status": 200,
            "size": 2326,
            "duration": 0.012,
        }
    ),
    "uvicorn": '2025-10-10 11:55:36,000 INFO:     10.0.0.1:5000 - "GET /a?b=1 HTTP/1.1" 200 OK',
}
SILENT = {"uvicorn": {"size_bytes", "duration_ms"}}


def read(tmp_path, text, log_format=""):
    path = tmp_path / "access.log"
    path.write_bytes(text.encode("utf-8", "replace"))
    return access_log.read_access_log([path], [("GET", "/a")], log_format)


def test_every_format_has_a_sample():
    assert set(SAMPLES) == set(READERS)


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_sample_is_recognised_and_says_the_same_in_every_format(tmp_path, name):
    found = read(tmp_path, f"# a comment\n{SAMPLES[name]}\n{SAMPLES[name]}\n")
    access = found.accesses[0]
    assert found.source == f"access.log ({name})"
    assert (access.group, access.key, access.time_s, access.status) == ("GET /a", "?b=1", 1760097336, 200)
    said = {"size_bytes": access.size_bytes, "duration_ms": access.duration_ms}
    assert said == {
        k: None if k in SILENT.get(name, ()) else v
        for k, v in {"size_bytes": 2326, "duration_ms": 12}.items()
    }
    assert not found.bad_lines


@pytest.mark.parametrize("name", sorted(READERS))
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_line_stops_a_reader(name, data):
    text = SAMPLES[name]
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, len(text)))
    line = text[:at] + data.draw(st.text(st.characters(exclude_characters="\n#"), max_size=8)) + text[end:]
    block = f"{line}\n{text}\n".encode("utf-8", "replace")
    for layout in READERS[name].layouts:
        logs = access_log._Logs()
        lines, lost = logs.take(block, layout)
        assert lines + lost.count(b"\n") == 1 + bool(line.strip())


@pytest.mark.parametrize(
    ("log_format", "line"),
    [
        (
            '$http_host [$time_iso8601] $status $request_time "$request"',
            'x [2025-10-10T13:55:36+02:00] 200 0.012 "GET /a?b=1 HTTP/1.1"',
        ),
        (
            "$msec|$request_method|$uri|$args|$body_bytes_sent|$request_ms",
            "1760097336.000|GET|/a|b=1|2326|12",
        ),
        (
            r"%h %l %u %t \"%r\" %>s %b %D",
            '10.0.0.1 - - [10/Oct/2025:11:55:36 +0000] "GET /a?b=1 HTTP/1.1" 200 - 12000',
        ),
        (
            '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(M)s',
            '10.0.0.1 [10/Oct/2025:13:55:36 +0200] "GET /a?b=1 HTTP/1.1" 200 26 12',
        ),
    ],
    ids=["nginx", "nginx, apart", "apache", "gunicorn"],
)
def test_a_format_of_ones_own_is_read_as_the_server_has_it(tmp_path, log_format, line):
    (access,) = read(tmp_path, line + "\n", log_format).accesses
    assert (access.key, access.time_s, access.duration_ms) == ("?b=1", 1760097336, 12)


def test_a_layout_knows_literals_before_and_behind():
    assert layout_of("<$status>").lengths == (1, 1)
