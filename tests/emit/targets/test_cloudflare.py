"""The emitted Worker in Node, with real requests to a real application; Cloudflare's own cache has a stand-in."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web_origin import Answer, Origin, contract_with, no_evidence

from cache_strategy.emit.draft import Draft
from cache_strategy.emit.targets import cloudflare as target
from cache_strategy.model.contract import Contract, StaticAssets

DOOR = Path(__file__).with_name("worker_door.mjs")
YEAR = "public, max-age=31536000, immutable"
PUBLIC = {"Cache-Control": "public, max-age=300"}


def emitted(contract: Contract, repo: Path) -> str:
    draft = Draft(repo)
    target.emit(contract, no_evidence(), draft)
    (change,) = draft.changes()
    assert change.path == target.PATH
    return change.after


class Worker:
    """The Worker in a process of Node, in front of an application."""

    def __init__(self, folder: Path, contract: Contract, *, cache: bool) -> None:
        node = shutil.which("node")
        assert node, "node is not on PATH. Install Node 18 or newer"
        self.origin = Origin()
        file = folder / "worker.mjs"
        file.write_text(emitted(contract, folder))
        place = f"http://127.0.0.1:{self.origin.port}"
        self._process = subprocess.Popen(
            [node, str(DOOR), str(file), place, *(["cache"] if cache else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, path: str, method: str = "GET", **headers: str) -> "Response":
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        print(
            json.dumps({"method": method, "path": path, "headers": named}),
            file=self._process.stdin,
            flush=True,
        )
        line = self._process.stdout.readline()
        assert line, "the Worker failed; Node says why above"
        return Response(json.loads(line))

    def stop(self) -> None:
        self._process.communicate(timeout=20)
        self.origin.stop()


class Response:
    """What a client of the Worker got, and how many answers it put into the cache for that."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.status: int = answer["status"]
        self.body: str = answer["body"]
        self.stored: int = answer["stored"]
        self.headers: dict[str, str] = dict(answer["headers"])


@pytest.fixture(scope="module")
def running_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("worker"), contract_with("cloudflare"), cache=True)
    yield worker
    worker.stop()


@pytest.fixture
def worker(running_worker: Worker) -> Worker:
    """The Worker and an application without answers; each test has paths of its own."""
    running_worker.origin.answers.clear()
    running_worker.origin.asked.clear()
    return running_worker


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    return "/" + "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.mark.parametrize(
    "control", ["public, max-age=300", "max-age=300,public", "s-maxage=300, max-age=0", "Public, Max-Age=300"]
)
def test_a_public_answer_is_kept(worker, path, control):
    worker.origin.answers[path] = Answer({"Cache-Control": control, "Vary": "Accept-Encoding"})
    first, second = worker.ask(path), worker.ask(path)
    assert (first.body, first.stored) == (second.body, 1)
    assert worker.origin.times_asked(path) == 1


@pytest.mark.parametrize(
    "control",
    [
        "private", "private, max-age=300", "public, private, max-age=300", "no-cache", "public, no-cache, max-age=300",
        "no-store", "max-age=300", "public", "public, max-age=0", "public, max-age=300, s-maxage=0",
        "x-public, max-age=300", 'private="Set-Cookie", public, max-age=300', "",
    ],
)  # fmt: skip
def test_an_answer_that_is_not_public_or_has_no_life_is_never_kept(worker, path, control):
    worker.origin.answers[path] = Answer({"Cache-Control": control} if control else {})
    assert [worker.ask(path).stored for _ in range(2)] == [0, 0]
    assert worker.origin.times_asked(path) == 2


@pytest.mark.parametrize("status", [201, 206, 302, 404, 500, 503])
def test_only_a_whole_good_answer_is_kept(worker, path, status):
    worker.origin.answers[path] = Answer({**PUBLIC, "Location": "/"}, status=status)
    answers = [worker.ask(path) for _ in range(2)]
    assert [(r.status, r.stored) for r in answers] == [(status, 0)] * 2


def test_an_answer_that_sets_a_cookie_is_never_kept(worker, path):
    worker.origin.answers[path] = Answer(PUBLIC, more_headers=(("Set-Cookie", "session=ann"),))
    assert [worker.ask(path).headers.get("set-cookie") for _ in range(2)] == ["session=ann"] * 2
    worker.origin.answers[path] = Answer(PUBLIC)
    assert "set-cookie" not in worker.ask(path).headers


@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
def test_a_request_with_a_session_or_a_token_is_neither_kept_nor_served_from_the_cache(worker, path, header):
    worker.origin.answers[path] = Answer(PUBLIC)
    personal, everyones = worker.ask(path, **{header: "ann"}), worker.ask(path)
    again = worker.ask(path, **{header: "ann"})
    assert len({personal.body, everyones.body, again.body}) == 3
    assert worker.ask(path).body == everyones.body
    assert [asked.headers[header] for asked in worker.origin.asked] == ["ann", None, "ann"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_other_methods_reach_the_application_each_time(worker, path, method):
    worker.origin.answers[path] = Answer(PUBLIC)
    answers = [worker.ask(path, m) for m in ("GET", method, method, "GET")]
    assert [r.stored for r in answers] == [1, 0, 0, 0]
    assert [asked.method for asked in worker.origin.asked] == ["GET", method, method]


@pytest.mark.parametrize("vary", ["Accept-Language", "Accept-Encoding, Cookie", "*"])
def test_what_varies_is_not_kept_because_the_worker_cannot_tell_it_apart(worker, path, vary):
    worker.origin.answers[path] = Answer({**PUBLIC, "Vary": vary})
    assert worker.ask(path, Accept_Language="de").body != worker.ask(path, Accept_Language="en").body


def test_query_arguments_have_answers_of_their_own(worker, path):
    for query in ("?a=1", "?a=2"):
        worker.origin.answers[path + query] = Answer(PUBLIC)
    assert len({worker.ask(path + query).body for query in ("?a=1", "?a=2", "?a=1", "?a=2")}) == 2


def test_a_client_that_has_the_answer_gets_304_from_the_cache_or_the_application(worker, path):
    worker.origin.answers[path] = Answer({**PUBLIC, "ETag": '"v1"'})
    assert [worker.ask(path, If_None_Match='"v1"').status for _ in range(2)] == [304, 304]
    assert worker.origin.times_asked(path) == 2
    assert worker.ask(path).status == 200
    assert worker.ask(path, If_None_Match='"v1"').status == 304
    assert worker.origin.times_asked(path) == 3


# Static files.


@pytest.fixture
def static(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A path under /static/ of a folder that no other test has."""
    return lambda name: f"/static/{request.node.originalname}/{name}"


@pytest.mark.parametrize("name", ["app.3f2a9c1b.js", "app-3f2a9c1b0d.css", "icon.48133844.svg"])
def test_a_fingerprinted_file_may_be_kept_for_a_year(worker, static, name):
    path = static(name)
    worker.origin.answers[path] = Answer({"Cache-Control": "no-cache"})
    assert [worker.ask(path).headers["cache-control"] for _ in range(2)] == [YEAR, YEAR]
    assert worker.origin.times_asked(path) == 1
    assert worker.ask(path, "HEAD").headers["cache-control"] == YEAR


@pytest.mark.parametrize(
    "name", ["app.js", "app.3f2a9c1.js", "app.3f2a9c1b.js.map", "report-20240131.pdf", "app_3f2a9c1b.js"]
)
def test_a_file_without_a_fingerprint_stays_as_the_application_says(worker, static, name):
    path = static(name)
    worker.origin.answers[path] = Answer({"Cache-Control": "no-cache"})
    assert [worker.ask(path).headers["cache-control"] for _ in range(2)] == ["no-cache"] * 2
    assert worker.origin.times_asked(path) == 2


@pytest.mark.parametrize("status", [404, 302, 403, 500])
def test_a_fingerprinted_name_without_a_file_is_not_kept(worker, static, status):
    path = static(f"app.3f2a9c1b{status}.js")
    worker.origin.answers[path] = Answer({"Location": "/login"}, status=status)
    missing = [worker.ask(path) for _ in range(2)]
    assert [(r.status, r.stored, "cache-control" in r.headers) for r in missing] == [(status, 0, False)] * 2
    worker.origin.answers[path] = Answer()
    assert worker.ask(path).headers["cache-control"] == YEAR


def test_a_fingerprinted_file_never_hands_out_a_cookie(worker, static):
    path = static("app.3f2a9c1b.js")
    worker.origin.answers[path] = Answer(more_headers=(("Set-Cookie", "session=ann"),))
    answers = [worker.ask(path, Cookie="session=ann"), worker.ask(path), worker.ask(path)]
    assert [("set-cookie" in r.headers, r.stored) for r in answers] == [(False, 0)] * 3


@pytest.mark.parametrize("control", ["private", "no-store", "private, max-age=60"])
def test_a_fingerprinted_file_for_some_only_stays_theirs(worker, static, control):
    path = static(f"{len(control)}.3f2a9c1b.js")
    worker.origin.answers[path] = Answer({"Cache-Control": control})
    answers = [worker.ask(path) for _ in range(2)]
    assert [(r.headers["cache-control"], r.stored) for r in answers] == [(control, 0)] * 2


def test_a_fingerprinted_file_for_a_session_is_not_given_to_others(worker, static):
    path = static("app.3f2a9c1b.js")
    worker.origin.answers[path] = Answer(body="for Ann")
    theirs = worker.ask(path, Cookie="session=ann")
    assert theirs.headers["cache-control"] == YEAR.replace("public", "private")
    worker.origin.answers[path] = Answer(status=403)
    assert worker.ask(path).status == 403


# The module itself.


@pytest.mark.parametrize(
    "contract",
    [
        contract_with("cloudflare"),
        contract_with("cloudflare", static=None),
        contract_with("cloudflare", static=StaticAssets(prefix="assets/v'1.0'", max_age_seconds=60)),
    ],
    ids=["static files", "no static files", "an odd prefix"],
)
def test_without_a_cache_the_worker_passes_everything_on(tmp_path, contract):
    worker = Worker(tmp_path, contract, cache=False)
    try:
        worker.origin.answers["/page"] = Answer(PUBLIC)
        assert worker.ask("/page").body != worker.ask("/page").body
        path = "/assets/v'1.0'/app.3f2a9c1b.js"
        worker.origin.answers[path] = Answer({"Cache-Control": "no-cache"})
        is_odd = (
            contract.infrastructure.static is not None and contract.infrastructure.static.prefix[:1] == "a"
        )
        expected = "public, max-age=60, immutable" if is_odd else "no-cache"
        assert worker.ask(path).headers["cache-control"] == expected
    finally:
        worker.stop()


def test_a_contract_without_cloudflare_gets_no_file(tmp_path):
    draft = Draft(tmp_path)
    target.emit(contract_with("nginx"), no_evidence(), draft)
    assert draft.changes() == ()
