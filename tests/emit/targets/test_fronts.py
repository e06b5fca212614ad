"""The emitted nginx file and the emitted Worker before a real application: what they keep, and for whom."""

import subprocess
import threading
from collections.abc import Iterator

import pytest
from web_front import Front, Nginx, Worker, nginx_with
from web_origin import NO_EVIDENCE, Answer, contract_with, eventually

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import cloudflare, nginx
from cache_strategy.model.contract import Redis, StaticAssets
from servers import free_port

YEAR = "public, max-age=31536000, immutable"
PUBLIC = {"Cache-Control": "public, max-age=300"}
FINGERPRINTED = "/static/app.3f2a9c1b.js"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    fronts = {
        "nginx": Nginx(tmp_path_factory.mktemp("nginx"), contract_with("nginx")),
        "cloudflare": Worker(tmp_path_factory.mktemp("worker"), contract_with("cloudflare")),
    }
    yield fronts
    for front in fronts.values():
        front.stop()


@pytest.fixture(params=["nginx", "cloudflare"])
def front(running: dict[str, Front], request: pytest.FixtureRequest) -> Front:
    """With no answers and no memory of who asked; each test has paths of its own."""
    found = running[request.param]
    found.origin.answers.clear()
    found.origin.asked.clear()
    found.origin.before = lambda: None
    found.folder = "/" + "".join(c if c.isalnum() else "-" for c in request.node.name)
    return found


only_nginx = pytest.mark.parametrize("front", ["nginx"], indirect=True)


def is_kept(front: Front, path: str, answer: Answer) -> bool:
    """Whether a second client gets the first one's answer."""
    front.serve(path, answer)
    seen = [(r.status, r.body) for r in (front.ask(path), front.ask(path))]
    assert {status for status, _ in seen} == {answer.status}
    assert (seen[0] == seen[1]) == (front.times_asked(path) == 1)
    return seen[0] == seen[1]


# What is kept.


@pytest.mark.parametrize(
    "control", ["public, max-age=300", "max-age=300,public", "s-maxage=300", "Public, Max-Age=300"]
)
def test_a_public_answer_is_kept_and_says_so(front, control):
    assert is_kept(front, "/a", Answer({"Cache-Control": control, "Vary": "Accept-Encoding"}))
    again = front.ask("/a")
    assert again.control == [control]
    if isinstance(front, Nginx):
        assert again.headers["X-Cache-Status"] == "HIT"


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
def test_an_answer_that_is_not_public_whole_or_for_all_is_never_kept(front, answer):
    assert not is_kept(front, "/a", answer)


@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
def test_a_request_with_a_session_or_a_token_is_neither_kept_nor_served_from_the_cache(front, header):
    front.serve("/a", Answer(PUBLIC))
    personal, everyones, again = (
        front.ask("/a", **who).body for who in ({header: "ann"}, {}, {header: "ann"})
    )
    assert len({personal, everyones, again}) == 3
    assert front.ask("/a").body == everyones
    assert [asked.headers[header] for asked in front.origin.asked] == ["ann", None, "ann"]


def test_a_write_reaches_the_application_each_time_and_a_head_gets_no_body(front):
    front.serve("/a", Answer(PUBLIC))
    assert len({front.ask("/a", method).body for method in ("GET", "POST", "PUT", "DELETE")}) == 4
    front.serve("/b", Answer(PUBLIC, body="whole"))
    head, whole = front.ask("/b", "HEAD"), front.ask("/b")
    assert (head.body, head.headers["Content-Length"], whole.body) == ("", "5", "whole")


def test_query_arguments_and_hosts_have_answers_of_their_own(front):
    for path in ("/a?a=1", "/a?a=2"):
        front.serve(path, Answer(PUBLIC))
    hosts = ("shop", "other") if isinstance(front, Nginx) else ("shop",)
    asked = [(path, host) for path in ("/a?a=1", "/a?a=2") for host in hosts] * 2
    assert len({front.ask(path, Host=host).body for path, host in asked}) == len(asked) // 2


@only_nginx
def test_what_a_client_claims_about_the_host_does_not_reach_the_application(front):
    claims = {"X_Forwarded_Host": "evil", "X_Forwarded_Prefix": "/evil", "X_Forwarded_Port": "666"}
    front.ask("/a", Host="shop:666", Forwarded="host=evil", **claims)
    (asked,) = front.origin.asked
    assert asked.headers["Host"] == asked.headers["X-Forwarded-Host"] == "shop"
    assert [asked.headers[n] for n in ("X-Forwarded-Prefix", "X-Forwarded-Port", "Forwarded")] == [None] * 3


@pytest.mark.parametrize("vary", ["Accept-Language, Accept", "Accept-Encoding, Accept-Language"])
def test_an_answer_that_varies_is_never_given_to_another(front, vary):
    """nginx keeps one for each; the Worker cannot tell them apart and keeps none."""
    front.serve("/a", Answer({**PUBLIC, "Vary": vary}))
    german, english, *again = (front.ask("/a", Accept_Language=tongue).body for tongue in ("de", "en") * 2)
    assert german != english
    assert (again == [german, english]) == isinstance(front, Nginx)


# Validators.


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
def test_a_client_that_has_the_kept_answer_gets_304_and_no_other_client_does(front, etag):
    front.serve("/a", Answer({**PUBLIC, "ETag": etag}))
    assert [front.ask("/a", If_None_Match=etag).status for _ in range(2)] == [304, 304]
    assert front.ask("/a").status == 200
    again = front.ask("/a", If_None_Match=etag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, "", etag)
    assert front.ask("/a", If_None_Match='"v0"').status == 200
    assert front.times_asked("/a") == 3


@pytest.mark.parametrize(
    ("control", "personal"), [("public, no-cache", {}), ("private, no-cache", {"Cookie": "s=ann"})]
)
def test_the_application_answers_304_for_what_is_not_kept(front, control, personal):
    front.serve("/a", Answer({"Cache-Control": control, "ETag": '"v1"'}))
    assert front.ask("/a", **personal).status == 200
    assert front.ask("/a", If_None_Match='"v1"', **personal).status == 304
    assert [asked.headers["If-None-Match"] for asked in front.origin.asked] == [None, '"v1"']


@only_nginx
def test_an_old_answer_is_renewed_with_its_own_validator_and_not_with_the_clients(front):
    """The application knows the client's validator, not the kept answer's."""
    front.serve("/a", Answer({"Cache-Control": "public, max-age=1", "ETag": '"v1"'}))
    first = front.ask("/a")
    renewed = eventually(lambda: (r := front.ask("/a")).headers["X-Cache-Status"] == "REVALIDATED" and r)
    assert renewed.body == first.body
    assert front.origin.asked[-1].headers["If-None-Match"] == '"v1"'
    front.serve("/b", Answer({"Cache-Control": "public, max-age=1"}, body="old"))
    assert front.ask("/b").body == "old"
    front.serve("/b", Answer({"Cache-Control": "public, max-age=1", "ETag": '"v2"'}, body="new"))
    assert eventually(lambda: front.ask("/b", If_None_Match='"v2"').status == 304)
    assert front.ask("/b").body == "new"


@only_nginx
def test_browsers_count_the_age_from_when_the_application_answered(front):
    moment = "Mon, 01 Jan 2024 10:00:00 GMT"
    front.serve("/a", Answer({**PUBLIC, "Date": moment}))
    assert [front.ask("/a").headers["Date"] for _ in range(2)] == [moment, moment]


@only_nginx
def test_answers_that_cannot_be_shared_are_not_waited_for(front):
    """Both requests are with the application at once: neither gets its answer before the other has asked."""
    both = threading.Barrier(2, timeout=4)
    front.origin.before = both.wait
    front.serve("/a", Answer({"Cache-Control": "public, no-cache"}))
    statuses: list[int] = []
    clients = [threading.Thread(target=lambda: statuses.append(front.ask("/a").status)) for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(30)
    assert statuses == [200, 200]


# Static files.


@pytest.mark.parametrize(
    "name",
    ["app.3f2a9c1b.js", "app-3f2a9c1b0d.css", "icon.48133844.svg", "a.b.0123456789abcdef0123456789abcdef.woff2"],
)  # fmt: skip
def test_a_fingerprinted_file_may_be_kept_for_a_year(front, name):
    path = f"/static/{name}"
    assert is_kept(front, path, Answer({"Cache-Control": "no-cache", "ETag": '"f"'}))
    known = front.ask(path, If_None_Match='"f"')
    assert (known.status, known.control, front.ask(path, "HEAD").control) == (304, [YEAR], [YEAR])


@pytest.mark.parametrize(
    "path",
    [
        "/static/app.js", "/static/app.3f2a9c1.js", "/static/app.3f2a9c1b", "/static/app.3f2a9c1b.js.map",
        "/static/report-20240131.pdf", "/static/app.3F2A9C1B.js", "/static/facade.js", "/static/app_3f2a9c1b.js",
        "/static/photo.19991231.jpg", "/uploads/avatar.3f2a9c1b.png",
    ],
)  # fmt: skip
def test_a_file_without_a_fingerprint_or_elsewhere_stays_as_the_application_says(front, path):
    assert not is_kept(front, path, Answer({"Cache-Control": "no-cache"}))
    assert front.ask(path).control == ["no-cache"]


@pytest.mark.parametrize("status", [404, 302, 403, 500])
def test_a_fingerprinted_name_without_a_file_is_not_kept(front, status):
    assert not is_kept(front, FINGERPRINTED, Answer({"Location": "/login"}, status=status))
    assert front.ask(FINGERPRINTED).control is None
    front.serve(FINGERPRINTED, Answer())
    assert front.ask(FINGERPRINTED).control == [YEAR]


@pytest.mark.parametrize("control", ["private", "no-store", "private, max-age=60"])
def test_a_fingerprinted_file_for_some_only_stays_theirs(front, control):
    assert not is_kept(front, FINGERPRINTED, Answer({"Cache-Control": control}))
    assert front.ask(FINGERPRINTED).control == [control]


def test_a_fingerprinted_file_never_hands_out_a_cookie_nor_what_is_for_a_session(front):
    front.serve(FINGERPRINTED, Answer(cookie="session=ann"))
    assert [front.ask(FINGERPRINTED, **who).headers["Set-Cookie"] for who in ({"Cookie": "a=1"}, {})] == [
        None
    ] * 2
    assert front.times_asked(FINGERPRINTED) == 2
    front.serve(FINGERPRINTED, Answer(body="for Ann"))
    assert front.ask(FINGERPRINTED, Cookie="a=1").control == [YEAR.replace("public", "private")]
    front.serve(FINGERPRINTED, Answer(status=403))
    assert front.ask(FINGERPRINTED).status == 403


# The files themselves.


@pytest.mark.parametrize(
    ("static", "control"),
    [
        (None, "no-cache"),
        (StaticAssets(prefix="assets/v'1.0'", max_age_seconds=60), "public, max-age=60, immutable"),
    ],
    ids=["no static files", "an odd prefix"],
)
def test_without_a_cache_the_worker_passes_everything_on(tmp_path, static, control):
    worker = Worker(tmp_path, contract_with("cloudflare", static=static), cache=False)
    try:
        assert not is_kept(worker, "/page", Answer(PUBLIC))
        worker.serve("/assets/v'1.0'/app.3f2a9c1b.js", Answer({"Cache-Control": "no-cache"}))
        assert worker.ask("/assets/v'1.0'/app.3f2a9c1b.js").control == [control]
    finally:
        worker.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"static": None},
        {"redis": Redis(namespace="1 Shop's")},
        {"static": StaticAssets(prefix='assets/v"1.0"/')},
    ],
    ids=["no static files", "an odd namespace", "an odd prefix"],
)
def test_nginx_takes_the_file_of_any_contract(tmp_path, options):
    command = nginx_with(contract_with("nginx", **options), tmp_path, 8000, free_port())
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and "warn" not in checked.stderr, checked.stderr


@pytest.mark.parametrize(("target", "other"), [(nginx, "cloudflare"), (cloudflare, "nginx")])
def test_a_contract_for_another_gets_no_file(tmp_path, target, other):
    draft = Draft(tmp_path)
    target.target.emit(contract_with(other), NO_EVIDENCE, draft)
    assert draft.changes() == ()
