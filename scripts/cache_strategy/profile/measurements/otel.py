"""
OpenTelemetry traces as OTLP JSON: whole documents, one per line (the file exporter), batches in a list; plain or gzip.

Source:
    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, https://opentelemetry.io/docs/specs/semconv/http/http-spans/,
    …/semconv/database/database-spans/ (names before and after they became stable)
"""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import urlsplit

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import EndpointMeasurement, Evidence, Observation
from cache_strategy.profile.measurements._base import (
    Found,
    Source,
    behind,
    functions_behind,
    measured,
    opened,
    times,
)
from cache_strategy.profile.sql import read_statement

SPANS_AT_MOST = 2_000_000
STATEMENTS_SHOWN = 50
LINE_AT_MOST = 64 << 20
WHOLE_AT_MOST = 512 << 20
WHAT = "traces as OTLP JSON, as OpenTelemetry's collector writes them (file exporter, format json)"
SERVER, CLIENT = (2, "SPAN_KIND_SERVER"), (3, "SPAN_KIND_CLIENT")
_CONVERTER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>|:(\w+)")


@dataclass(slots=True)
class _Span:
    """One span; seconds since 1970, `kind` server, database, outside or other."""

    parent: str
    trace: str
    kind: str
    name: str
    start: float
    end: float
    text: str = ""


@dataclass
class _Request:
    milliseconds: float
    database: float = 0.0
    outside: float = 0.0
    statements: int = 0


@dataclass
class _Heap:
    spans: dict[tuple[str, str], _Span] = field(default_factory=dict)
    bad: int = 0
    left_out: int = 0


def read(where: str, evidence: Evidence) -> Found:
    """
    The spans of one file, by route.

    Raises:
        CacheStrategyError: the file is missing or unreadable, or holds no span.
    """
    heap = _Heap()
    with opened(where, WHAT) as stream:
        for document in _documents(stream, heap):
            _take(document, heap)
    if not heap.spans:
        raise CacheStrategyError(
            f"{where}: holds no spans{' that can be read' if heap.bad else ' (empty)'}; name {WHAT}."
        )
    name = where.rpartition("/")[2]
    notes = [f"{name}: {heap.bad} parts could not be read."] if heap.bad else []
    if heap.left_out:
        notes.append(f"{name}: {heap.left_out:,} spans beyond the first {SPANS_AT_MOST:,} were left out.")
    kinds = {span.kind for span in heap.spans.values()}
    for kind, words in (("database", "database"), ("outside", "outside call")):
        if kind not in kinds:
            notes.append(
                f"{name}: no span of a{'n' if kind == 'outside' else ''} {words} is in it, so that time is not known."
            )
    requests = _requests(heap.spans, evidence)
    if not requests:
        notes.append(f"{name}: no span of a server with a route (http.route) is in it.")
    return Found(
        endpoints=tuple(_measured(group, of, name, kinds) for group, of in sorted(requests.items())),
        observations=tuple(_statements(heap.spans.values(), evidence, name)),
        notes=tuple(notes),
    )


def _documents(stream: IO[bytes], heap: _Heap) -> Iterator[Any]:
    """A document per line, or else one that spans all lines; a line that cannot be read is counted."""
    first = stream.readline(LINE_AT_MOST)
    document = _parsed(first)
    if document is None and first:
        whole = first + stream.read(WHOLE_AT_MOST)
        document = _parsed(whole)
        lines: Iterable[bytes] = () if document is not None else whole.splitlines()
    else:
        lines = iter(lambda: stream.readline(LINE_AT_MOST), b"")
    if document is not None:
        yield document
    for line in lines:
        document = _parsed(line)
        heap.bad += document is None and bool(line.strip())
        yield document or []


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _take(document: Any, heap: _Heap) -> None:
    for batch in document if isinstance(document, list) else [document]:
        try:
            resources = (
                batch.get("resourceSpans") or batch.get("resource_spans") or batch.get("batches") or []
            )
            for resource in resources:
                scopes = resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans") or []
                for scope in scopes:
                    for span in scope.get("spans", ()):
                        _take_span(span, heap)
        except (AttributeError, TypeError):
            heap.bad += 1


def _take_span(span: Any, heap: _Heap) -> None:
    if len(heap.spans) >= SPANS_AT_MOST:
        heap.left_out += 1
        return
    try:
        said = {item["key"]: _value(item.get("value")) for item in span.get("attributes") or ()}
        start, end = int(span["startTimeUnixNano"]) / 1e9, int(span["endTimeUnixNano"]) / 1e9
        kind, name, text = _kind(span, said)
        own = _Span(
            str(span.get("parentSpanId") or ""),
            str(span["traceId"]),
            kind,
            name,
            start,
            max(start, end),
            text,
        )
        heap.spans[own.trace, str(span["spanId"])] = own
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        heap.bad += 1


def _value(value: Any) -> str:
    return str(next(iter(value.values()), "")) if isinstance(value, dict) else ""


def _kind(span: Mapping[str, Any], said: Mapping[str, str]) -> tuple[str, str, str]:
    """What a span is, its group or host, and its statement."""
    if span.get("kind") in SERVER:
        method = said.get("http.request.method") or said.get("http.method") or ""
        route = said.get("http.route", "")
        words = str(span.get("name", "")).split(" ", 1)
        if not route and len(words) == 2 and words[1].startswith("/"):
            method, route = method or words[0], words[1]
        return "server", f"{method.upper()} {_braces(route)}" if method and route else "", ""
    if "db.system" in said or "db.system.name" in said:
        text = said.get("db.query.text") or said.get("db.statement") or ""
        system = said.get("db.system.name") or said.get("db.system") or ""
        return "outside" if system in ("redis", "memcached") else "database", system, text
    if span.get("kind") in CLIENT:
        address = (
            said.get("server.address")
            or said.get("net.peer.name")
            or urlsplit(said.get("http.url", said.get("url.full", ""))).hostname
        )
        return "outside", address or "?", ""
    return "other", "", ""


def _braces(route: str) -> str:
    """Flask's <int:id>, Django's without a slash in front, and :id, as {id}."""
    braced = _CONVERTER.sub(lambda match: f"{{{match[1] or match[2]}}}", route)
    return braced if braced.startswith("/") else "/" + braced


def _requests(spans: Mapping[tuple[str, str], _Span], evidence: Evidence) -> dict[str, list[_Request]]:
    """Per endpoint its requests; a route that differs from the code's in a last slash or a name of a part is the code's."""
    known = {_shape(endpoint.id): endpoint.id for endpoint in evidence.endpoints}
    found: dict[tuple[str, str], _Request] = {}
    groups: dict[str, list[_Request]] = defaultdict(list)
    for key, span in spans.items():
        if span.kind == "server" and span.name:
            found[key] = _Request((span.end - span.start) * 1000)
            groups[known.get(_shape(span.name), span.name)].append(found[key])
    inside: dict[tuple[tuple[str, str], str], list[tuple[float, float]]] = defaultdict(list)
    for key, span in spans.items():
        if span.kind in ("database", "outside"):
            above = _above(key, spans, found)
            if above is not None:
                inside[above, span.kind].append((span.start, span.end))
                found[above].statements += span.kind == "database"
    for (above, kind), parts in inside.items():
        setattr(found[above], kind, _covered(parts) * 1000)
    return groups


def _shape(group: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", group).rstrip("/")


def _above(
    key: tuple[str, str], spans: Mapping[tuple[str, str], _Span], found: Mapping[tuple[str, str], _Request]
) -> tuple[str, str] | None:
    """The request within which a span lies; None for none, or where a database or outside span lies between."""
    span = spans[key]
    for _ in range(100):
        key = span.trace, span.parent
        if key in found:
            return key
        if key not in spans or spans[key].kind in ("database", "outside"):
            return None
        span = spans[key]
    return None


def _covered(parts: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one was going on: what runs at once counts once."""
    total, until = 0.0, 0.0
    for start, end in sorted(parts):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _measured(group: str, requests: Sequence[_Request], name: str, kinds: Set[str]) -> EndpointMeasurement:
    where = f"OpenTelemetry, {name}"
    figures = times("latency_ms", [r.milliseconds for r in requests], where)
    if "outside" in kinds:
        figures |= times("outside_ms", [r.outside for r in requests], where)
    if "database" in kinds:
        per_request = statistics.fmean(r.statements for r in requests)
        figures |= times("database_ms", [r.database for r in requests], where)
        figures |= times(
            "own_ms", [max(0.0, r.milliseconds - r.database - r.outside) for r in requests], where
        )
        figures["statements_per_request"] = measured(per_request, "statements/request", where, len(requests))
    return EndpointMeasurement(id=group, figures=figures)


def _statements(spans: Iterable[_Span], evidence: Evidence, name: str) -> Iterator[Observation]:
    """The statements that took longest in all."""
    found: dict[str, list[float]] = defaultdict(list)
    for span in spans:
        if span.kind == "database" and span.text:
            found[_without_literals(span.text)].append((span.end - span.start) * 1000)
    where = f"OpenTelemetry, {name}"
    for text, took in sorted(found.items(), key=lambda item: -sum(item[1]))[:STATEMENTS_SHOWN]:
        statement = read_statement(text)
        figures = {
            "calls": measured(len(took), "calls", where),
            "mean_ms": measured(statistics.fmean(took), "ms", where, len(took)),
            "total_ms": measured(sum(took), "ms", where, len(took)),
        }
        tables = (*statement.reads, *statement.writes) if statement else ()
        users = behind(evidence, statement.reads, statement.writes) if statement else ()
        makers = functions_behind(evidence, statement.reads, statement.writes) if statement else ()
        yield Observation(
            kind="statement",
            name=text,
            figures=figures,
            tables=tuple(sorted({*tables})),
            endpoints=users,
            functions=makers,
        )


def _without_literals(text: str) -> str:
    text = re.sub(r"'(?:[^']|'')*'", "?", " ".join(text.split()))
    return re.sub(r"(?<![\w$.])\d+(?:\.\d+)?\b", "?", text)[:2000]


source = Source("otel", read)
