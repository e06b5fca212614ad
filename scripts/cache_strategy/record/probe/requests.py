"""A request's record, whatever the framework."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from .journal import REST, Journal, Request

SESSION_NAMES = "_auth_user_id _user_id user_id userid uid user username account_id identity".split()
"""Where login libraries keep the user in a session: Django has `_auth_user_id`, Flask-Login `_user_id`; others are common (assumed)."""
SESSION_COOKIES = ("session", "sessionid", "sid", "auth", "token", "jwt", "access_token")
CLAIMS = "sub identity user_id uid id username email".split()
"""Claims of a JSON Web Token that name its holder: RFC 7519 has `sub`, Flask-JWT-Extended 3 `identity`."""


def write_down(
    journal: Journal,
    counted: Request,
    began: float,
    seconds: float,
    *,
    key: str,
    user: str,
    status: int,
    size: int | None = None,
    digest: str = "",
    cookies: Iterable[str] = (),
) -> None:
    """Notes a request that was answered, and the calls that waited for its user."""
    # By hand: an encoder takes three times as long, and this is on every request's way.
    statements, database_s, outside_s, more = 0, 0.0, 0.0, ""
    if counted.queries:
        told = []
        for what, (n, s) in counted.queries.items():
            statements += n  # type: ignore[assignment]  # a whole number in a list of floats
            database_s += s
            if what is not REST:
                told.append(f"{_opened(what)}{n},{s * 1000:.3f}]")
        more = f',"queries":[{",".join(told)}]'
    if counted.outside:
        outside_s = sum(s for _, s in counted.outside.values())
        outside = [f"[{_quoted(host)},{n},{s * 1000:.3f}]" for host, (n, s) in counted.outside.items()]
        more += f',"outside":[{",".join(outside)}]'
    if size is not None:
        more += f',"size_bytes":{size}'
    if cookies:
        more += f',"cookies":[{",".join(map(_quoted, cookies))}]'
    for call in counted.calls:
        call["user"], call["group"] = user, counted.group
        journal.add(call)
    journal.write(
        f'{{"kind":"access","t":{began!r},"group":{_quoted(counted.group)},"key":{_quoted(key)},"user":"{user}","status":{status},'
        f'"duration_ms":{seconds * 1000:.4f},"database_ms":{database_s * 1000:.4f},"statements":{statements},'
        f'"outside_ms":{outside_s * 1000:.4f},"digest":"{digest}"{more}}}'
    )


@lru_cache(maxsize=2000)
def _opened(what: tuple[str, str]) -> str:
    return f'["{what[0]}",{_quoted(what[1])},'


def key_of(journal: Journal, parts: Mapping[str, Any], asked: Iterable[tuple[str, str]]) -> str:
    """Path and query arguments by name; of values only numbers in the clear."""
    named = [
        f"{name}={value if _is_number(value) else journal.veil(value)}"
        for name, value in (sorted(parts.items()) if len(parts) > 1 else parts.items())
    ]
    if asked:
        named += [f"?{name}={journal.veil(value)}" for name, value in asked]
    return "&".join(named)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdigit() and len(value) < 10)


def user_of(
    journal: Journal, session: Mapping[str, Any] | None, header: str, cookies: Mapping[str, str] | None = None
) -> str:
    """A salted hash of who asks, by the session, the token, or the session's cookie; "" for nobody."""
    for name in SESSION_NAMES if session else ():
        value = session.get(name)  # type: ignore[union-attr]  # whatever the framework calls a session or cookies
        if isinstance(value, (str, int)) and value != "":
            return journal.hashed_again(f"session:{value}")
    if header:
        return journal.hashed_again(_token_holder(header) or header)
    for name in SESSION_COOKIES if cookies else ():
        if cookies.get(name):  # type: ignore[union-attr]  # whatever the framework calls a session or cookies
            return journal.hashed_again(f"cookie:{cookies[name]}")  # type: ignore[index]  # whatever the framework calls a session or cookies
    return ""


@lru_cache(maxsize=1000)
def _token_holder(header: str) -> str:
    """Who a token is for, read without checking its signature: it only tells users apart."""
    parts = header.rpartition(" ")[2].split(".")
    if len(parts) != 3:
        return ""
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        for name in CLAIMS:
            if isinstance(claims.get(name), (str, int)):
                return f"token:{claims[name]}"
    except (ValueError, AttributeError):
        pass
    return ""


def cookies_in(headers: Iterable[tuple[Any, Any]]) -> list[str]:
    """The names of the cookies that an answer sets."""
    return [
        str(value.decode("latin-1") if isinstance(value, bytes) else value).partition("=")[0].strip()
        for name, value in headers
        if len(name) == 10
        and (name if isinstance(name, str) else name.decode("latin-1")).lower() == "set-cookie"
    ]
