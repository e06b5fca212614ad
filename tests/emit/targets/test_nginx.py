"""A real nginx with the emitted file, in front of a real application."""

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from web_origin import Answer, Origin, contract_with, no_evidence

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import nginx as target
from cache_strategy.model.contract import Contract, StaticAssets
from servers import free_port

YEAR = "public, max-age=31536000, immutable"
PUBLIC = {"Cache-Control": "public, max-age=300"}


def nginx_binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert found, "nginx is not installed. Install it: apt-get install nginx-light"
    return found


def emitted(contract: Contract, repo: Path) -> str:
    draft = Draft(repo)
    target.emit(contract, no_evidence(), draft)
    (change,) = draft.changes()
    assert change.path == target.PATH
    return change.after


def set_up(text: str, folder: Path, application_port: int, port: int) -> Path:
    """The three places that the file names as its user's to set, and an nginx.conf around it."""
    places = {
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{application_port};",
        "proxy_cache_path /var/cache/nginx/": f"proxy_cache_path {folder}/kept_",
        "listen 80;": f"listen 127.0.0.1:{port};",
    }
    for place, ours in places.items():
        assert text.count(place) == 1
        text = text.replace(place, ours)
    (folder / "nginx-cache.conf").write_text(text)
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(
        f"{user} worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
        f"events {{}} http {{ access_log off; {temporary} include {folder}/nginx-cache.conf; }}\n"
    )
    return main


class Response:
    """What a client of nginx got."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read().decode()


class Site:
    """An application behind nginx."""

    def __init__(self, folder: Path) -> None:
        self.origin = Origin()
        self.port = free_port()
        repo = folder / "repository"
        repo.mkdir()
        main = set_up(emitted(contract_with("nginx"), repo), folder, self.origin.port, self.port)
        self._process = subprocess.Popen([nginx_binary(), "-p", str(folder), "-c", str(main)])
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                assert self._process.poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < deadline, "nginx does not listen"
                threading.Event().wait(0.02)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            return Response(connection.getresponse())
        finally:
            connection.close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self.origin.stop()


@pytest.fixture(scope="module")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("nginx"))
    yield site
    site.stop()


@pytest.fixture
def site(running_site: Site) -> Site:
    """The site with no answers and no memory of who asked; each test has paths of its own."""
    running_site.origin.answers.clear()
    running_site.origin.asked.clear()
    running_site.origin.before = lambda asked: None
    return running_site


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    return "/" + "".join(c if c.isalnum() else "-" for c in request.node.name)


# What is kept.


@pytest.mark.parametrize(
    "control", ["public, max-age=300", "max-age=300, public", "s-maxage=300", "Public,Max-Age=300"]
)
def test_a_public_answer_is_kept(site, path, control):
    site.origin.answers[path] = Answer({"Cache-Control": control})
    first, second = site.ask(path), site.ask(path)
    assert (first.body, site.origin.times_asked(path)) == (second.body, 1)
    assert [r.headers["X-Cache-Status"] for r in (first, second)] == ["MISS", "HIT"]
    assert second.headers["Cache-Control"] == control


@pytest.mark.parametrize(
    "control",
    [
        "private", "private, max-age=300", "public, private, max-age=300", "no-cache", "public, no-cache", "no-store",
        "max-age=300", "public", "public, max-age=0", "x-public, max-age=300", "",
    ],
)  # fmt: skip
def test_an_answer_that_is_not_public_or_has_no_life_is_never_kept(site, path, control):
    site.origin.answers[path] = Answer({"Cache-Control": control} if control else {})
    answers = {site.ask(path).body for _ in range(3)}
    assert (len(answers), site.origin.times_asked(path)) == (3, 3)


@pytest.mark.parametrize("status", [201, 302, 404, 500, 503])
def test_only_a_whole_good_answer_is_kept(site, path, status):
    site.origin.answers[path] = Answer({**PUBLIC, "Location": "/"}, status=status)
    assert [site.ask(path).status for _ in range(2)] == [status, status]
    assert site.origin.times_asked(path) == 2


def test_an_answer_that_sets_a_cookie_is_never_kept(site, path):
    site.origin.answers[path] = Answer(PUBLIC, more_headers=(("Set-Cookie", "session=ann"),))
    assert site.ask(path).headers["Set-Cookie"] == "session=ann"
    site.ask(path)
    assert site.origin.times_asked(path) == 2
    site.origin.answers[path] = Answer(PUBLIC)
    assert site.ask(path).headers["Set-Cookie"] is None


@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
def test_a_request_with_a_session_or_a_token_is_neither_kept_nor_served_from_the_cache(site, path, header):
    site.origin.answers[path] = Answer(PUBLIC)
    personal = site.ask(path, **{header: "ann"})
    everyones = site.ask(path)
    again = site.ask(path, **{header: "ann"})
    assert len({personal.body, everyones.body, again.body}) == 3
    assert site.ask(path).body == everyones.body
    assert site.origin.times_asked(path) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_reaches_the_application_each_time(site, path, method):
    site.origin.answers[path] = Answer(PUBLIC)
    assert len({site.ask(path, m).body for m in ("GET", method, method)}) == 3


def test_a_request_for_the_head_alone_fills_and_uses_the_cache(site, path):
    site.origin.answers[path] = Answer(PUBLIC)
    head, whole = site.ask(path, "HEAD"), site.ask(path)
    assert (head.body, whole.body) == ("", "answer 1")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]


def test_query_arguments_and_hosts_have_answers_of_their_own(site, path):
    for query in ("?a=1", "?a=2"):
        site.origin.answers[path + query] = Answer(PUBLIC)
    asked = [("?a=1", "shop"), ("?a=2", "shop"), ("?a=1", "other")] * 2
    assert len({site.ask(path + query, Host=host).body for query, host in asked}) == 3


def test_what_a_client_claims_about_the_host_does_not_reach_the_application(site, path):
    site.origin.answers[path] = Answer(PUBLIC)
    claims = {"X_Forwarded_Host": "evil", "X_Forwarded_Prefix": "/evil", "X_Forwarded_Port": "666"}
    site.ask(path, Host="shop:666", Forwarded="host=evil", **claims)
    (asked,) = site.origin.asked
    assert asked.headers["Host"] == asked.headers["X-Forwarded-Host"] == "shop"
    assert [asked.headers[n] for n in ("X-Forwarded-Prefix", "X-Forwarded-Port", "Forwarded")] == [None] * 3


# Vary.


def test_vary_keeps_answers_apart(site, path):
    site.origin.answers[path] = Answer({**PUBLIC, "Vary": "Accept-Language, Accept"})
    german, english = site.ask(path, Accept_Language="de"), site.ask(path, Accept_Language="en")
    assert german.body != english.body
    assert [site.ask(path, Accept_Language=tongue).body for tongue in ("de", "en")] == [
        german.body,
        english.body,
    ]
    assert site.origin.times_asked(path) == 2


def test_vary_by_everything_is_never_kept(site, path):
    site.origin.answers[path] = Answer({**PUBLIC, "Vary": "*"})
    assert site.ask(path).body != site.ask(path).body


# Validators.


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
def test_a_client_that_has_the_kept_answer_gets_304(site, path, etag):
    site.origin.answers[path] = Answer({**PUBLIC, "ETag": etag})
    site.ask(path)
    again = site.ask(path, If_None_Match=etag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, "", etag)
    assert site.ask(path, If_None_Match='"v0"').status == 200
    assert site.origin.times_asked(path) == 1


@pytest.mark.parametrize(
    ("control", "personal"),
    [("public, no-cache", {}), ("private, no-cache", {}), ("private, no-cache", {"Cookie": "s=ann"})],
)
def test_the_application_answers_304_for_what_is_not_kept(site, path, control, personal):
    site.origin.answers[path] = Answer({"Cache-Control": control, "ETag": '"v1"'})
    assert site.ask(path, **personal).status == 200
    assert site.ask(path, If_None_Match='"v1"', **personal).status == 304
    assert [asked.headers["If-None-Match"] for asked in site.origin.asked] == [None, '"v1"']


def test_a_304_for_one_client_is_not_kept_for_others(site, path):
    site.origin.answers[path] = Answer({**PUBLIC, "ETag": '"v1"'})
    assert site.ask(path, If_None_Match='"v1"').status == 304
    assert (site.ask(path).status, site.ask(path).status) == (200, 200)
    assert site.origin.times_asked(path) == 2


def expired(site: Site, path: str, renewed: str, **headers: str) -> Response:
    """Asks until the kept answer is too old; the answer that renews it."""
    deadline = time.monotonic() + 20
    while True:
        response = site.ask(path, **headers)
        if response.headers["X-Cache-Status"] == renewed:
            return response
        assert time.monotonic() < deadline, response.headers["X-Cache-Status"]
        threading.Event().wait(0.05)


def test_an_old_answer_is_renewed_without_being_sent_again(site, path):
    site.origin.answers[path] = Answer({"Cache-Control": "public, max-age=1", "ETag": '"v1"'})
    first = site.ask(path)
    assert expired(site, path, "REVALIDATED").body == first.body
    assert site.origin.asked[-1].headers["If-None-Match"] == '"v1"'


def test_a_client_with_the_new_answer_does_not_make_an_old_one_new(site, path):
    """The application knows the client's validator, not the kept answer's."""
    site.origin.answers[path] = Answer({"Cache-Control": "public, max-age=1"}, body="old")
    assert site.ask(path).body == "old"
    site.origin.answers[path] = Answer({"Cache-Control": "public, max-age=1", "ETag": '"v2"'}, body="new")
    assert expired(site, path, "EXPIRED", If_None_Match='"v2"').status == 304
    assert site.ask(path).body == "new"


def test_browsers_count_the_age_from_when_the_application_answered(site, path):
    moment = "Mon, 01 Jan 2024 10:00:00 GMT"
    site.origin.answers[path] = Answer({**PUBLIC, "Date": moment})
    assert [site.ask(path).headers["Date"] for _ in range(2)] == [moment, moment]


def test_answers_that_cannot_be_shared_are_not_waited_for(site, path):
    """Both requests are with the application at once: neither gets its answer before the other has asked."""
    both = threading.Barrier(2, timeout=4)
    site.origin.before = lambda asked: both.wait() and None
    site.origin.answers[path] = Answer({"Cache-Control": "public, no-cache"})
    statuses: list[int] = []
    clients = [threading.Thread(target=lambda: statuses.append(site.ask(path).status)) for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(30)
    assert statuses == [200, 200]


# Static files.


@pytest.fixture
def static(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A path under /static/ of a folder that no other test has."""
    return lambda name: f"/static/{request.node.originalname}/{name}"


FINGERPRINTED = [
    "app.3f2a9c1b.js",
    "app-3f2a9c1b0d.css",
    "icon.48133844.svg",
    "a.b.0123456789abcdef0123456789abcdef.woff2",
]
PLAIN = [
    "app.js", "app.3f2a9c1.js", "app.3f2a9c1b", "app.3f2a9c1b.js.map", "report-20240131.pdf", "app.3F2A9C1B.js",
    "facade.js", "app_3f2a9c1b.js", "photo.19991231.jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", FINGERPRINTED)
def test_a_fingerprinted_file_may_be_kept_for_a_year(site, static, name):
    path = static(name)
    site.origin.answers[path] = Answer({"Cache-Control": "no-cache", "ETag": '"f"'})
    first, second = site.ask(path), site.ask(path)
    assert first.headers.get_all("Cache-Control") == second.headers.get_all("Cache-Control") == [YEAR]
    assert site.origin.times_asked(path) == 1
    known = site.ask(path, If_None_Match='"f"')
    assert (known.status, known.headers["Cache-Control"]) == (304, YEAR)


@pytest.mark.parametrize("name", PLAIN)
def test_a_file_without_a_fingerprint_stays_as_the_application_says(site, static, name):
    path = static(name)
    site.origin.answers[path] = Answer({"Cache-Control": "no-cache"})
    assert [site.ask(path).headers.get_all("Cache-Control") for _ in range(2)] == [["no-cache"]] * 2
    assert site.origin.times_asked(path) == 2


def test_a_fingerprint_elsewhere_means_nothing(site):
    path = "/uploads/avatar.3f2a9c1b.png"
    site.origin.answers[path] = Answer({"Cache-Control": "no-cache"})
    assert site.ask(path).headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("status", [404, 302, 403, 500])
def test_a_fingerprinted_name_without_a_file_is_not_kept(site, static, status):
    path = static(f"app.3f2a9c1b{status}.js")
    site.origin.answers[path] = Answer({"Location": "/login"}, status=status)
    missing = [site.ask(path) for _ in range(2)]
    assert [(r.status, r.headers["Cache-Control"]) for r in missing] == [(status, None)] * 2
    site.origin.answers[path] = Answer()
    assert site.ask(path).headers["Cache-Control"] == YEAR


def test_a_fingerprinted_file_never_hands_out_a_cookie(site, static):
    path = static("app.3f2a9c1b.js")
    site.origin.answers[path] = Answer(more_headers=(("Set-Cookie", "session=ann"),))
    answers = [site.ask(path, Cookie="session=ann"), site.ask(path), site.ask(path)]
    assert [r.headers["Set-Cookie"] for r in answers] == [None] * 3
    assert site.origin.times_asked(path) == 3


@pytest.mark.parametrize("control", ["private", "no-store", "private, max-age=60"])
def test_a_fingerprinted_file_for_some_only_stays_theirs(site, static, control):
    path = static(f"{len(control)}.3f2a9c1b.js")
    site.origin.answers[path] = Answer({"Cache-Control": control})
    assert [site.ask(path).headers.get_all("Cache-Control") for _ in range(2)] == [[control]] * 2
    assert site.origin.times_asked(path) == 2


def test_a_fingerprinted_file_for_a_session_is_not_given_to_others(site, static):
    path = static("app.3f2a9c1b.js")
    site.origin.answers[path] = Answer(body="for Ann")
    theirs = site.ask(path, Cookie="session=ann")
    assert theirs.headers.get_all("Cache-Control") == [YEAR.replace("public", "private")]
    site.origin.answers[path] = Answer(status=403)
    assert site.ask(path).status == 403


# The file itself.


@pytest.mark.parametrize(
    "contract",
    [
        contract_with("nginx", static=None),
        contract_with("nginx", namespace="1 Shop's"),
        contract_with("nginx", static=StaticAssets(prefix='assets/v"1.0"/', max_age_seconds=60)),
    ],
    ids=["no static files", "an odd namespace", "an odd prefix"],
)
def test_nginx_takes_the_file_of_any_contract(tmp_path, contract):
    main = set_up(emitted(contract, tmp_path), tmp_path, 8000, free_port())
    checked = subprocess.run(
        [nginx_binary(), "-t", "-p", str(tmp_path), "-c", str(main)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr


def test_a_contract_without_nginx_gets_no_file(tmp_path):
    draft = Draft(tmp_path)
    target.emit(contract_with("cloudflare"), no_evidence(), draft)
    assert draft.changes() == ()
