"""The same pages for several visitors with caches off and on: whoever gets another answer than without caches is named."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cache_strategy.model.verdict import Visits

ANONYMOUS = "anonymous"
SHOWN = 20
"""Differences that are listed (assumed)."""

_SHARED = re.compile(r"\b(?:public|s-maxage)\b", re.IGNORECASE)
_OWN = re.compile(r"\b(?:private|no-store)\b", re.IGNORECASE)

Answer = Mapping[str, Any]
Said = tuple[int | None, int, str]


_LOGGED = re.compile(r"\"(?:GET|HEAD) (/\S*) HTTP/[\d.]+\"")
_LISTED = re.compile(r"(?:GET\s+)?(/\S*)\s*$")


def pages_in(lines: Iterable[str], at_most: int) -> tuple[tuple[str, ...], int]:
    """
    The pages that an access log or a list (one path a line) asks for, the most frequent first, and how many lines name none.

    Only what is asked for with GET: nothing else can be asked for again without doing it again.
    """
    count: Counter[str] = Counter()
    unread = 0
    for line in lines:
        found = _LOGGED.search(line) or _LISTED.match(line)
        if found:
            count[found[1]] += 1
        elif line.strip():
            unread += 1
    return tuple(path for path, _ in count.most_common(at_most)), unread


@dataclass(frozen=True, kw_only=True)
class Tour:
    """What the visitors ask for: pages of the server at `url`, as nobody and with each of `headers` ("Name: value")."""

    url: str
    paths: tuple[str, ...]
    headers: tuple[str, ...] = ()

    @property
    def visitors(self) -> list[dict[str, Any]]:
        """Each visitor's name and headers, the anonymous one first."""
        found: list[dict[str, Any]] = [{"name": ANONYMOUS, "headers": {}}]
        for number, header in enumerate(self.headers, 1):
            name, _, value = header.partition(":")
            found.append({"name": f"visitor {number}", "headers": {name.strip(): value.strip()}})
        return found


def write_spec(tour: Tour, command: Sequence[str], folder: Path) -> Path:
    """The file that `visit.py` reads; the answers come beside it."""
    file = folder / "visits.json"
    spec = {"command": list(command), "url": tour.url, "paths": tour.paths, "visitors": tour.visitors}
    told = json.dumps({**spec, "answers": str(folder / "answers.json")})
    file.touch(mode=0o600)  # it holds the visitors' sessions
    file.write_text(told, encoding="utf-8")
    return file


def answers_in(folder: Path) -> list[Answer]:
    """The answers of a run; none where the server did not come up."""
    file = folder / "answers.json"
    answers: list[Answer] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return answers


def differences(tour: Tour, off: Sequence[Answer], others: Mapping[str, Sequence[Answer]]) -> Visits:
    """
    The answers with caches (`others`, by what to call the run) that differ from the visitor's own without them.

    A page that gives one visitor two answers without caches (a time, a token) is not compared.
    """
    given = _by_page(off)
    steady = {place: said[0] for place, said in given.items() if len(set(said)) == 1}
    found: dict[str, None] = {}
    compared = 0
    for run, answers in others.items():
        for answer in answers:
            path, visitor = answer["path"], answer["visitor"]
            if (path, visitor) not in steady:
                continue
            compared += 1
            if _said(answer) != steady[path, visitor]:
                found[f"GET {path}, {run}: {_difference(answer, steady)}"] = None
            elif _leaks_through_a_proxy(answer, steady):
                found[f"GET {path}, {run}: {_SHARED_ANSWER.format(said=answer['headers'])}"] = None
    return Visits(
        visitors=tuple(visitor["name"] for visitor in tour.visitors),
        pages=len(tour.paths),
        compared=compared,
        wavering=len(given) - len(steady),
        differences=tuple(found)[:SHOWN],
    )


_SHARED_ANSWER = (
    "visitors get different answers, and a cache between server and users may share them ({said})."
)


def _by_page(answers: Sequence[Answer]) -> dict[tuple[str, str], list[Said]]:
    found: dict[tuple[str, str], list[Said]] = {}
    for answer in answers:
        found.setdefault((answer["path"], answer["visitor"]), []).append(_said(answer))
    return found


def _said(answer: Answer) -> Said:
    return answer["status"], answer["length"], answer["text"]


def _difference(answer: Answer, steady: Mapping[tuple[str, str], Said]) -> str:
    path, visitor = answer["path"], answer["visitor"]
    own = steady[path, visitor]
    owner = next((who for (page, who), said in steady.items() if page == path and said == _said(answer)), "")
    if owner:
        return f"{visitor} got the answer of {owner}: the key misses what tells them apart."
    if answer["status"] != own[0]:
        return f"{visitor} got status {answer['status']}, without caches {own[0]}."
    at = next((i for i, (a, b) in enumerate(zip(answer["text"], own[2], strict=False)) if a != b), 0)
    start = max(0, at - 30)
    texts = [" ".join(text[start : start + 90].split()) for text in (answer["text"], own[2])]
    return f"{visitor} got “{texts[0]}”, without caches “{texts[1]}”."


def _leaks_through_a_proxy(answer: Answer, steady: Mapping[tuple[str, str], Said]) -> bool:
    """Whether the answer is the visitor's own, and yet says that whoever asks next may have it."""
    control, vary = (str(answer["headers"].get(name, "")) for name in ("Cache-Control", "Vary"))
    if not _SHARED.search(control) or _OWN.search(control):
        return False
    if {"cookie", "authorization", "*"} & {name.strip().lower() for name in vary.split(",")}:
        return False
    return len({said for (page, _), said in steady.items() if page == answer["path"]}) > 1
