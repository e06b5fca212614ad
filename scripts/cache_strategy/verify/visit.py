"""
The command of a proof by visits: starts the user's server, asks it for the same pages as several visitors, ends it.

Run as a file, `python visit.py SPEC`, so that what watches the command watches the server that this starts. Standard
library only: it runs where the command runs. SPEC is JSON: `command`, `url`, `paths`, `visitors` (name and headers),
`answers` (the file to write). Every page is asked for twice by every visitor, the second time in the opposite order.
"""

import http.client
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START_SECONDS = 60.0
END_SECONDS = 10.0
ASK_SECONDS = 30.0
POLL_SECONDS = 0.05
KEPT_CHARACTERS = 20_000
"""Of an answer, to show where two part (assumed)."""

Json = dict[str, Any]


def main(spec_file: str) -> int:
    """0 when every page was asked for; 2 when the server did not come up."""
    spec: Json = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    server = subprocess.Popen(spec["command"])
    try:
        trouble = _wait(server, spec["url"])
        if trouble:
            print(trouble, file=sys.stderr)
            return 2
        answers = list(_visits(spec))
        kept = Path(spec["answers"])
        kept.touch(mode=0o600)
        kept.write_text(json.dumps(answers), encoding="utf-8")
    finally:
        _end(server)
    failed = sum(answer["status"] is None or answer["status"] >= 500 for answer in answers)
    print(f"{len(answers)} answers, {failed} of them errors of the server")
    return 0


def _wait(server: "subprocess.Popen[bytes]", url: str) -> str:
    """Why the server does not answer; "" once it does."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            return f"the server ended with exit code {server.returncode} before it answered at {url}"
        try:
            connection = _connection(url, 1.0)
            connection.connect()
            connection.close()
            return ""
        except OSError:
            time.sleep(POLL_SECONDS)
    return f"the server did not answer at {url} within {START_SECONDS:.0f} s"


def _connection(url: str, timeout_seconds: float) -> http.client.HTTPConnection:
    place = urlsplit(url)
    made = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    return made(place.hostname or "127.0.0.1", place.port, timeout=timeout_seconds)


def _visits(spec: Json) -> "list[Json]":
    visitors: list[Json] = spec["visitors"]
    found = []
    for turn, order in enumerate((visitors, visitors[::-1])):
        for path in spec["paths"]:
            for visitor in order:
                answer = _asked(spec["url"], path, visitor["headers"])
                found.append({"turn": turn, "path": path, "visitor": visitor["name"], **answer})
    return found


def _asked(url: str, path: str, headers: "dict[str, str]") -> Json:
    """Status and text of an answer, when it was asked for and when it came; status None where none came."""
    began = time.monotonic()
    connection = _connection(url, ASK_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close", **headers})
        response = connection.getresponse()
        status: int | None = response.status
        text = response.read().decode("utf-8", "replace")
        said = {name: response.getheader(name) or "" for name in ("Cache-Control", "Vary")}
    except (OSError, http.client.HTTPException) as error:
        status, text, said = None, str(error), {}
    finally:
        connection.close()
    times = {"began_s": began, "ended_s": time.monotonic()}
    return {**times, "status": status, "length": len(text), "text": text[:KEPT_CHARACTERS], "headers": said}


def _end(server: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if server.poll() is not None:
            return
        server.send_signal(number)
        try:
            server.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    server.kill()
    server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
