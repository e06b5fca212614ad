"""
A scripted stand-in for the Messages API, for driving the real Claude Code client offline.

It answers with the turns of a script, so a test makes the client call chosen tools in a chosen order, and
so fire real hooks, commands and agents, with no network and no model:

    with ScriptedModel([{"tools": [{"name": "Bash", "input": {"command": "ls"}}]}, "ok"]) as model:
        subprocess.run(["claude", "-p", "go"], env={**clean, "ANTHROPIC_BASE_URL": model.url})

A turn is text, which ends the client's turn, or an object with any of: `text`; `tools`, a list of {name,
input} calls; `stop`, another stop_reason; `status`, an HTTP error to answer with instead.

Every request that offers tools takes one turn: of the first lane whose text occurs in its system prompt or
in its first two messages (a subagent has a lane of its own), else of the main conversation. Requests that
offer no tools (titles, summaries), and those after the last turn, are answered "done".
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Turn = str | Mapping[str, Any]

USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


class Request(NamedTuple):
    """What the client asked; `lane` is "main" or a lane's text, `turn` the turn it took, None for neither."""

    path: str
    body: Any
    lane: str | None
    turn: int | None

    @property
    def text(self) -> str:
        """The whole body as one text: where the client puts a reminder or a list differs by version and model."""
        return json.dumps(self.body, ensure_ascii=False)


class ScriptedModel:
    """
    A server on a free port of 127.0.0.1, from `with` to the end of its block.

    Args:
        turns: of the main conversation.
        lanes: text to look for -> turns, for subagents.

    Attributes:
        url: for ANTHROPIC_BASE_URL.
        requests: every request so far, in order of arrival.
    """

    def __init__(self, turns: Sequence[Turn], lanes: Mapping[str, Sequence[Turn]] | None = None) -> None:
        self._turns: dict[str, Sequence[Turn]] = {**(lanes or {}), "main": turns}
        self._taken = dict.fromkeys(self._turns, 0)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.requests: list[Request] = []
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ScriptedModel:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, body: Any) -> tuple[int, Mapping[str, Any]]:
        """Note a request; its number and the turn that answers it."""
        with self._lock:
            lane: str | None = None
            index: int | None = None
            turn: Turn = "done"
            if path == "/v1/messages" and body.get("tools"):
                lane = self._lane_of(body)
                if self._taken[lane] < len(self._turns[lane]):
                    index = self._taken[lane]
                    turn = self._turns[lane][index]
                    self._taken[lane] += 1
            self.requests.append(Request(path, body, lane, index))
            number = len(self.requests)
        return number, {"text": turn} if isinstance(turn, str) else turn

    def _lane_of(self, body: Mapping[str, Any]) -> str:
        start = json.dumps([body.get("system"), body.get("messages", [])[:2]], ensure_ascii=False)
        return next((lane for lane in self._turns if lane != "main" and lane in start), "main")


def _message(turn: Mapping[str, Any], number: int, model: str) -> dict[str, Any]:
    """The whole answer, as the API gives it without streaming."""
    content: list[dict[str, Any]] = [{"type": "text", "text": turn["text"]}] if turn.get("text") else []
    for position, call in enumerate(turn.get("tools", [])):
        content.append({"type": "tool_use", "id": f"toolu_{number:04d}{position:02d}", **call})
    return {
        "id": f"msg_{number:04d}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": turn.get("stop") or ("tool_use" if turn.get("tools") else "end_turn"),
        "stop_sequence": None,
        "usage": USAGE,
    }


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same answer as the server-sent events that the client expects."""
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    for index, block in enumerate(message["content"]):
        start: dict[str, Any]
        if block["type"] == "text":
            start = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            start = {**block, "input": {}}  # the client takes the input from the deltas
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _handler_of(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._send(200, "{}")

        do_GET = do_HEAD

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
            path = self.path.split("?")[0]
            number, turn = model.take(path, body)
            if path != "/v1/messages":
                return self._send(200, json.dumps({"input_tokens": 10}))
            if "status" in turn:
                error = {"type": "api_error", "message": turn.get("text", "scripted error")}
                return self._send(turn["status"], json.dumps({"type": "error", "error": error}))
            message = _message(turn, number, body.get("model"))
            if not body.get("stream"):
                return self._send(200, json.dumps(message))
            events = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _events(message)]
            return self._send(200, "".join(events), "text/event-stream")

        def _send(self, status: int, text: str, content_type: str = "application/json") -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):  # the client may have given up
                    self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler
