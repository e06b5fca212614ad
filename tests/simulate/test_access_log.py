"""`read_access_log`: files to accesses of the application's routes."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.trace import Trace
from cache_strategy.simulate import access_log, read_access_log, simulate
from cache_strategy.simulate.routes import Routes, template

ROUTES = [
    ("GET", "/api/users/{user_id}"),
    ("GET", "/api/users/new"),
    ("GET", "/api/articles/{slug}/comments"),
    ("GET", "/files/{path}"),
]
PATHS = {
    "/api/users/7": "/api/users/{user_id}",
    "/api/users/new": "/api/users/new",
    "/api/articles/a-b/comments?x=1": "/api/articles/{slug}/comments",
    "/files/a/b.css": "/files/{path}",
    "/shop/12/items": "/shop/{number}/items",
    "/x/550e8400-e29b-41d4-a716-446655440000": "/x/{uuid}",
    "/posts/how-to-cache-things": "/posts/{slug}",
    "/about": "/about",
    "/blob/0123456789abcdef0123": "/blob/{hash}",
} | {f"/tags/tag{chr(97 + n // 26)}{chr(97 + n % 26)}": "/tags/{slug}" for n in range(40)}
"""Many different names at one place are values."""


def line(path: str = "/", second: int = 0, tail: str = "", user: str = "-") -> str:
    start = f"10.0.0.1 - {user} [10/Oct/2025:13:55:{second:02d} +0200]"
    return f'{start} "GET {path} HTTP/1.1" 200 512 "-" "curl/8"{tail}\n'


def trace(folder: Path, *texts: str | bytes) -> Trace:
    """Of one file per text, in this order."""
    paths = [folder / f"access{n or ''}.log" for n in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_access_log(paths, ROUTES)


def test_paths_belong_to_the_applications_routes_and_others_are_templated(tmp_path):
    found = trace(tmp_path, "".join(map(line, PATHS)))
    assert [a.group for a in found.accesses] == [f"GET {route}" for route in PATHS.values()]


def test_the_key_has_path_and_query_in_any_order(tmp_path):
    asked = map(line, ("/api/users/7?b=2&a=1", "/api/users/7?a=1&b=2", "/api/users/8?a=1&b=2"))
    first, second, third = (access.key for access in trace(tmp_path, "".join(asked)).accesses)
    assert first == second == "user_id=7&?a=1&?b=2" != third


def test_users_are_hashed(tmp_path):
    accesses = trace(tmp_path, line(user="jane") + line() + line(user="joe") + line(user="jane")).accesses
    jane, nobody, joe, again = (access.user for access in accesses)
    assert len({jane, nobody, joe, "jane"}) == 4
    assert (again, nobody) == (jane, "")


@pytest.mark.parametrize(
    ("tail", "duration_ms"),
    [
        (" rt=0.250 uct=0.1", 250),
        (' "request_time=0.250"', 250),
        (" - 3 0.250 .", 250),
        (" 250000", 250),
        ("", None),
    ],
)
def test_request_times_are_read_where_there_are_any(tmp_path, tail, duration_ms):
    found = trace(tmp_path, line(tail=tail))
    assert found.accesses[0].duration_ms == duration_ms
    assert any("latency is not known" in note for note in found.notes) == (duration_ms is None)


def test_a_virtual_host_in_front_and_no_agent_behind_are_fine(tmp_path):
    text = 'shop:443 10.0.0.1 - - [10/Oct/2025:13:55:00 +0000] "GET / HTTP/1.1" 304 -\n'
    (access,) = trace(tmp_path, text).accesses
    assert (access.status, access.size_bytes, access.user) == (304, None, "")


def test_json_of_other_shapes_is_read(tmp_path):
    text = (
        '{"time_iso8601": "2025-10-10T13:55:06+02:00", "request": "GET /api/users/7?a=\\u0031 HTTP/1.1", '
        '"request_time": "0.250", "body_bytes_sent": "9", "status": "200", "user_id": null}\n'
    )
    (access,) = trace(tmp_path, text).accesses
    assert (access.key, access.duration_ms, access.size_bytes, access.user) == ("user_id=7&?a=1", 250, 9, "")


def test_files_packed_or_not_clocks_that_go_back_and_other_zones_are_one_trace_in_order(tmp_path):
    winter = line(second=5).replace("13:55:05 +0200", "11:55:05 +0000")
    packed = gzip.compress((line(second=1) + line(second=3)).encode())
    times = [a.time_s - 1760097300 for a in trace(tmp_path, line(second=9) + winter, packed, "").accesses]
    assert times == [1, 3, 5, 9]


def test_bad_lines_are_counted_and_never_fatal(tmp_path):
    bad = (
        'nonsense\n- - [x] "\n10.0.0.1 - - [99/Oct/2025:13:55:00 +0200] "GET / HTTP/1.1" 200 1\n'
        + "x" * 1_000_000
    )
    found = trace(tmp_path, "", line() + bad + "\n" + line(second=1))
    assert (len(found.accesses), found.bad_lines, found.notes[0]) == (2, 4, "access.log is empty.")
    assert "4 of 6 lines could not be read. The first of them: 'nonsense'" in found.notes


def test_an_archive_that_ends_early_gives_what_it_holds(tmp_path):
    whole = gzip.compress("".join(line(f"/{n}", n % 60) for n in range(5000)).encode())
    found = trace(tmp_path, whole[: len(whole) // 2])
    assert len(found.accesses) > 100
    assert any("ends early" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n\n", "empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0", "is not text"),
        (b"one\ntwo\n", "in no known format"),
        (b"\x1f\x8bnothing packed", "gzip"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_log_is_one_clear_error(tmp_path, content, said):
    with pytest.raises(CacheStrategyError, match=said) as error:
        read_access_log([tmp_path / "access.log"], []) if content is None else trace(tmp_path, content)
    assert "access.log" in str(error.value)
    assert "\n" not in str(error.value)


COMBINED = r"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""


@pytest.mark.parametrize(
    ("log_format", "text"),
    [
        (
            """log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                            '$status $body_bytes_sent rt=$request_time "$http_user_agent"';""",
            '10.0.0.1 - jane [10/Oct/2025:13:55:36 +0200] "GET /api/users/7 HTTP/1.1" 200 512 rt=0.012 "curl"',
        ),
        (
            'log_format json escape=json \'{"when":"$time_iso8601","verb":"$request_method","what":"$request_uri",\'\n'
            '\'"code":$status,"out":$body_bytes_sent,"took":$request_time,"who":"$remote_user"}\';',
            '{"when":"2025-10-10T13:55:36+02:00","verb":"GET","what":"/api/users/7","code":200,"out":512,"took":0.012,"who":"jane"}',
        ),
        (
            f'LogFormat "{COMBINED} %D" timed',
            '10.0.0.1 - jane [10/Oct/2025:13:55:36 +0200] "GET /api/users/7 HTTP/1.1" 200 512 "-" "curl" 12000',
        ),
        ('%{sec}t %u "%r" %s %O %{ms}T', '1760097336 jane "GET /api/users/7 HTTP/1.1" 200 512 12'),
        (
            '%(t)s %(u)s "%(r)s" %(s)s %(b)s %(D)s',
            '[10/Oct/2025:11:55:36 +0000] jane "GET /api/users/7 HTTP/1.1" 200 512 12000',
        ),
    ],
    ids=["nginx", "nginx json", "apache", "apache braces", "gunicorn"],
)
def test_a_format_of_ones_own_is_given_as_the_configuration_has_it(tmp_path, log_format, text):
    (tmp_path / "access.log").write_text(text + "\n")
    (access,) = read_access_log([tmp_path / "access.log"], ROUTES, log_format).accesses
    assert (access.group, access.time_s, access.status, access.size_bytes) == (
        "GET /api/users/{user_id}",
        1760097336,
        200,
        512,
    )
    assert (access.duration_ms, bool(access.user)) == (12, True)


def test_a_file_that_changes_its_format_is_read_in_both(tmp_path, monkeypatch):
    monkeypatch.setattr(access_log, "BLOCK", 4000)
    lines = "".join(
        f'{{"ts": {1760097400 + n}, "method": "GET", "uri": "/api/users/8", "status": 200}}\n'
        for n in range(100)
    )
    found = trace(tmp_path, "".join(line("/api/users/7", n % 60) for n in range(100)) + lines)
    assert {a.key for a in found.accesses} == {"user_id=7", "user_id=8"}
    assert len(found.accesses) > 190
    assert any("changes its format" in note for note in found.notes)
    assert "combined, json_lines" in found.source


def test_a_clock_that_goes_back_an_hour_is_said_and_the_requests_are_in_order(tmp_path):
    lines = [
        f'2025-10-26 0{hour}:{minute:02}:00,000 INFO: 10.0.0.1:5 - "GET / HTTP/1.1" 200 OK\n'
        for hour in (2, 2)
        for minute in range(60)
    ]
    found = trace(tmp_path, "".join(lines))
    assert any("goes backwards once, by 3,540 s" in note for note in found.notes)
    times = [a.time_s for a in found.accesses]
    assert times == sorted(times)


def test_an_archive_without_its_program_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CacheStrategyError, match="packed with zstd, which is not on PATH"):
        trace(tmp_path, b"\x28\xb5\x2f\xfd...")


def test_a_head_request_belongs_to_the_route_of_get():
    assert Routes(ROUTES).match("HEAD", "/api/users/7") == ("/api/users/{user_id}", [("user_id", "7")])
    assert Routes(ROUTES).match("DELETE", "/api/users/7") is None


@given(st.text())
def test_no_path_makes_templating_raise(path):
    assert template(path).startswith("/")
    Routes(ROUTES).match("GET", path)


def test_a_log_that_does_not_fit_is_drawn_from_beginning_to_end_and_says_so(tmp_path):
    asked = [
        line(f"/api/users/{n * n % 601 if n % 3 else 7}", n % 60).replace(
            "13:55", f"{n // 3600:02d}:{n // 60 % 60:02d}"
        )
        for n in range(6000)
    ]
    (tmp_path / "old.log").write_text("".join(asked[:4000]))
    (tmp_path / "new.log").write_text("".join(asked[4000:]))
    paths = [tmp_path / "old.log", tmp_path / "new.log"]
    whole, found = read_access_log(paths, ROUTES), read_access_log(paths, ROUTES, most_requests=4000)
    assert whole.accesses.sample is None
    assert len(found.accesses) <= 4000 < len(whole.accesses)
    assert len(found.accesses.keys) < len(whole.accesses.keys), "what was left out has no name any more"
    assert found.seconds == whole.seconds
    mine, exact = ([(a.time_s, a.key) for a in t.accesses if a.key == "user_id=7"] for t in (found, whole))
    assert mine == exact, "asked for most, so all of it is there"
    (text,) = (note for note in found.notes if note.startswith("Of 6,000 requests"))
    assert "drawn by a hash" in text
    forecast, all_of_it = (simulate(t, ttls=[600]) for t in (found, whole))
    assert (forecast.requests, all_of_it.requests) == (6000, 6000)
    assert forecast.rows[0].hit_rate == pytest.approx(all_of_it.rows[0].hit_rate, abs=0.05)


def test_what_is_drawn_on_the_way_does_not_turn_the_clock_back(tmp_path):
    logs = access_log._Logs(most=100)
    blocks = (
        line("/", 0).replace("13:55:00", f"{n // 60:02d}:{n % 60:02d}:00").encode() for n in range(1400)
    )
    logs.read(tmp_path / "a.log", blocks)
    assert (logs.notes, logs.room.is_drawn) == ([], True)
