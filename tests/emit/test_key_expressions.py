"""What a key's code reads, in the words of each framework."""

import pytest

from cache_strategy.emit.targets.runtime.code import entry_code
from cache_strategy.model.contract import Entry
from cache_strategy.model.evidence import KeyPart

AGENT = 'request.headers.get("HTTP_USER_AGENT")'
QUERY = 'request.query_string.decode("utf-8", "replace")'
PARTS = {
    "path": (KeyPart(name="slug", source="path"), "slug", "slug", "slug"),
    "query": (
        KeyPart(name="page", source="query"),
        'request.args.getlist("page")',
        'request.GET.getlist("page")',
        'request.query_params.getlist("page")',
    ),
    "the whole query": (
        KeyPart(name="query_string", source="query", expression=QUERY),
        QUERY,
        'request.META.get("QUERY_STRING", "")',
        "request.url.query",
    ),
    "a header": (KeyPart(name="X-A", source="header"), *['request.headers.get("X-A")'] * 3),
    "a header of Django's": (
        KeyPart(name="HTTP_USER_AGENT", source="header", expression=AGENT),
        AGENT,
        'request.META.get("HTTP_USER_AGENT")',
        AGENT,
    ),
    "a cookie": (
        KeyPart(name="theme", source="cookie", expression='request.cookies.get("theme")'),
        'request.cookies.get("theme")',
        'request.COOKIES.get("theme")',
        'request.cookies.get("theme")',
    ),
    "what a dependency of FastAPI gives": (
        KeyPart(name="user", source="user", expression="me.id"),
        *["me.id"] * 2,
        "None if me is None else me.id",
    ),
    "the session": (
        KeyPart(name="cart", source="session", expression='session.get("cart")'),
        'session.get("cart")',
        *['request.session.get("cart")'] * 2,
    ),
    "another": (KeyPart(name="user", source="user", expression="request.user.pk"), *["request.user.pk"] * 3),
}


@pytest.mark.parametrize(("place", "framework"), [(1, "flask"), (2, "django"), (3, "fastapi")])
@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_read_as_the_framework_has_it(name, place, framework):
    entry = Entry(
        id="x", target="a.py:x", kind="endpoint", layers=("redis", "http"), key=(PARTS[name][0],), ttl_seconds=1, depends_on=(),
        invalidated_by=(), because=(),
    )  # fmt: skip
    code = entry_code(entry, framework)
    assert code.key_items == ((PARTS[name][0].name, PARTS[name][place]),)
    assert "HTTP_USER_AGENT" not in code.vary
