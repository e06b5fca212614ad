"""`read_access_log`: files to accesses of the application's routes."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.simulate import read_access_log
from cache_strategy.simulate.routes import Routes, template

ROUTES = [
    ("GET", "/api/users/{user_id}"),
    ("GET", "/api/users/new"),
    ("PUT", "/api/users/{user_id}"),
    ("GET", "/api/articles/{slug}/comments"),
    ("GET", "/files/{path}"),
    ("GET", "/"),
]


def line(
    path: str, second: int = 0, method: str = "GET", tail: str = "", user: str = "-", status: int = 200
) -> str:
    return (
        f"10.0.0.1 - {user} [10/Oct/2025:13:55:{second:02d} +0200] "
        f'"{method} {path} HTTP/1.1" {status} 512 "-" "curl/8"{tail}\n'
    )


def log(tmp_path: Path, text: str, name: str = "access.log") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def groups(tmp_path: Path, *paths: str) -> list[str]:
    trace = read_access_log([log(tmp_path, "".join(map(line, paths)))], ROUTES)
    return [access.group for access in trace.accesses]


def test_paths_belong_to_the_applications_routes(tmp_path):
    assert groups(
        tmp_path, "/api/users/7", "/api/users/new", "/api/articles/a-b/comments?x=1", "/", "/files/a/b.css"
    ) == [
        "GET /api/users/{user_id}",
        "GET /api/users/new",
        "GET /api/articles/{slug}/comments",
        "GET /",
        "GET /files/{path}",
    ]


def test_other_paths_are_templated(tmp_path):
    assert groups(
        tmp_path,
        "/shop/12/items",
        "/x/550e8400-e29b-41d4-a716-446655440000",
        "/posts/how-to-cache-things",
        "/about",
        "/blob/0123456789abcdef0123",
    ) == ["GET /shop/{number}/items", "GET /x/{uuid}", "GET /posts/{slug}", "GET /about", "GET /blob/{hash}"]


def test_a_place_with_many_different_names_holds_values(tmp_path):
    found = groups(
        tmp_path, *(f"/tags/tag{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(40)), "/docs/api"
    )
    assert set(found) == {"GET /tags/{slug}", "GET /docs/api"}


def test_the_key_has_path_and_query_in_any_order(tmp_path):
    text = line("/api/users/7?b=2&a=1") + line("/api/users/7?a=1&b=2") + line("/api/users/8?a=1&b=2")
    first, second, third = (access.key for access in read_access_log([log(tmp_path, text)], ROUTES).accesses)
    assert first == second != third


def test_a_line_becomes_an_access(tmp_path):
    trace = read_access_log([log(tmp_path, line("/", 5, tail=" 0.012", user="jane"))], ROUTES)
    (access,) = trace.accesses
    assert access.time_s == 1760097305
    assert (access.status, access.size_bytes, access.duration_ms) == (200, 512, 12)
    assert access.user not in ("", "jane")
    assert trace.source == "access.log (combined)"


@pytest.mark.parametrize(
    ("tail", "duration_ms"),
    [
        (" 0.250", 250),
        (" rt=0.250 uct=0.1", 250),
        (' "request_time=0.250"', 250),
        (" 250000", 250),
        ("", None),
    ],
)
def test_request_times_are_read_where_there_are_any(tmp_path, tail, duration_ms):
    trace = read_access_log([log(tmp_path, line("/", tail=tail))], ROUTES)
    assert trace.accesses[0].duration_ms == duration_ms
    assert any("latency is not known" in note for note in trace.notes) == (duration_ms is None)


def test_a_virtual_host_in_front_and_no_agent_behind_are_fine(tmp_path):
    text = 'shop:443 10.0.0.1 - - [10/Oct/2025:13:55:00 +0000] "GET / HTTP/1.1" 304 -\n'
    (access,) = read_access_log([log(tmp_path, text)], ROUTES).accesses
    assert (access.status, access.size_bytes, access.user) == (304, None, "")


def test_json_lines_of_caddy_and_nginx_are_read(tmp_path):
    caddy = {
        "ts": 1760097305.5,
        "request": {"method": "GET", "uri": "/api/users/7?a=1", "host": "x"},
        "duration": 0.25,
        "size": 9,
        "status": 200,
        "user_id": "",
    }
    nginx = {
        "time_iso8601": "2025-10-10T13:55:06+02:00",
        "request": "GET /api/users/7?a=1 HTTP/1.1",
        "request_time": "0.250",
        "body_bytes_sent": "9",
        "status": "200",
    }
    trace = read_access_log([log(tmp_path, json.dumps(caddy) + "\n" + json.dumps(nginx) + "\n")], ROUTES)
    assert [(a.group, a.key, a.duration_ms, a.size_bytes, a.status) for a in trace.accesses] == [
        ("GET /api/users/{user_id}", "user_id=7&?a=1", 250, 9, 200)
    ] * 2
    assert trace.seconds == 0.5


def test_many_files_plain_and_packed_are_one_trace_in_time_order(tmp_path):
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress((line("/", 1) + line("/", 3)).encode()))
    trace = read_access_log([log(tmp_path, line("/", 2)), packed], ROUTES)
    assert [access.time_s - trace.accesses[0].time_s for access in trace.accesses] == [0, 1, 2]


def test_a_clock_that_goes_backwards_and_other_time_zones_are_put_in_order(tmp_path):
    text = line("/", 9) + line("/", 3) + line("/", 5).replace("13:55:05 +0200", "11:55:05 +0000")
    times = [a.time_s for a in read_access_log([log(tmp_path, text)], ROUTES).accesses]
    assert times == [1760097303, 1760097305, 1760097309]


def test_bad_lines_are_counted_and_never_fatal(tmp_path):
    bad = (
        'nonsense\n- - [x] "\n10.0.0.1 - - [99/Oct/2025:13:55:00 +0200] "GET / HTTP/1.1" 200 1\n'
        + "x" * 1_000_000
    )
    trace = read_access_log([log(tmp_path, line("/") + bad + "\n" + line("/", 1))], ROUTES)
    assert (len(trace.accesses), trace.bad_lines) == (2, 4)
    assert "4 of 6 lines could not be read." in trace.notes


def test_an_archive_that_ends_early_gives_what_it_holds(tmp_path):
    path = tmp_path / "access.log.gz"
    whole = gzip.compress("".join(line(f"/{n}", n % 60) for n in range(5000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    trace = read_access_log([path], ROUTES)
    assert len(trace.accesses) > 100
    assert any("ends early" in note for note in trace.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0", "is not text"),
        (b"one\ntwo\n", "in no known format"),
        (b"\x1f\x8bnothing packed", "gzip"),
    ],
)
def test_a_file_that_is_no_log_is_one_clear_error(tmp_path, content, said):
    path = tmp_path / "access.log"
    path.write_bytes(content)
    with pytest.raises(CacheStrategyError, match=said) as error:
        read_access_log([path], ROUTES)
    assert "access.log" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "nothing.log", tmp_path):
        with pytest.raises(CacheStrategyError, match=path.name):
            read_access_log([path], ROUTES)


def test_an_empty_file_among_others_is_a_note(tmp_path):
    trace = read_access_log([log(tmp_path, "", "old.log"), log(tmp_path, line("/"))], ROUTES)
    assert (len(trace.accesses), trace.notes[0]) == (1, "old.log is empty.")


def test_a_head_request_belongs_to_the_route_of_get():
    assert Routes(ROUTES).match("HEAD", "/api/users/7") == ("/api/users/{user_id}", [("user_id", "7")])
    assert Routes(ROUTES).match("DELETE", "/api/users/7") is None


@settings(max_examples=300)
@given(st.text())
def test_no_path_makes_templating_raise(path):
    assert template(path).startswith("/")
    Routes(ROUTES).match("GET", path)
