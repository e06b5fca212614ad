"""Flask endpoints behind the emitted cache: what is served, what is never stored, and what browsers are told."""

import functools
import json

import flask
import pytest
from flask.sessions import SessionInterface, SessionMixin
from flask.views import MethodView

from cache_strategy.emit.targets.runtime.files.flask_http import (
    cached_endpoint,
    current_user_id,
    http_headers,
    metrics_blueprint,
    query_arguments,
)


@pytest.fixture
def app():
    app = flask.Flask("shop")
    app.secret_key = "a secret of this test"

    @app.post("/login/<int:user_id>")
    def login(user_id):
        flask.session["user_id"] = user_id
        return ""

    return app


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def entry(cache):
    return cache.entry("page", ttl_seconds=60, depends_on=("products",))


@pytest.fixture
def serve(app, entry):
    """`serve(view, path, key=…, headers=…)`: a route whose view is cached, below those headers."""

    def serve(view, path="/page", key=None, headers=None, entry=entry, **options):
        served = cached_endpoint(entry, key=key)(view)
        served = http_headers(**headers)(served) if headers else served
        app.add_url_rule(path, f"view{len(app.view_functions)}", served, **options)

    return serve


PUBLIC = {"cache_control": "public, max-age=60"}


class Counter:
    """A view that says how often it ran."""

    def __init__(self):
        self.calls = 0

    def __call__(self, **route):
        self.calls += 1
        return str(self.calls)


@pytest.fixture
def ran():
    view = Counter()
    view.__name__ = "ran"
    return view


# What is served.


@pytest.mark.parametrize(
    "answer",
    [
        lambda: {"price": "1.50"},
        lambda: flask.jsonify([1, 2]),
        lambda: ("with status", 200),
        lambda: "plain text, ünïcödé",
        lambda: b"\x00\xff bytes",
        lambda: ("with headers", {"X-Colour": "red", "Content-Language": "de"}),
        lambda: flask.Response("a response", mimetype="image/svg+xml"),
        lambda: flask.render_template_string("<p>{{ request.path }}</p>"),
    ],
)
def test_a_hit_is_the_answer_of_the_view(client, serve, ran, answer):
    serve(lambda: ran() and answer())
    first, second = client.get("/page"), client.get("/page")
    assert second.data == first.data
    assert list(second.headers) == list(first.headers)
    assert (second.status_code, ran.calls) == (200, 1)


def test_the_key_holds_path_and_query_unless_told_otherwise(client, serve, ran):
    serve(ran, "/products/<int:product_id>")
    asked = [f"/products/{rest}" for rest in ("1", "2", "1?a=1", "1?a=2", "1?a=1&a=2", "1?b=1")]
    for _ in range(2):
        assert [client.get(path).text for path in asked] == ["1", "2", "3", "4", "5", "6"]
    assert client.get("/products/1?b=2&a=1").text == client.get("/products/1?a=1&b=2").text


def test_a_key_function_takes_the_routes_parameters(client, serve, cache, ran):
    entry = cache.entry("product", ttl_seconds=60, depends_on=("products:{product_id}",))
    serve(
        ran,
        "/products/<int:product_id>",
        key=lambda product_id: {"product_id": product_id, "page": query_arguments("page")},
        entry=entry,
    )
    assert client.get("/products/1?page=1&utm_source=mail").text == "1"
    assert client.get("/products/1?page=1&utm_source=feed").text == "1"
    assert client.get("/products/1?page=2").text == "2"
    cache.invalidate(("products", 2))
    assert client.get("/products/1?page=1").text == "1"
    entry.invalidate(product_id=1, page=(("page", ("1",)),))
    assert client.get("/products/1?page=1").text == "3"


def test_what_stands_above_the_cache_runs_every_time_and_what_stands_below_once(app, client, entry, ran):
    def guarded(view):
        return lambda: view() if flask.request.headers.get("Token") == "ok" else flask.abort(401)

    def marshal(view):
        return functools.wraps(view)(lambda: {"name": view().name, "run": ran()})

    class Product:
        name = "hammer"

    app.add_url_rule("/page", "page", guarded(cached_endpoint(entry)(marshal(lambda: Product()))))
    for _ in range(2):
        answer = client.get("/page", headers={"Token": "ok"})
        assert answer.json == {"name": "hammer", "run": "1"}
        assert client.get("/page").status_code == 401


def test_a_class_based_view_is_cached_by_its_method(app, client, entry, ran):
    class Page(MethodView):
        get = cached_endpoint(entry)(lambda self, number: f"{number} {ran()}")

        def post(self, number):
            return "posted"

    app.add_url_rule("/pages/<int:number>", view_func=Page.as_view("page"))
    assert [client.get("/pages/7").text for _ in range(2)] == ["7 1", "7 1"]
    assert client.post("/pages/7").text == "posted"


def test_with_caches_off_the_view_runs_as_it_always_did(make_cache, client, serve, ran):
    off = make_cache(url=None).entry("page", ttl_seconds=60)
    serve(ran, key=lambda: {"never": object()}, headers=PUBLIC, entry=off)
    assert [client.get("/page").text for _ in range(2)] == ["1", "2"]


def test_other_methods_than_get_run_the_view(client, serve, ran):
    serve(ran, headers=PUBLIC, methods=["GET", "POST"])
    assert [client.get("/page").text, client.post("/page").text, client.post("/page").text] == ["1", "2", "3"]
    assert "Cache-Control" not in client.post("/page").headers
    head = client.head("/page")
    assert (head.status_code, head.data) == (200, b"")
    assert client.get("/page").text == "1"


# What is never stored.


def set_session():
    flask.session["seen"] = True
    return "answer"


def set_cookie():
    response = flask.make_response("answer")
    response.set_cookie("seen", "1")
    return response


def flash():
    flask.flash("saved")
    return "answer"


def later():
    @flask.after_this_request
    def mark(response):
        response.headers["X-Mark"] = "1"
        return response

    return "answer"


def stream():
    return flask.Response(iter(["answer"]))


def on_close():
    response = flask.make_response("answer")
    response.call_on_close(lambda: None)
    return response


def send_file():
    return flask.send_file(__file__)


@pytest.mark.parametrize(
    "answer",
    [
        *(set_session, set_cookie, flash, later, stream, on_close, send_file),
        *(lambda: ("answer", {"Cache-Control": "no-store"}), lambda: ("answer", {"Vary": "*"})),
        *(lambda: ("missing", 404), lambda: ("created", 201), lambda: ("", 204)),
        *(lambda: flask.redirect("/"), lambda: flask.abort(404)),
        lambda: flask.session.get("user_id", "nobody"),
    ],
    ids=lambda function: function.__name__,
)
def test_an_answer_for_one_caller_alone_is_not_stored(app, serve, entry, ran, answer):
    serve(lambda: ran() and answer())
    app.add_url_rule("/plain", "plain", answer)
    for _ in range(2):
        cached, uncached = app.test_client().get("/page"), app.test_client().get("/plain")
        assert (cached.status_code, cached.data) == (uncached.status_code, uncached.data)
        assert {name for name, _ in cached.headers} == {name for name, _ in uncached.headers}
    assert ran.calls == 2
    assert entry.counts["stores"] == 0


def test_a_view_that_reads_the_session_is_cached_when_its_key_does_too(app, serve, ran):
    serve(
        lambda: f"{flask.session.get('user_id')} {ran()}",
        key=lambda: {"user": current_user_id()},
        headers=PUBLIC,
    )
    ada, bob, nobody = app.test_client(), app.test_client(), app.test_client()
    ada.post("/login/1")
    bob.post("/login/2")
    for _ in range(2):
        assert [who.get("/page").text for who in (ada, bob, nobody)] == ["1 1", "2 2", "None 3"]
    for client in (ada, bob, nobody):
        answer = client.get("/page")
        assert answer.headers["Cache-Control"] == "private, max-age=60"
        assert "Cookie" in answer.headers["Vary"]


def shown():
    return " ".join(["page", *flask.get_flashed_messages()])


def test_a_page_that_shows_flashed_messages_is_kept_for_those_who_have_none(app, serve, entry, ran):
    serve(lambda: f"{shown()} {ran()}", headers=PUBLIC)
    app.add_url_rule("/plain", "plain", shown)
    app.add_url_rule("/flash", "flash", flash, methods=["POST"])
    ada, bob = app.test_client(), app.test_client()
    ada.post("/flash")

    assert [bob.get("/page").text for _ in range(2)] == ["page 1", "page 1"]
    assert [ada.get("/page").text for _ in range(2)] == ["page saved 2", "page 1"]
    assert (ran.calls, entry.counts["stores"], entry.counts["hits"]) == (2, 1, 2)
    kept, plain = ada.get("/page").headers, ada.get("/plain").headers
    assert kept["Vary"] == plain["Vary"] == "Cookie"
    assert kept["Cache-Control"] == "private, max-age=60"


def test_a_message_that_was_taken_before_the_view_is_shown_by_it(app, serve, ran):
    @app.before_request
    def take():
        if flask.request.path == "/page":
            flask.get_flashed_messages()

    serve(lambda: f"{shown()} {ran()}")
    app.add_url_rule("/flash", "flash", flash, methods=["POST"])
    ada = app.test_client()
    assert [ada.get("/page").text, ada.get("/page").text] == ["page 1", "page 1"]
    ada.post("/flash")
    assert [ada.get("/page").text, ada.get("/page").text] == ["page saved 2", "page 1"]


def test_a_session_changed_before_the_view_is_still_saved(app, client, serve, ran):
    @app.before_request
    def remember():
        flask.session["visits"] = flask.session.get("visits", 0) + 1

    serve(ran)
    app.add_url_rule("/visits", "visits", lambda: str(flask.session["visits"]))
    assert [client.get("/page").text for _ in range(3)] == ["1", "1", "1"]
    assert client.get("/visits").text == "4"


def test_an_application_without_sessions_is_cached(app, client, serve, ran):
    app.secret_key = None  # every use of the session is an error
    serve(ran, headers=PUBLIC)
    assert [client.get("/page").text for _ in range(2)] == ["1", "1"]


def test_in_shadow_mode_the_view_answers_and_a_difference_is_told(
    make_cache, monkeypatch, client, serve, ran
):
    monkeypatch.setenv("CACHE_MODE", "shadow")
    cache, found = make_cache(), []
    cache.listeners.append(lambda event: found.append(event) if event["event"] == "mismatch" else None)
    serve(ran, entry=cache.entry("page", ttl_seconds=60))
    assert [client.get("/page").text for _ in range(2)] == ["1", "2"]
    assert [json.loads(found[0][side])["body"] for side in ("served", "origin")] == ["1", "2"]


# What browsers and proxies are told.


@pytest.fixture
def page(serve):
    """A page whose body and own headers a test may change."""
    content = {"body": "first"}
    serve(
        lambda: (content["body"], {name: value for name, value in content.items() if name != "body"}),
        headers={**PUBLIC, "vary": ("Accept-Language", "Accept")},
    )
    return content


def test_the_headers_say_how_long_and_for_whom_unless_the_view_does(client, page, cache):
    page["Vary"] = "Origin"
    for _ in range(2):
        headers = client.get("/page").headers
        assert headers["Cache-Control"] == "public, max-age=60"
        assert headers["Vary"] == "Origin, Accept-Language, Accept"
        assert headers["ETag"].startswith('"')
    page.update({"Cache-Control": "private, max-age=1", "ETag": '"mine"'})
    cache.invalidate("products")
    headers = client.get("/page").headers
    assert (headers["Cache-Control"], headers["ETag"]) == ("private, max-age=1", '"mine"')


def test_who_has_the_answer_gets_304_until_it_changes(client, page, cache):
    etag = client.get("/page").headers["ETag"]
    for condition in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.get("/page", headers={"If-None-Match": condition})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "public, max-age=60"
        assert "Accept-Language" in answer.headers["Vary"]
    assert client.get("/page", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.head("/page", headers={"If-None-Match": etag}).status_code == 304
    page["body"] = "second"
    cache.invalidate("products")
    answer = client.get("/page", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.text) == (200, "second")
    assert answer.headers["ETag"] != etag


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        ("public, max-age=60, s-maxage=600", "private, max-age=60"),
        ("public, max-age=60", "private, max-age=60"),
        ("max-age=60", "private, max-age=60"),
        ("private, no-cache", "private, no-cache"),
        ("no-store", "no-store"),
        ("", "private"),
    ],
)
@pytest.mark.parametrize("answer", [set_session, set_cookie, lambda: str(flask.session.get("user_id"))])
def test_what_depends_on_a_user_is_never_public(app, client, said, becomes, answer):
    app.add_url_rule("/page", view_func=http_headers(said)(answer))
    assert client.get("/page").headers["Cache-Control"] == becomes


def test_errors_and_streams_get_no_headers_that_keep_them(app, client):
    keep = http_headers("public, max-age=60", vary=("Accept",))
    app.add_url_rule("/missing", "missing", keep(lambda: ("missing", 404)))
    app.add_url_rule("/stream", "stream", keep(lambda: stream()))
    missing, streamed = client.get("/missing").headers, client.get("/stream")
    assert (missing.get("Cache-Control"), missing["Vary"]) == (None, "Accept")
    assert ("ETag" in streamed.headers, streamed.text) == (False, "answer")


# What the caches do.


def test_the_metrics_are_json_or_prometheus_text(app, client, page, cache):
    app.register_blueprint(metrics_blueprint(cache))
    elsewhere = metrics_blueprint(cache, route="/internal/caches")
    app.register_blueprint(elsewhere, name="elsewhere", url_prefix="/v1")
    assert client.get("/v1/internal/caches").status_code == 200
    client.get("/page"), client.get("/page")
    answer = client.get("/metrics/cache")
    assert (answer.json["mode"], answer.json["redis_up"]) == ("on", 1)
    assert (answer.json["entries"]["page"]["hits"], answer.json["entries"]["page"]["misses"]) == (1, 1)
    assert answer.headers["Cache-Control"] == "no-store"
    for query, accept in (("?format=prometheus", "*/*"), ("", "text/plain")):
        text = client.get(f"/metrics/cache{query}", headers={"Accept": accept})
        assert text.mimetype == "text/plain"
        assert 'cache_hits_total{entry="page"} 1\n' in text.text
    assert client.get("/metrics/cache?format=json", headers={"Accept": "text/plain"}).is_json
    assert client.get("/metrics/cache", headers={"Accept": "*/*"}).is_json


def test_a_key_that_cannot_be_stored_breaks_no_page(make_cache, client, serve):
    entry = make_cache(strict=False).entry("page", ttl_seconds=60)
    serve(
        lambda status: ("answer", status),
        "/page/<int:status>",
        key=lambda status: {"strange": object()},
        entry=entry,
    )
    with pytest.warns(RuntimeWarning, match="cannot be part of a key"):
        assert [client.get(f"/page/{status}").status_code for status in (200, 404, 200)] == [200, 404, 200]


def test_a_get_with_a_body_goes_past_the_cache(client, serve, ran):
    """Argument parsers read the body of a GET as well; no key holds it."""
    serve(lambda: f"{ran()} {(flask.request.get_json(silent=True) or {}).get('tag', '')}")
    assert client.get("/page").text == "1 "
    assert client.get("/page", json={"tag": "x"}).text == "2 x"
    assert client.get("/page").text == "1 "


class PlainSession(dict, SessionMixin):
    """A session that notes neither reads nor changes, as server-side sessions of extensions often do."""


class PlainSessions(SessionInterface):
    def open_session(self, app, request):
        return PlainSession(name=request.headers.get("X-Name", ""), id=7)

    def save_session(self, app, session, response):
        pass


@pytest.mark.parametrize("look", [lambda s: s["name"], lambda s: s.get("name"), lambda s: dict(s)["name"]])
@pytest.mark.parametrize("key", [None, lambda: {"id": flask.session.get("id")}])
def test_a_key_allows_no_field_of_the_session_that_it_does_not_hold(app, client, serve, ran, look, key):
    """Whether the session notes its reads or not."""
    app.session_interface = PlainSessions()
    serve(lambda: f"{look(flask.session)} {ran()}", key=key, headers=PUBLIC)
    serve(lambda: f"{flask.session['id']} {ran()}", "/held", key=lambda: {"held": flask.session.get("id")})
    answers = [client.get("/page", headers={"X-Name": name}) for name in ("Ann", "Bob")]
    assert [answer.text.split()[0] for answer in answers] == ["Ann", "Bob"]
    assert all("public" not in answer.headers["Cache-Control"] for answer in answers)
    assert client.get("/held").text == client.get("/held").text


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "private", "Vary": "X-Tenant"},
        {"Cache-Control": "max-age=9, Private"},
        {"Vary": "Accept, X-Tenant"},
        {"Vary": "Cookie"},
    ],
)
def test_what_a_view_reserves_is_for_nobody_else(client, serve, entry, headers):
    serve(lambda: (flask.request.headers["X-Tenant"], headers), headers=PUBLIC)
    for tenant in ("a", "b", "a"):
        assert client.get("/page", headers={"X-Tenant": tenant}).text == tenant
    assert entry.counts["stores"] == 0


def test_vary_on_cookies_is_kept_where_the_key_tells_who_asks(client, serve, entry):
    serve(
        lambda: (str(flask.session["user_id"]), {"Vary": "Cookie, Accept"}),
        key=lambda: {"user": current_user_id()},
        headers={"cache_control": "private, max-age=60", "vary": ["Origin"]},
    )
    for user in (1, 2, 1, 2):
        client.post(f"/login/{user}")
        assert client.get("/page").text == str(user)
    assert entry.counts["hits"] == 2
