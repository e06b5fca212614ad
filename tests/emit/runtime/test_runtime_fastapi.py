"""Which answers of FastAPI are kept, and for whom; what open transactions of AsyncSession may store."""

import asyncio
import datetime
import decimal
import enum
import importlib.util
import inspect
import itertools
import sys
import uuid
from dataclasses import dataclass
from typing import Annotated

import pytest
from fastapi import APIRouter, BackgroundTasks, Cookie, Depends, FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field, SecretStr
from runtime_scene import WATCHED, Product
from sqlalchemy import create_engine, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from cache_strategy.emit import runtime_source
from cache_strategy.emit.targets.runtime.files import asyncio_events
from cache_strategy.emit.targets.runtime.files.fastapi_http import (
    RequestScope,
    add_metrics,
    cached_endpoint,
    http_headers,
)


@pytest.fixture(scope="module")
def async_runtime(tmp_path_factory):
    """The runtime for coroutines, as `emit` writes it."""
    file = tmp_path_factory.mktemp("runtime") / "async_runtime.py"
    file.write_text(runtime_source(is_async=True))
    spec = importlib.util.spec_from_file_location("async_runtime_of_fastapi", file)
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]


@pytest.fixture
def async_cache(async_runtime, redis_url):
    return async_runtime.Cache(redis_url, "shop", budget_ms=5000)


@pytest.fixture(params=["async", "plain"])
def entry(request, cache, async_cache):
    cache = async_cache if request.param == "async" else cache
    return cache.entry("page", ttl_seconds=600, depends_on=("products",))


@pytest.fixture
def calls():
    return itertools.count(1)


@pytest.fixture
def get(entry, calls):
    """`get(path, …)`: a request to an application whose every endpoint is kept by the one entry, async or not as it is."""
    app = FastAPI()
    kept = cached_endpoint(entry)
    is_async = type(entry.cache).__module__ == "async_runtime_of_fastapi"

    def add(path, endpoint, **options):
        if is_async:

            async def coroutine(*args, **values):
                return endpoint(*args, **values)

            coroutine.__signature__ = inspect.signature(endpoint)
            coroutine.__name__ = endpoint.__name__
            app.get(path, **options)(kept(coroutine))
        else:
            app.get(path, **options)(kept(endpoint))

    def secret(x: Annotated[str, Header()] = "s"):
        return Secret(x=SecretStr(x))

    def attached(request: Request):
        request.state.tenant = request.headers.get("x-tenant")

    def responding(response: Response):
        response.headers["X-From"] = "dependency"

    def item(
        item_id: int, q: str = "", a: Annotated[str | None, Header()] = None, b: str = Cookie(default="")
    ) -> Out:
        return {"n": next(calls), "left_out": 1}

    def with_tasks(tasks: BackgroundTasks):
        return next(calls)

    def with_response(response: Response):
        return next(calls)

    def cookie():
        answer = Response(str(next(calls)))
        answer.set_cookie("a", "b")
        return answer

    def streamed():
        return StreamingResponse(iter([str(next(calls))]))

    def not_found():
        return Response(str(next(calls)), status_code=404)

    def hidden(value: Annotated[Secret, Depends(secret)]):
        return next(calls)

    def tenant(value: Annotated[None, Depends(attached)]):
        return next(calls)

    def header(value: Annotated[None, Depends(responding)]):
        return next(calls)

    def text() -> Response:
        return Response(f"<p>{next(calls)}</p>", media_type="text/html", headers={"X-Kind": "p"})

    add("/items/{item_id}", item)
    for endpoint in (with_tasks, with_response, cookie, streamed, not_found, hidden, tenant, header, text):
        add("/" + endpoint.__name__, endpoint)
    app.router.generate_unique_id_function = lambda route: route.tags[0]
    add_metrics(app, "/metrics/cache", entry.cache)
    with TestClient(app) as client:
        yield client.get


class Out(BaseModel):
    n: int


class Secret(BaseModel):
    x: SecretStr


def test_a_second_reader_gets_the_very_same_answer(get):
    for path, body in (("/items/1", '{"n":1}'), ("/text", "<p>2</p>")):
        first, second = get(path), get(path)
        assert first.text == second.text == body
        assert first.headers == second.headers
    assert get("/items/1").headers["content-type"] == "application/json"
    assert get("/metrics/cache").json()["entries"]["page"]["stores"] == 2


@pytest.mark.parametrize(
    ("path", "one", "two"),
    [
        ("/items/1", {"params": {"q": "a"}}, {"params": {"q": "b"}}),
        ("/items/1", {"headers": {"a": "1"}}, {"headers": {"a": "2"}}),
        ("/items/1", {"headers": {"cookie": "b=1"}}, {"headers": {"cookie": "b=2"}}),
        ("/items/1", {}, {"headers": {"host": "b.example"}}),
        ("/tenant", {"headers": {"x-tenant": "a"}}, {"headers": {"x-tenant": "b"}}),
    ],
)
def test_what_differs_has_its_own_answer(get, path, one, two):
    answers = [get(path, **options).text for options in (one, two, one, two)]
    assert answers[:2] == answers[2:]
    assert answers[0] != answers[1]


@pytest.mark.parametrize(
    "path", ["with_tasks", "with_response", "cookie", "streamed", "not_found", "hidden", "header"]
)
def test_an_answer_for_one_is_given_and_not_kept(get, path):
    assert get("/" + path).text != get("/" + path).text


def test_what_cannot_be_asked_for_is_an_error_as_before(get):
    assert get("/items/x").status_code == 422


def test_the_documentation_shows_the_endpoint_as_it_is(entry):
    app = FastAPI()
    if type(entry.cache).__module__ == "async_runtime_of_fastapi":

        @app.get("/{key}")
        @cached_endpoint(entry)
        async def page(key: int) -> Out: ...

    else:

        @app.get("/{key}")
        @cached_endpoint(entry)
        def page(key: int) -> Out: ...

    names = [p["name"] for p in app.openapi()["paths"]["/{key}"]["get"]["parameters"]]
    assert names == ["key"]


def test_browsers_are_told_and_asked_again(entry):
    app = FastAPI()
    app.get("/")(http_headers("public, max-age=60", vary=["Accept-Language"])(lambda: {"a": 1}))
    with TestClient(app) as client:
        first = client.get("/")
        assert (first.headers["Cache-Control"], first.headers["Vary"]) == (
            "public, max-age=60",
            "Accept-Language",
        )
        assert client.get("/", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


class OwnRequest(Request):
    """An application's own."""


def plainly(request: Request):
    return {"site": request.headers["x-site"]}


async def as_text(room: int = 1, *, asked: "Request"):
    return {"site": asked.headers["x-site"]}


def with_metadata(asked: Annotated[Request, "the request"]):
    return {"site": asked.headers["x-site"]}


async def as_text_with_metadata(asked: "Annotated[OwnRequest, 'the request']"):
    return {"site": asked.headers["x-site"]}


def another(request: Annotated[Request, Depends(lambda: {"x-site": "given"})]):
    return {"site": request["x-site"]}


@pytest.mark.parametrize("is_on", [True, False])
@pytest.mark.parametrize("endpoint", [plainly, as_text, with_metadata, as_text_with_metadata, another])
def test_an_endpoint_is_given_its_own_request(endpoint, is_on, cache, async_cache, async_runtime):
    is_async = inspect.iscoroutinefunction(endpoint)
    off = async_runtime.Cache(None, "shop") if is_async else type(cache)(None, "shop")
    used = (async_cache if is_async else cache) if is_on else off
    entry = used.entry("own", ttl_seconds=600, depends_on=("products",))
    kept = http_headers("public, max-age=60")(cached_endpoint(entry, key=lambda request, **_: {})(endpoint))
    app = FastAPI()
    app.get("/both")(kept)
    app.get("/headers")(http_headers("public, max-age=60")(endpoint))
    with TestClient(app) as client:
        for path in ("/both", "/both", "/headers"):
            answer = client.get(path, headers={"x-site": "given"})
            assert (answer.status_code, answer.json()) == (200, {"site": "given"})
            assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert entry.counts["hits"] == is_on


def test_an_endpoint_called_by_another_returns_what_it_returns():
    app = FastAPI()
    told = http_headers("public")(plainly)

    @app.get("/")
    def outer(request: Request):
        return {"inner": told(request=request)}

    with TestClient(app) as client:
        assert client.get("/", headers={"x-site": "a"}).json() == {"inner": {"site": "a"}}


@pytest.fixture
def answered():
    """`answered(write, …)`: what becomes of what `write` does to the injected response, in the endpoint or in a dependency."""

    def answer(write, place, result=None):
        app = FastAPI()

        def dependency(response: Response):
            if place != "endpoint":
                write(response)

        def endpoint(response: Response):
            if place == "endpoint":
                write(response)
            return {"a": 1} if result is None else result

        def without():
            return {"a": 1} if result is None else result

        decorate = http_headers("public, max-age=60")
        depends = [Depends(dependency)]
        if place == "router":
            router = APIRouter()
            router.get("/")(decorate(without))
            app.include_router(router, dependencies=depends)
        else:
            app.get("/", dependencies=depends)(decorate(endpoint if place == "endpoint" else without))
        with TestClient(app) as client:
            first = client.get("/")
            client.cookies.clear()
            return first, client.get("/", headers={"If-None-Match": first.headers.get("ETag", "")})

    return answer


@pytest.mark.parametrize("place", ["endpoint", "dependency", "router"])
def test_what_is_written_into_the_injected_response_is_kept(answered, place):
    def write(response):
        response.headers["X-Total"] = "3"
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")

    for answer in answered(write, place):
        assert answer.headers["X-Total"] == "3"
        assert [line.split(";")[0] for line in answer.headers.get_list("set-cookie")] == ["a=1", "b=2"]
        assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert answer.status_code == 304

    def refuse(response):
        response.status_code = 202

    first, _ = answered(refuse, place)
    assert first.status_code == 202
    assert "Cache-Control" not in first.headers

    def forbid(response):
        response.headers["Cache-Control"] = "no-store"

    for result in (None, Response("made by hand")):
        first, _ = answered(forbid, place, result)
        assert first.headers.get_list("Cache-Control") == ["no-store"]


# What is part of the key.


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Point:
    x: object


class Hiding(BaseModel):
    x: int = Field(repr=False)


class Service:
    """Nobody knows what it does."""


def at(hour, minutes=0):
    zone = datetime.timezone(datetime.timedelta(minutes=minutes))
    return datetime.datetime(2020, 1, 1, hour, tzinfo=zone)


TENANTS = {
    tenant: Session(create_engine("sqlite://").execution_options(schema_translate_map={None: tenant}))
    for tenant in "ab"
}


@pytest.fixture
def count(entry, calls):
    """`count(value, place)`: how often the endpoint has been called after a request that is given the value."""
    app, given = FastAPI(), {}

    def attach(request: Request):
        if given["place"] == "state":
            request.state.it = given["value"]

    def value():
        return given["value"] if given["place"] == "argument" else None

    if type(entry.cache).__module__ == "async_runtime_of_fastapi":

        async def page(value: Annotated[object, Depends(value)]):
            return next(calls)
    else:

        def page(value: Annotated[object, Depends(value)]):
            return next(calls)

    app.get("/", dependencies=[Depends(attach)])(cached_endpoint(entry)(page))
    with TestClient(app) as client:

        def ask(value, place):
            given.update(value=value, place=place)
            answer = client.get("/")
            assert answer.status_code == 200
            return answer.json()

        yield ask


@pytest.mark.parametrize("place", ["argument", "state"])
@pytest.mark.parametrize(
    ("one", "two"),
    [
        (uuid.UUID(int=1), uuid.UUID(int=2)),
        (at(1), at(2)),
        (at(1), at(2, minutes=60)),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        (Colour.RED, Colour.BLUE),
        ({"a": [at(1)]}, {"a": [at(2)]}),
        (Point(1), Point(2)),
        (Hiding(x=1), Hiding(x=2)),
        (Session(create_engine("sqlite:///a")), Session(create_engine("sqlite:///b"))),
        (
            AsyncSession(create_async_engine("postgresql+asyncpg://host/a")),
            AsyncSession(create_async_engine("postgresql+asyncpg://host/b")),
        ),
        (TENANTS["a"], TENANTS["b"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_can_be_told_is_part_of_the_key(count, place, one, two):
    assert [count(value, place) for value in (one, two, one, two)] == [1, 2, 1, 2]


@pytest.mark.parametrize("place", ["argument", "state"])
@pytest.mark.parametrize(
    "value",
    [Product(id=1, name="hammer"), Service(), Point(Service()), {"a": Service()}, Secret(x=SecretStr("s"))],
    ids=lambda value: type(value).__name__,
)
def test_for_a_value_that_cannot_be_told_nothing_is_stored(count, entry, place, value):
    told = []
    entry.cache.listeners.append(lambda event: told.append(event))
    assert [count(value, place), count(value, place)] == [1, 2]
    assert entry.counts["stores"] == 0
    assert entry.counts["bypasses"] == 2
    assert "cannot be part of a key" in str(told[-1])


@pytest.mark.parametrize(
    ("value", "answers"), [(Product(id=1, name="hammer"), [1, 1]), (Secret(x=SecretStr("s")), [1, 2])]
)
def test_a_key_stands_for_a_row_but_no_part_of_a_model_for_all_of_it(entry, calls, value, answers):
    app = FastAPI()
    if type(entry.cache).__module__ == "async_runtime_of_fastapi":

        async def page(value: Annotated[object, Depends(lambda: value)]):
            return next(calls)
    else:

        def page(value: Annotated[object, Depends(lambda: value)]):
            return next(calls)

    app.get("/")(cached_endpoint(entry, key=lambda request, value: {"user": 1})(page))
    with TestClient(app) as client:
        assert [client.get("/").json(), client.get("/").json()] == answers


@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [
        ({"Cache-Control": "Private, max-age=60"}, False),
        ({"Cache-Control": 'private="x-a"'}, False),
        ({"Cache-Control": "NO-STORE"}, False),
        ({"Cache-Control": "max-age=60"}, True),
        ({"Vary": "Accept, X-Tenant"}, False),
        ({"Vary": "*"}, False),
        ({"Vary": "accept-encoding, Accept, Accept-Language, Cookie, Authorization"}, True),
    ],
)
def test_what_an_answer_says_of_itself_is_obeyed(entry, calls, headers, is_kept):
    app = FastAPI()
    if type(entry.cache).__module__ == "async_runtime_of_fastapi":

        async def page():
            return Response(str(next(calls)), headers=headers)
    else:

        def page():
            return Response(str(next(calls)), headers=headers)

    app.get("/")(cached_endpoint(entry)(page))
    with TestClient(app) as client:
        assert (client.get("/").text == client.get("/").text) is is_kept


# AsyncSession.


@pytest.fixture
def product(async_cache, cache, engine):
    """An entry for one product, and what listens for it."""
    watcher = asyncio_events.watch(cache, WATCHED, readers=(async_cache,))
    yield async_cache.entry("product", ttl_seconds=600, depends_on=("products:{key}",))
    watcher.stop()


def run(product, engine, work):
    """`work(read, session, other)` in a loop of its own, in a request of its own."""

    async def main():
        async_engine = create_async_engine(engine.url)
        async with AsyncSession(async_engine) as session, AsyncSession(async_engine) as other:

            async def read(by=other):
                async def compute():
                    return (await by.execute(select(Product.name).where(Product.id == 1))).scalar_one()

                return await product.get_or_compute({"key": 1}, compute)

            await work(read, session, other)
        await async_engine.dispose()

    asyncio.run(main())


RENAME = update(Product).where(Product.id == 1).values(name="mallet")


def test_a_committed_write_of_a_coroutine_is_seen_and_a_rollback_is_not(product, engine):
    async def work(read, session, other):
        assert await read() == await read() == "hammer"
        await other.rollback()
        await session.execute(RENAME)
        await session.rollback()
        assert await read() == "hammer"
        assert product.counts["hits"] == 2
        await other.rollback()
        await session.execute(RENAME)
        await session.commit()
        assert await read() == "mallet"

    run(product, engine, work)


def test_a_value_of_a_transaction_older_than_a_write_is_served_and_not_stored(product, engine):
    async def work(read, session, other):
        old = (await other.execute(select(Product.name).where(Product.id == 1))).scalar_one()
        await session.execute(RENAME)
        await session.commit()

        async def compute():
            return old

        assert await product.get_or_compute({"key": 1}, compute) == "hammer"
        await other.rollback()
        assert await read() == "mallet"
        assert product.counts["hits"] == 0

    run(product, engine, work)


def test_what_one_request_has_open_is_nothing_to_another(product, cache, engine):
    watcher = asyncio_events.AsyncWatcher(cache, WATCHED, ())
    seen = {}

    async def application(scope, receive, send):
        if scope["name"] == "first":
            watcher.here.connections.add("open")
        await asyncio.sleep(0.01)
        seen[scope["name"]] = await asyncio.to_thread(lambda: set(watcher.here.connections))

    async def main():
        scoped = RequestScope(application, watcher.begin)
        await asyncio.gather(*(scoped({"name": name}, None, None) for name in ("first", "second")))

    asyncio.run(main())
    assert seen == {"first": {"open"}, "second": set()}
