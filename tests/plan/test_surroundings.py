"""What stands around a candidate decides as well: other caches, decorators that give arguments, guards, hooks."""

from dataclasses import replace
from typing import Any

import pytest

from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import (
    Application,
    Candidate,
    ContextRead,
    Effects,
    Endpoint,
    Evidence,
    Function,
    KeyPart,
)
from cache_strategy.plan import plan
from cache_strategy.plan.key import entry_id_of
from cache_strategy.plan.ttl import data_kind_of

PAGE = KeyPart(name="page", source="query")
USER = KeyPart(name="user", source="user", expression="flask_login.current_user.get_id()")
CANDIDATE = Candidate(
    rank=1, path="shop/views.py", line=5, qualname="lines", kind="endpoint", layers=("redis",), key=(PAGE,),
    per_user=False, ttl_seconds=None, reads=("lines",), writers=(), score=5.0, because=("joins",),
    endpoints=("GET /lines",), returns="response",
)  # fmt: skip
ENDPOINT = Endpoint(
    id="GET /lines", method="GET", route="/lines", path="shop/views.py", line=5, qualname="lines",
    reads=("lines",), writes=(), context=("query",),
)  # fmt: skip
FUNCTION = Function(
    path="shop/views.py", line=5, qualname="lines", module="shop.views", parameters=(), returns="response",
    effects=Effects(reads=("lines",)), decorators=('@bp.get("/lines")',),
)  # fmt: skip


def planned(
    *candidates: Candidate,
    endpoints: tuple[Endpoint, ...] = (ENDPOINT,),
    function: Function = FUNCTION,
    caches: tuple[str, ...] = (),
    framework: str = "flask",
) -> Contract:
    application = Application(
        package="shop", package_path="shop", factory="shop:create_app", instance="", database="",
        session="", existing_caches=caches,
    )  # fmt: skip
    return planned_from(
        frameworks=(framework,), endpoints=endpoints, candidates=candidates or (CANDIDATE,), functions=(function,),
        application=application,
    )  # fmt: skip


def planned_from(**evidence: Any) -> Contract:
    """The contract of a small shop's evidence, with these fields instead of the usual ones."""
    usual = Evidence(
        repo="shop", commit="", frameworks=("flask",), orms=("sqlalchemy",), files=1, lines=9, seconds=0.1,
        unread=(), endpoints=(ENDPOINT,), candidates=(CANDIDATE,), rejected=(), functions=(FUNCTION,),
        application=Application(
            package="shop", package_path="shop", factory="shop:create_app", instance="", database="", session="",
        ),
    )  # fmt: skip
    return plan(replace(usual, **evidence))


def page(**effects: Any) -> Function:
    return replace(FUNCTION, returns="template", effects=Effects(**effects))


def at(**context: Any) -> tuple[Endpoint, ...]:
    return (replace(ENDPOINT, **context),)


OWN = replace(CANDIDATE, key=(USER,), per_user=True)
MEMOIZED = replace(FUNCTION, decorators=("@cache.memoize(timeout=60)",))
GIVEN = replace(FUNCTION, parameters=("arguments",))
HOOKED = at(context=("query", "session"))
TOKEN = ContextRead(kind="session", name="nonce", expression='session["nonce"]', path="shop/views.py", line=2)


def key(source: str, expression: str = "", name: str = "user", per_user: bool = False) -> Candidate:
    return replace(
        CANDIDATE, key=(KeyPart(name=name, source=source, expression=expression),), per_user=per_user
    )


@pytest.mark.parametrize(
    ("around", "candidate"),
    [
        ({"function": MEMOIZED, "caches": ("shop/other.py:3 @cache.memoize(timeout=60)",)}, CANDIDATE),
        ({"function": GIVEN}, key("query", name="arguments")),
        ({"function": GIVEN, "endpoints": at(route="/lines/{arguments}")}, CANDIDATE),
        ({"function": GIVEN, "framework": "fastapi"}, CANDIDATE),
        ({"function": replace(FUNCTION, parameters=("self", "request")), "framework": "django"}, CANDIDATE),
        ({"function": replace(FUNCTION, effects=Effects(unknown=("shopping.total",)))}, CANDIDATE),
        ({"function": page()}, CANDIDATE),
        ({"function": page(), "endpoints": HOOKED}, OWN),
        ({"function": replace(page(context=(TOKEN,)), returns="response")}, OWN),
        ({"endpoints": at(guards=("@login_required",))}, OWN),
        ({"endpoints": at(guards=("@flask_login.login_required",))}, OWN),
        ({}, key("session", "flask_babel.get_locale()", per_user=True)),
        ({}, key("session", 'session.get("id")', per_user=True)),
        ({}, key("session", "str(g.user.id)", per_user=True)),
    ],
)
def test_what_may_be_kept_is_an_entry(around, candidate):
    assert planned(candidate, **around).entries


@pytest.mark.parametrize(
    ("says", "around", "candidate"),
    [
        (
            "kept by @cache.memoize(timeout=60) already",
            {"function": MEMOIZED, "caches": ("shop/views.py:3 @cache.memoize(timeout=60)",)},
            CANDIDATE,
        ),
        ("is given arguments by a decorator", {"function": GIVEN}, CANDIDATE),
        (
            "template themes/lines.html",
            {"function": page(unknown=("template themes/lines.html",))},
            CANDIDATE,
        ),
        (
            "calls shop.utils.midnight of this",
            {"function": page(unknown=("shop.utils.midnight",))},
            CANDIDATE,
        ),
        ("who asks is looked up", {"function": page(), "endpoints": HOOKED}, CANDIDATE),
        (
            "who asks is looked up",
            {"function": replace(FUNCTION, effects=Effects(renders=True)), "endpoints": HOOKED},
            CANDIDATE,
        ),
        ("the token of one session", {"function": page(context=(TOKEN,))}, OWN),
        ("address of who asks", {}, key("header", name="X-Forwarded-For")),
        ("@token_auth.login_required", {"endpoints": at(guards=("@token_auth.login_required",))}, OWN),
        ("not known outside its function", {}, key("locale", 'ngettext("team", "teams", count)')),
        (
            "@cache.memoize() of total",
            {},
            replace(
                CANDIDATE, because=("is answered by @cache.memoize() of total, a cache that goes stale",)
            ),
        ),
        ("code of the framework", {}, replace(CANDIDATE, path="<django>/views.py")),
    ],
)
def test_what_may_not_be_kept_is_told_with_the_reason(says, around, candidate):
    contract = planned(candidate, **around)
    assert not contract.entries
    (rejected,) = contract.rejected
    assert says in rejected.reason


def layers(**around: Any) -> tuple[str, ...]:
    (entry,) = planned(**around).entries
    return entry.layers


def test_no_shared_cache_stands_before_a_guard_or_a_hook_that_looks_at_who_asks():
    assert layers() == ("memory", "redis", "statements", "http")
    assert "http" not in layers(endpoints=at(guards=("@login_required",)))
    for context in ("user", "session", "header", "cookie"):
        assert "http" not in layers(endpoints=at(context=("query", context)))


def test_two_routes_of_one_function_are_one_entry_if_one_key_tells_them_apart():
    again = replace(CANDIDATE, rank=2, endpoints=("GET /all-lines",))
    assert [entry.id for entry in planned(CANDIDATE, again).entries] == ["lines"]
    other = replace(again, key=(PAGE, KeyPart(name="order_id", source="path")))
    assert "different parameters" in planned(CANDIDATE, other).rejected[0].reason


def test_an_entry_takes_no_name_that_its_module_needs():
    for name in ("get_cache", "get_session", "get_class", "list_import", "init_app"):
        assert entry_id_of(replace(CANDIDATE, qualname=name), set()).startswith("cached-")
    assert entry_id_of(replace(CANDIDATE, qualname="get_cached"), set()) == "cached"


def test_a_setting_read_on_the_way_does_not_lengthen_the_life_of_what_joins_it():
    for reads, kind in {
        "config solves users": "profile",
        "config": "configuration",
        "config solves": "other",
    }.items():
        board = replace(CANDIDATE, qualname="board", reads=tuple(reads.split()))
        assert data_kind_of(board).name == kind
