"""What the probe sees of Django, FastAPI, Starlette and any other application, on their real servers and drivers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from cache_strategy.record import read_trace, run_recorded

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
DRIVE = (
    "import sys; from pathlib import Path; from cache_strategy.record import run_recorded; "
    "run = run_recorded(sys.argv[3:], Path(sys.argv[1]), Path(sys.argv[2])); sys.exit(0)"
)

DJANGO = """
import os, sys
from django.conf import settings
settings.configure(
    DEBUG=False, SECRET_KEY="of the test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.path.dirname(__file__), "d.db")}},
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
import django
django.setup()
from django.contrib.auth.models import Group, User
from django.contrib.auth import login
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.urls import path, re_path
from django.core.wsgi import get_wsgi_application
from django.core.asgi import get_asgi_application

def group(request, group_id):
    return JsonResponse({"name": Group.objects.get(pk=group_id).name})

def rename(request, group_id):
    with transaction.atomic():
        Group.objects.filter(pk=group_id).update(name=request.GET["to"])
    try:
        with transaction.atomic():
            Group.objects.filter(pk=group_id).update(name="undone")
            raise ValueError
    except ValueError:
        pass
    return HttpResponse("ok")

def me(request):
    return HttpResponse(f"hello {request.user.pk}")

def enter(request, user_id):
    login(request, User.objects.get(pk=user_id))
    return HttpResponse("ok")

async def late(request, name):
    return HttpResponse(await Group.objects.acount())

urlpatterns = [
    path("groups/<int:group_id>/", group), re_path(r"^groups/(?P<group_id>[0-9]+)/rename/$", rename),
    path("me", me), path("enter/<int:user_id>", enter), path("late/<str:name>", late),
]
application = get_wsgi_application()
asgi = get_asgi_application()

def fill():
    from django.core.management import call_command
    call_command("migrate", verbosity=0, run_syncdb=True)
    Group.objects.create(pk=1, name="one")
    for n in (1, 2):
        User.objects.create_user(f"jane{n}", password="x", pk=n)
"""

FASTAPI = """
import os, sqlite3, asyncio
from fastapi import APIRouter, Depends, FastAPI, Response
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
import httpx, requests, redis

FILE = os.path.join(os.path.dirname(__file__), "f.db")
OUTSIDE = os.environ.get("OUTSIDE", "")

def connection():
    with sqlite3.connect(FILE, check_same_thread=False) as made:
        yield made

def name_of(made, room_id):
    return made.execute("SELECT rooms.name FROM rooms JOIN kinds k ON k.id = kind WHERE rooms.id = ?", (room_id,)).fetchone()[0]

class Board:
    def __init__(self, id=None):
        if id:
            self.id = id

    def own(self):
        return self.id

    async def best(self, count, made=None):
        await asyncio.sleep(0)
        return {"best": list(range(count))}

app = FastAPI()
router = APIRouter(prefix="/api")

@router.get("/rooms/{room_id}")
def room(room_id: int, response: Response, page: int = 1, made=Depends(connection)):
    response.set_cookie("seen", "secret")
    return {"name": name_of(made, room_id)}

@router.put("/rooms/{room_id}")
def rename(room_id: int, name: str, made=Depends(connection)):
    made.execute("UPDATE rooms SET name = ? WHERE id = ?", (name, room_id))
    made.rollback()
    made.execute("UPDATE kinds SET name = ? WHERE id = ?", (name, room_id))
    return "ok"

@router.get("/best/{count}")
async def best(count: int):
    Board(1).own(), Board(2).own()
    return await Board().best(count)

@router.get("/outside")
async def outside():
    requests.get(OUTSIDE)
    async with httpx.AsyncClient() as client:
        await client.get(OUTSIDE)
    redis.Redis.from_url(os.environ["REDIS_URL"]).get("a")
    return "ok"

@router.get("/stream")
def stream():
    return StreamingResponse(iter([b"a", b"b"]))

app.include_router(router)

def hello(request):
    return PlainTextResponse("hello " + request.path_params["name"])

app.mount("/more", Starlette(routes=[Mount("/deep", routes=[Route("/hello/{name:path}", hello)])]))

def fill():
    with sqlite3.connect(FILE) as made:
        made.executescript("CREATE TABLE kinds (id, name); CREATE TABLE rooms (id, kind, name);"
            "INSERT INTO kinds VALUES (1, 'k'); INSERT INTO rooms VALUES (1, 1, 'blue')")

async def bare(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"bare"})
"""

WSGI = """
import sqlite3
def application(environ, start_response):
    sqlite3.connect(":memory:").execute("SELECT 1 FROM sqlite_master").fetchall()
    start_response("200 OK", [("Set-Cookie", "sid=secret; Path=/")])
    return [b"hello ", environ["PATH_INFO"].encode()]
"""


def record(folder: Path, name: str, code: str, script: str, functions=(), **env: str):
    """The trace of a script beside an application."""
    (folder / name).write_text(code)
    (folder / "script.py").write_text(script)
    done = run_recorded(
        [sys.executable, "script.py"], folder, folder / "trace", quiet=True, functions=functions, env=env
    )
    assert done.exit_code == 0, done.output_tail
    trace = read_trace(folder / "trace")
    assert not [note for note in trace.notes if "rolled back" not in note], trace.notes
    return trace


def serve(folder: Path, *command: str, paths: list[str], many: int = 1) -> None:
    """Runs a server under the probe, asks it for the paths, and ends it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [word.format(port=port) for word in command]
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVE, str(folder), str(folder / "trace"), sys.executable, *words],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        for path in paths * many:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).read()
                    break
                except urllib.error.HTTPError:
                    break
                except OSError:
                    assert time.monotonic() < until and process.poll() is None, process.communicate()[1]
                    time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def of(trace, group):
    return [access for access in trace.accesses if access.group == group]


@pytest.fixture(scope="module")
def django(tmp_path_factory):
    script = """
from site_app import *
fill()
from django.test import Client
a, b, nobody = Client(), Client(), Client()
a.get("/enter/1"); b.get("/enter/2")
for who in (a, b, a, nobody):
    who.get("/me")
nobody.get("/groups/1/?page=2"); nobody.post("/groups/1/rename/?to=jane"); nobody.get("/groups/1/?page=2"); nobody.get("/nowhere")
nobody.get("/late/jane")
from django.test import AsyncClient
import asyncio
asyncio.run(AsyncClient().get("/late/jane"))
"""
    folder = tmp_path_factory.mktemp("django")
    return folder, record(folder, "site_app.py", DJANGO, script)


def test_django_is_seen_with_routes_keys_users_tables_and_digests(django):
    folder, trace = django
    first, _, last = of(trace, "GET /me")[:3]
    others = {a.user for a in of(trace, "GET /me")}
    assert (first.user == last.user != "", len(others), first.digest == last.digest) == (True, 3, True)
    before, after = of(trace, "GET /groups/{group_id}/")
    assert before.key.startswith("group_id=1&?page=")
    assert before.digest != after.digest
    assert (before.statements, [q[:3] for q in before.queries]) == (1, [("read", "auth_group", 1)])
    assert before.duration_ms > before.database_ms > 0
    (renamed,) = of(trace, "POST /groups/{group_id}/rename/")
    assert renamed.queries[0][:3] == ("write", "auth_group", 2)
    assert [a.status for a in of(trace, "GET (no route)")] == [404]
    assert len(of(trace, "GET /late/{name}")) == 2, "from the plain and the asynchronous client"
    assert of(trace, "GET /enter/{user_id}")[0].cookies == ("sessionid",)
    text = "".join(file.read_text() for file in (folder / "trace").glob("*.jsonl"))
    assert "jane" not in text


def test_djangos_writes_count_from_their_commit(django):
    writes = [w for w in django[1].writes if w.qualname == "rename"]
    assert [(w.tables, w.path) for w in writes] == [(("auth_group",), "site_app.py")]
    assert [w.tables for w in django[1].undone if w.qualname == "rename"] == [("auth_group",)]


def test_in_djangos_test_cases_writes_count_although_all_is_rolled_back_in_the_end(tmp_path):
    script = """
from site_app import *
from django.test import TestCase
from django.test.utils import get_runner
class Renaming(TestCase):
    def test_it(self):
        Group.objects.create(pk=1, name="one")
        self.client.post("/groups/1/rename/?to=two")
        self.assertEqual(self.client.get("/groups/1/").json()["name"], "two")
import unittest
from django.test.runner import DiscoverRunner
runner = DiscoverRunner(verbosity=0)
old = runner.setup_databases()
result = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(Renaming))
runner.teardown_databases(old)
assert result.wasSuccessful()
"""
    trace = record(tmp_path, "site_app.py", DJANGO, script)
    assert [w.qualname for w in trace.writes if w.tables == ("auth_group",) and "rename" in w.qualname] == [
        "rename"
    ]
    assert "rename" in [w.qualname for w in trace.undone]


@pytest.fixture(scope="module")
def fastapi(tmp_path_factory, redis_server):
    script = """
import http.server, os, threading
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
server.RequestHandlerClass.log_message = lambda *_: None
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["OUTSIDE"] = f"http://127.0.0.1:{server.server_port}/"
from rooms_app import *
fill()
from starlette.testclient import TestClient
client = TestClient(app)
header = {"Authorization": "Bearer a.eyJzdWIiOiAiamFuZSJ9.x"}
for path in ("/api/rooms/1?page=2", "/api/rooms/1", "/api/best/3", "/api/best/3", "/api/best/4", "/api/outside", "/api/stream",
             "/more/deep/hello/a/b", "/nowhere"):
    client.get(path, headers=header)
client.put("/api/rooms/1?name=jane")
client.get("/api/rooms/1", headers=header)
"""
    redis_server.start()
    functions = (
        "rooms_app.py:Board.best",
        "rooms_app.py:Board.own",
        "rooms_app.py:name_of",
        "rooms_app.py:nothing",
    )
    folder = tmp_path_factory.mktemp("fastapi")
    return folder, record(folder, "rooms_app.py", FASTAPI, script, functions, REDIS_URL=redis_server.url)


def test_fastapi_is_seen_with_routes_keys_users_cookies_and_tables(fastapi):
    folder, trace = fastapi
    rooms = of(trace, "GET /api/rooms/{room_id}")
    assert len(rooms) == 3
    assert rooms[0].user == rooms[1].user != ""
    assert rooms[0].key.startswith("room_id=1&?page=")
    assert (rooms[0].cookies, rooms[0].statements) == (("seen",), 1)
    assert [q[:3] for q in rooms[0].queries] == [("read", "kinds,rooms", 1)]
    assert of(trace, "GET /more/deep/hello/{name}")[0].status == 200
    assert of(trace, "GET /api/stream")[0].size_bytes == 2
    assert of(trace, "GET (no route)")[0].status == 404
    text = "".join(file.read_text() for file in (folder / "trace").glob("*.jsonl"))
    assert not [word for word in ("jane", "secret", "blue") if word in text]


def test_what_sqlite_undid_does_not_count(fastapi):
    written = [(w.tables, w.qualname) for w in fastapi[1].writes if w.qualname == "rename"]
    assert written == [(("kinds",), "rename")]
    assert [w.tables for w in fastapi[1].undone] == [("rooms",)]


def test_calls_outside_are_told_apart_from_the_applications_own_time(fastapi):
    (outside,) = of(fastapi[1], "GET /api/outside")
    assert {host: n for host, n, _ in outside.outside} == {"127.0.0.1": 2, "redis": 1}
    assert outside.duration_ms > outside.outside_ms > 0


def test_candidate_functions_are_seen_with_arguments_results_and_users(fastapi):
    calls = [call for call in fastapi[1].calls if call.function == "rooms_app.py:Board.best"]
    assert Counter(call.key for call in calls).most_common()[0][1] == 2
    assert (calls[0].digest == calls[1].digest != calls[2].digest, calls[0].user != "") == (True, True)
    assert calls[0].group == "GET /api/best/{count}"
    own = {(call.key, call.digest) for call in fastapi[1].calls if call.function == "rooms_app.py:Board.own"}
    assert len(own) == 2, "whose it is counts"
    named = [call for call in fastapi[1].calls if call.function == "rooms_app.py:name_of"]
    assert [(call.key, bool(call.digest)) for call in named] == [("", True)] * 3, (
        "a connection is no plain argument"
    )


SERVERS = {
    "gunicorn": (
        "site_app.py",
        DJANGO,
        ("-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "site_app:application"),
        "GET /me",
    ),
    "gunicorn threads": (
        "w.py",
        WSGI,
        ("-m", "gunicorn", "--threads", "2", "-b", "127.0.0.1:{port}", "w:application"),
        "GET /me",
    ),
    "gunicorn uvicorn": (
        "rooms_app.py",
        FASTAPI,
        ("-m", "gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-b", "127.0.0.1:{port}", "rooms_app:app"),
        "GET /api/best/{{count}}",
    ),
    "uvicorn workers": (
        "rooms_app.py",
        FASTAPI,
        ("-m", "uvicorn", "--workers", "2", "--port", "{port}", "rooms_app:app"),
        "GET /api/best/{{count}}",
    ),
    "uvicorn reload": (
        "site_app.py",
        DJANGO,
        ("-m", "uvicorn", "--reload", "--port", "{port}", "site_app:asgi"),
        "GET /me",
    ),
    "uvicorn bare": (
        "rooms_app.py",
        FASTAPI,
        ("-m", "uvicorn", "--port", "{port}", "rooms_app:bare"),
        "GET /me",
    ),
    "wsgiref": (
        "w.py",
        WSGI
        + "\nif __name__ == '__main__':\n    import sys, wsgiref.simple_server as s\n    s.make_server('127.0.0.1', int(sys.argv[1]), application).serve_forever()\n",
        ("w.py", "{port}"),
        "GET /me",
    ),
}


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_every_request_is_noted_once_under_real_servers(tmp_path, name):
    file, code, command, group = SERVERS[name]
    group = group.replace("{{", "{").replace("}}", "}")
    (tmp_path / file).write_text(code)
    path = "/api/best/3" if "best" in group else "/me"
    serve(tmp_path, *command, paths=[path], many=6)
    trace = read_trace(tmp_path / "trace")
    assert Counter(a.group for a in trace.accesses) == {group: 6}
    assert all(a.size_bytes and a.duration_ms for a in trace.accesses)


def test_without_a_framework_only_the_first_part_of_a_path_is_in_the_clear(tmp_path):
    (tmp_path / "w.py").write_text(WSGI)
    serve(tmp_path, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "w:application", paths=["/users/jane?q=doe"])
    (access,) = read_trace(tmp_path / "trace").accesses
    assert (access.group, access.cookies, access.statements) == ("GET /users/{…}", ("sid",), 1)
    text = "".join(file.read_text() for file in (tmp_path / "trace").glob("*.jsonl"))
    assert not [word for word in ("jane", "doe", "secret") if word in text]
