"""The emitted nginx file before a real application: what it keeps, and for whom."""

import subprocess
from collections.abc import Iterator

import pytest
from web_origin import NO_EVIDENCE, Answer, Site, contract_with, eventually, nginx_with

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import nginx
from cache_strategy.model.contract import Redis, StaticAssets
from servers import free_port

YEAR = "public, max-age=31536000, immutable"
PUBLIC = {"Cache-Control": "public, max-age=300"}
FINGERPRINTED = "/static/app.3f2a9c1b.js"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("nginx"), contract_with("nginx"))
    yield site
    site.stop()


@pytest.fixture
def site(running: Site, request: pytest.FixtureRequest) -> Site:
    """With no answers and no memory of who asked; each test has paths of its own."""
    running.origin.answers.clear()
    running.origin.asked.clear()
    running.folder = "/" + "".join(c if c.isalnum() else "-" for c in request.node.name)
    return running


def is_kept(site: Site, path: str, answer: Answer) -> bool:
    """Whether a second client gets the first one's answer."""
    site.serve(path, answer)
    seen = [(r.status, r.body) for r in (site.ask(path), site.ask(path))]
    assert {status for status, _ in seen} == {answer.status}
    assert (seen[0] == seen[1]) == (site.times_asked(path) == 1)
    return seen[0] == seen[1]


# What is kept.


@pytest.mark.parametrize(
    "control", ["public, max-age=300", "max-age=300,public", "s-maxage=300", "Public, Max-Age=300"]
)
def test_a_public_answer_is_kept_and_says_so(site, control):
    """With the time of the application's answer, from which browsers count the age."""
    moment = "Mon, 01 Jan 2024 10:00:00 GMT"
    assert is_kept(site, "/a", Answer({"Cache-Control": control, "Vary": "Accept-Encoding", "Date": moment}))
    again = site.ask("/a")
    assert (again.control, again.headers["Date"], again.headers["X-Cache-Status"]) == (
        [control],
        moment,
        "HIT",
    )


@pytest.mark.parametrize(
    "answer",
    [
        *(
            Answer({"Cache-Control": control})
            for control in (
                "private", "private, max-age=300", "public, private, max-age=300", "no-cache", "no-store", "public",
                "public, no-cache, max-age=300", "max-age=300", "public, max-age=0", "x-public, max-age=300",
                "public, max-age=300, s-maxage=0", 'private="Set-Cookie", public, max-age=300',
            )
        ),
        Answer(),
        *(Answer({**PUBLIC, "Location": "/"}, status=status) for status in (201, 206, 302, 404, 500, 503)),
        Answer(PUBLIC, cookie="session=ann"),
        Answer({**PUBLIC, "Vary": "*"}),
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_that_is_not_public_whole_or_for_all_is_never_kept(site, answer):
    assert not is_kept(site, "/a", answer)


@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
def test_a_request_with_a_session_or_a_token_is_neither_kept_nor_served_from_the_cache(site, header):
    site.serve("/a", Answer(PUBLIC))
    personal, everyones, again = (
        site.ask("/a", **who).body for who in ({header: "ann"}, {}, {header: "ann"})
    )
    assert len({personal, everyones, again}) == 3
    assert site.ask("/a").body == everyones
    assert [asked.headers[header] for asked in site.origin.asked] == ["ann", None, "ann"]


def test_a_write_reaches_the_application_each_time_and_a_head_gets_no_body(site):
    site.serve("/a", Answer(PUBLIC))
    assert len({site.ask("/a", method).body for method in ("GET", "POST", "PUT", "DELETE")}) == 4
    site.serve("/b", Answer(PUBLIC, body="whole"))
    head, whole = site.ask("/b", "HEAD"), site.ask("/b")
    assert (head.body, head.headers["Content-Length"], whole.body) == ("", "5", "whole")


def test_query_arguments_and_hosts_have_answers_of_their_own(site):
    for path in ("/a?a=1", "/a?a=2"):
        site.serve(path, Answer(PUBLIC))
    asked = [(path, host) for path in ("/a?a=1", "/a?a=2") for host in ("shop", "other")] * 2
    assert len({site.ask(path, Host=host).body for path, host in asked}) == 4


def test_what_a_client_claims_about_the_host_does_not_reach_the_application(site):
    claims = {"X_Forwarded_Host": "evil", "X_Forwarded_Prefix": "/evil", "X_Forwarded_Port": "666"}
    site.ask("/a", Host="shop:666", Forwarded="host=evil", **claims)
    (asked,) = site.origin.asked
    assert asked.headers["Host"] == asked.headers["X-Forwarded-Host"] == "shop"
    assert [asked.headers[n] for n in ("X-Forwarded-Prefix", "X-Forwarded-Port", "Forwarded")] == [None] * 3


@pytest.mark.parametrize("vary", ["Accept-Language, Accept", "Accept-Encoding, Accept-Language"])
def test_an_answer_that_varies_is_kept_for_each(site, vary):
    site.serve("/a", Answer({**PUBLIC, "Vary": vary}))
    german, english, *again = (site.ask("/a", Accept_Language=tongue).body for tongue in ("de", "en") * 2)
    assert german != english
    assert again == [german, english]


# Validators.


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
def test_a_client_that_has_the_kept_answer_gets_304_and_no_other_client_does(site, etag):
    site.serve("/a", Answer({**PUBLIC, "ETag": etag}))
    assert [site.ask("/a", If_None_Match=etag).status for _ in range(2)] == [304, 304]
    assert site.ask("/a").status == 200
    again = site.ask("/a", If_None_Match=etag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, "", etag)
    assert site.ask("/a", If_None_Match='"v0"').status == 200
    assert site.times_asked("/a") == 3


@pytest.mark.parametrize(
    ("control", "personal"), [("public, no-cache", {}), ("private, no-cache", {"Cookie": "s=ann"})]
)
def test_the_application_answers_304_for_what_is_not_kept(site, control, personal):
    site.serve("/a", Answer({"Cache-Control": control, "ETag": '"v1"'}))
    assert site.ask("/a", **personal).status == 200
    assert site.ask("/a", If_None_Match='"v1"', **personal).status == 304
    assert [asked.headers["If-None-Match"] for asked in site.origin.asked] == [None, '"v1"']


def test_an_old_answer_is_renewed_with_its_own_validator_and_not_with_the_clients(site):
    """The application knows the client's validator, not the kept answer's."""
    site.serve("/a", Answer({"Cache-Control": "public, max-age=1", "ETag": '"v1"'}))
    first = site.ask("/a")
    renewed = eventually(lambda: (r := site.ask("/a")).headers["X-Cache-Status"] == "REVALIDATED" and r)
    assert renewed.body == first.body
    assert site.origin.asked[-1].headers["If-None-Match"] == '"v1"'
    site.serve("/b", Answer({"Cache-Control": "public, max-age=1"}, body="old"))
    assert site.ask("/b").body == "old"
    site.serve("/b", Answer({"Cache-Control": "public, max-age=1", "ETag": '"v2"'}, body="new"))
    assert eventually(lambda: site.ask("/b", If_None_Match='"v2"').status == 304)
    assert site.ask("/b").body == "new"


# Static files.


@pytest.mark.parametrize(
    "name",
    ["app.3f2a9c1b.js", "app-3f2a9c1b0d.css", "icon.48133844.svg", "a.b.0123456789abcdef0123456789abcdef.woff2"],
)  # fmt: skip
def test_a_fingerprinted_file_may_be_kept_for_a_year(site, name):
    path = f"/static/{name}"
    assert is_kept(site, path, Answer({"Cache-Control": "no-cache", "ETag": '"f"'}))
    known = site.ask(path, If_None_Match='"f"')
    assert (known.status, known.control, site.ask(path, "HEAD").control) == (304, [YEAR], [YEAR])


@pytest.mark.parametrize(
    "path",
    [
        "/static/app.js", "/static/app.3f2a9c1.js", "/static/app.3f2a9c1b", "/static/app.3f2a9c1b.js.map",
        "/static/report-20240131.pdf", "/static/app.3F2A9C1B.js", "/static/app_3f2a9c1b.js",
        "/static/photo.19991231.jpg", "/uploads/avatar.3f2a9c1b.png",
    ],
)  # fmt: skip
def test_a_file_without_a_fingerprint_or_elsewhere_stays_as_the_application_says(site, path):
    assert not is_kept(site, path, Answer({"Cache-Control": "no-cache"}))
    assert site.ask(path).control == ["no-cache"]


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer({"Location": "/login"}, status=status) for status in (404, 302, 403, 500)),
        *(Answer({"Cache-Control": control}) for control in ("private", "no-store", "private, max-age=60")),
    ],
    ids=str,
)
def test_a_fingerprinted_name_without_a_file_or_for_some_only_is_not_kept(site, answer):
    assert not is_kept(site, FINGERPRINTED, answer)
    assert site.ask(FINGERPRINTED).headers["Cache-Control"] == answer.headers.get("Cache-Control")
    site.serve(FINGERPRINTED, Answer())
    assert site.ask(FINGERPRINTED).control == [YEAR]


def test_a_fingerprinted_file_never_hands_out_a_cookie_nor_what_is_for_a_session(site):
    site.serve(FINGERPRINTED, Answer(cookie="session=ann"))
    assert [site.ask(FINGERPRINTED, **who).headers["Set-Cookie"] for who in ({"Cookie": "a=1"}, {})] == [
        None
    ] * 2
    assert site.times_asked(FINGERPRINTED) == 2
    site.serve(FINGERPRINTED, Answer(body="for Ann"))
    assert site.ask(FINGERPRINTED, Cookie="a=1").control == [YEAR.replace("public", "private")]
    site.serve(FINGERPRINTED, Answer(status=403))
    assert site.ask(FINGERPRINTED).status == 403


# The files themselves.


@pytest.mark.parametrize(
    "options",
    [
        {"static": None},
        {"redis": Redis(namespace="1 Shop's")},
        {"static": StaticAssets(prefix='assets/v"1.0"/')},
    ],
    ids=["no files", "odd namespace", "odd prefix"],
)
def test_nginx_takes_the_file_of_any_contract(tmp_path, options):
    command = nginx_with(contract_with("nginx", **options), tmp_path, 8000, free_port())
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and "warn" not in checked.stderr, checked.stderr


def test_a_contract_without_nginx_gets_no_file(tmp_path):
    draft = Draft(tmp_path)
    nginx.target.emit(contract_with(), NO_EVIDENCE, draft)
    assert draft.changes() == ()
