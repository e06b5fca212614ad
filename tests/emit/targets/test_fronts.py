"""The emitted nginx file and the emitted Worker before a real application: what they keep, and for whom."""

import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest
from web_front import Front, Nginx, Response, Worker, nginx_binary, set_up_nginx
from web_origin import Answer, contract_with, eventually, no_evidence

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import cloudflare, nginx
from cache_strategy.model.contract import StaticAssets
from servers import free_port

YEAR = "public, max-age=31536000, immutable"
PUBLIC = {"Cache-Control": "public, max-age=300"}
FRONTS = ("nginx", "cloudflare")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    fronts = {
        "nginx": Nginx(tmp_path_factory.mktemp("nginx"), contract_with("nginx")),
        "cloudflare": Worker(tmp_path_factory.mktemp("worker"), contract_with("cloudflare")),
    }
    yield fronts
    for front in fronts.values():
        front.stop()


@pytest.fixture(params=FRONTS)
def front(running: dict[str, Front], request: pytest.FixtureRequest) -> Front:
    """With no answers and no memory of who asked; each test has paths of its own."""
    found = running[request.param]
    found.origin.answers.clear()
    found.origin.asked.clear()
    found.origin.before = lambda asked: None
    return found


only_nginx = pytest.mark.parametrize("front", ["nginx"], indirect=True)
only_worker = pytest.mark.parametrize("front", ["cloudflare"], indirect=True)


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    return "/" + "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.fixture
def static(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A path under /static/ of a folder that no other test has."""
    return lambda name: f"/static/{request.node.originalname}/{name}"


# What is kept.


@pytest.mark.parametrize(
    "control", ["public, max-age=300", "max-age=300,public", "s-maxage=300", "Public, Max-Age=300"]
)
def test_a_public_answer_is_kept(front, path, control):
    front.origin.answers[path] = Answer({"Cache-Control": control, "Vary": "Accept-Encoding"})
    first, second = front.ask(path), front.ask(path)
    assert (first.body, front.origin.times_asked(path)) == (second.body, 1)
    assert second.control == [control]
    if isinstance(front, Nginx):
        assert [r.headers["X-Cache-Status"] for r in (first, second)] == ["MISS", "HIT"]


@pytest.mark.parametrize(
    "control",
    [
        "private", "private, max-age=300", "public, private, max-age=300", "no-cache", "public, no-cache, max-age=300",
        "no-store", "max-age=300", "public", "public, max-age=0", "public, max-age=300, s-maxage=0",
        "x-public, max-age=300", 'private="Set-Cookie", public, max-age=300', "",
    ],
)  # fmt: skip
def test_an_answer_that_is_not_public_or_has_no_life_is_never_kept(front, path, control):
    front.origin.answers[path] = Answer({"Cache-Control": control} if control else {})
    answers = {front.ask(path).body for _ in range(3)}
    assert (len(answers), front.origin.times_asked(path)) == (3, 3)


@pytest.mark.parametrize("status", [201, 206, 302, 404, 500, 503])
def test_only_a_whole_good_answer_is_kept(front, path, status):
    front.origin.answers[path] = Answer({**PUBLIC, "Location": "/"}, status=status)
    assert [front.ask(path).status for _ in range(2)] == [status, status]
    assert front.origin.times_asked(path) == 2


def test_an_answer_that_sets_a_cookie_is_never_kept(front, path):
    front.origin.answers[path] = Answer(PUBLIC, more_headers=(("Set-Cookie", "session=ann"),))
    assert [front.ask(path).headers["Set-Cookie"] for _ in range(2)] == ["session=ann"] * 2
    front.origin.answers[path] = Answer(PUBLIC)
    assert front.ask(path).headers["Set-Cookie"] is None
    assert front.origin.times_asked(path) == 3


@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
def test_a_request_with_a_session_or_a_token_is_neither_kept_nor_served_from_the_cache(front, path, header):
    front.origin.answers[path] = Answer(PUBLIC)
    personal, everyones = front.ask(path, **{header: "ann"}), front.ask(path)
    again = front.ask(path, **{header: "ann"})
    assert len({personal.body, everyones.body, again.body}) == 3
    assert front.ask(path).body == everyones.body
    assert [asked.headers[header] for asked in front.origin.asked] == ["ann", None, "ann"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_reaches_the_application_each_time(front, path, method):
    front.origin.answers[path] = Answer(PUBLIC)
    assert len({front.ask(path, m).body for m in ("GET", method, method)}) == 3
    assert [asked.method for asked in front.origin.asked] == ["GET", method, method]


def test_a_request_for_the_head_alone_gets_no_body_and_spoils_nothing(front, path):
    front.origin.answers[path] = Answer(PUBLIC, body="whole")
    head, whole = front.ask(path, "HEAD"), front.ask(path)
    assert (head.body, whole.body) == ("", "whole")
    assert head.headers["Content-Length"] == "5"


def test_query_arguments_have_answers_of_their_own(front, path):
    for query in ("?a=1", "?a=2"):
        front.origin.answers[path + query] = Answer(PUBLIC)
    assert len({front.ask(path + query).body for query in ("?a=1", "?a=2", "?a=1", "?a=2")}) == 2


@only_nginx
def test_hosts_have_answers_of_their_own(front, path):
    front.origin.answers[path] = Answer(PUBLIC)
    assert len({front.ask(path, Host=host).body for host in ("shop", "other", "shop")}) == 2


@only_nginx
def test_what_a_client_claims_about_the_host_does_not_reach_the_application(front, path):
    front.origin.answers[path] = Answer(PUBLIC)
    claims = {"X_Forwarded_Host": "evil", "X_Forwarded_Prefix": "/evil", "X_Forwarded_Port": "666"}
    front.ask(path, Host="shop:666", Forwarded="host=evil", **claims)
    (asked,) = front.origin.asked
    assert asked.headers["Host"] == asked.headers["X-Forwarded-Host"] == "shop"
    assert [asked.headers[n] for n in ("X-Forwarded-Prefix", "X-Forwarded-Port", "Forwarded")] == [None] * 3


@pytest.mark.parametrize("vary", ["Accept-Language, Accept", "Accept-Encoding, Accept-Language", "*"])
def test_an_answer_that_varies_is_never_given_to_another(front, path, vary):
    """nginx keeps one for each; the Worker cannot tell them apart and keeps none. `*` is never kept."""
    front.origin.answers[path] = Answer({**PUBLIC, "Vary": vary})
    german, english = (front.ask(path, Accept_Language=tongue).body for tongue in ("de", "en"))
    assert german != english
    again = [front.ask(path, Accept_Language=tongue).body for tongue in ("de", "en")]
    kept = isinstance(front, Nginx) and vary != "*"
    assert (again == [german, english], front.origin.times_asked(path)) == (kept, 2 if kept else 4)


# Validators.


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
def test_a_client_that_has_the_kept_answer_gets_304(front, path, etag):
    front.origin.answers[path] = Answer({**PUBLIC, "ETag": etag})
    assert front.ask(path).status == 200
    again = front.ask(path, If_None_Match=etag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, "", etag)
    assert front.ask(path, If_None_Match='"v0"').status == 200
    assert front.origin.times_asked(path) == 1


def test_a_304_for_one_client_is_not_kept_for_others(front, path):
    front.origin.answers[path] = Answer({**PUBLIC, "ETag": '"v1"'})
    assert [front.ask(path, If_None_Match='"v1"').status for _ in range(2)] == [304, 304]
    assert [front.ask(path).status for _ in range(2)] == [200, 200]
    assert front.origin.times_asked(path) == 3


@pytest.mark.parametrize(
    ("control", "personal"),
    [("public, no-cache", {}), ("private, no-cache", {}), ("private, no-cache", {"Cookie": "s=ann"})],
)
def test_the_application_answers_304_for_what_is_not_kept(front, path, control, personal):
    front.origin.answers[path] = Answer({"Cache-Control": control, "ETag": '"v1"'})
    assert front.ask(path, **personal).status == 200
    assert front.ask(path, If_None_Match='"v1"', **personal).status == 304
    assert [asked.headers["If-None-Match"] for asked in front.origin.asked] == [None, '"v1"']


def expired(front: Front, path: str, renewed: str, **headers: str) -> Response:
    """Asks until the kept answer is too old; the answer that renews it."""

    def renewal() -> Response | None:
        response = front.ask(path, **headers)
        return response if response.headers["X-Cache-Status"] == renewed else None

    found = eventually(renewal)
    assert found is not None
    return found


@only_nginx
def test_an_old_answer_is_renewed_without_being_sent_again(front, path):
    front.origin.answers[path] = Answer({"Cache-Control": "public, max-age=1", "ETag": '"v1"'})
    first = front.ask(path)
    assert expired(front, path, "REVALIDATED").body == first.body
    assert front.origin.asked[-1].headers["If-None-Match"] == '"v1"'


@only_nginx
def test_a_client_with_the_new_answer_does_not_make_an_old_one_new(front, path):
    """The application knows the client's validator, not the kept answer's."""
    front.origin.answers[path] = Answer({"Cache-Control": "public, max-age=1"}, body="old")
    assert front.ask(path).body == "old"
    front.origin.answers[path] = Answer({"Cache-Control": "public, max-age=1", "ETag": '"v2"'}, body="new")
    assert expired(front, path, "EXPIRED", If_None_Match='"v2"').status == 304
    assert front.ask(path).body == "new"


@only_nginx
def test_browsers_count_the_age_from_when_the_application_answered(front, path):
    moment = "Mon, 01 Jan 2024 10:00:00 GMT"
    front.origin.answers[path] = Answer({**PUBLIC, "Date": moment})
    assert [front.ask(path).headers["Date"] for _ in range(2)] == [moment, moment]


@only_nginx
def test_answers_that_cannot_be_shared_are_not_waited_for(front, path):
    """Both requests are with the application at once: neither gets its answer before the other has asked."""
    both = threading.Barrier(2, timeout=4)
    front.origin.before = lambda asked: both.wait() and None
    front.origin.answers[path] = Answer({"Cache-Control": "public, no-cache"})
    statuses: list[int] = []
    clients = [threading.Thread(target=lambda: statuses.append(front.ask(path).status)) for _ in range(2)]
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
def test_a_fingerprinted_file_may_be_kept_for_a_year(front, static, name):
    path = static(name)
    front.origin.answers[path] = Answer({"Cache-Control": "no-cache", "ETag": '"f"'})
    assert [front.ask(path).control for _ in range(2)] == [[YEAR], [YEAR]]
    assert front.origin.times_asked(path) == 1
    known = front.ask(path, If_None_Match='"f"')
    assert (known.status, known.control) == (304, [YEAR])
    assert front.ask(path, "HEAD").control == [YEAR]


@pytest.mark.parametrize(
    "path",
    [
        "/static/app.js", "/static/app.3f2a9c1.js", "/static/app.3f2a9c1b", "/static/app.3f2a9c1b.js.map",
        "/static/report-20240131.pdf", "/static/app.3F2A9C1B.js", "/static/facade.js", "/static/app_3f2a9c1b.js",
        "/static/photo.19991231.jpg", "/uploads/avatar.3f2a9c1b.png",
    ],
)  # fmt: skip
def test_a_file_without_a_fingerprint_or_elsewhere_stays_as_the_application_says(front, path):
    front.origin.answers[path] = Answer({"Cache-Control": "no-cache"})
    assert [front.ask(path).control for _ in range(2)] == [["no-cache"]] * 2
    assert front.origin.times_asked(path) == 2


@pytest.mark.parametrize("status", [404, 302, 403, 500])
def test_a_fingerprinted_name_without_a_file_is_not_kept(front, static, status):
    path = static(f"app.3f2a9c1b{status}.js")
    front.origin.answers[path] = Answer({"Location": "/login"}, status=status)
    missing = [front.ask(path) for _ in range(2)]
    assert [(r.status, r.control) for r in missing] == [(status, None)] * 2
    front.origin.answers[path] = Answer()
    assert front.ask(path).control == [YEAR]


def test_a_fingerprinted_file_never_hands_out_a_cookie(front, static):
    path = static("app.3f2a9c1b.js")
    front.origin.answers[path] = Answer(more_headers=(("Set-Cookie", "session=ann"),))
    answers = [front.ask(path, Cookie="session=ann"), front.ask(path), front.ask(path)]
    assert [r.headers["Set-Cookie"] for r in answers] == [None] * 3
    assert front.origin.times_asked(path) == 3


@pytest.mark.parametrize("control", ["private", "no-store", "private, max-age=60"])
def test_a_fingerprinted_file_for_some_only_stays_theirs(front, static, control):
    path = static(f"{len(control)}.3f2a9c1b.js")
    front.origin.answers[path] = Answer({"Cache-Control": control})
    assert [front.ask(path).control for _ in range(2)] == [[control]] * 2
    assert front.origin.times_asked(path) == 2


def test_a_fingerprinted_file_for_a_session_is_not_given_to_others(front, static):
    path = static("app.3f2a9c1b.js")
    front.origin.answers[path] = Answer(body="for Ann")
    assert front.ask(path, Cookie="session=ann").control == [YEAR.replace("public", "private")]
    front.origin.answers[path] = Answer(status=403)
    assert front.ask(path).status == 403


# The files themselves.


@only_worker
def test_the_worker_stores_an_answer_once_and_nothing_for_other_methods(front, path):
    front.origin.answers[path] = Answer(PUBLIC)
    stored = []
    for method in ("HEAD", "POST", "GET", "GET"):
        front.ask(path, method)
        stored.append(front.stored)
    assert stored == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("static", "control"),
    [
        (StaticAssets(), "no-cache"),
        (None, "no-cache"),
        (StaticAssets(prefix="assets/v'1.0'", max_age_seconds=60), "public, max-age=60, immutable"),
    ],
    ids=["static files", "no static files", "an odd prefix"],
)
def test_without_a_cache_the_worker_passes_everything_on(tmp_path, static, control):
    worker = Worker(tmp_path, contract_with("cloudflare", static=static), cache=False)
    try:
        worker.origin.answers["/page"] = Answer(PUBLIC)
        assert worker.ask("/page").body != worker.ask("/page").body
        path = "/assets/v'1.0'/app.3f2a9c1b.js"
        worker.origin.answers[path] = Answer({"Cache-Control": "no-cache"})
        assert worker.ask(path).control == [control]
    finally:
        worker.stop()


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
    main = set_up_nginx(contract, tmp_path, 8000, free_port())
    command = [nginx_binary(), "-t", "-p", str(tmp_path), "-c", str(main)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr


@pytest.mark.parametrize(("target", "other"), [(nginx, "cloudflare"), (cloudflare, "nginx")])
def test_a_contract_for_another_gets_no_file(tmp_path, target, other):
    draft = Draft(tmp_path)
    target.target.emit(contract_with(other), no_evidence(), draft)
    assert draft.changes() == ()
