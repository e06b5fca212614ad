"""What stands around a candidate decides as well: other caches, decorators that give arguments, guards, hooks."""

from dataclasses import replace

from cache_strategy.model.contract import Contract, Entry
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
) -> Contract:
    return plan(
        Evidence(
            repo="shop", commit="", frameworks=("flask",), orms=("sqlalchemy",), files=1, lines=9, seconds=0.1,
            unread=(), endpoints=endpoints, candidates=candidates or (CANDIDATE,), rejected=(), functions=(function,),
            application=Application(
                package="shop", package_path="shop", factory="shop:create_app", instance="", database="",
                session="", existing_caches=caches,
            ),
        )
    )  # fmt: skip


def entry(contract: Contract) -> Entry:
    (only,) = contract.entries
    return only


def reason(contract: Contract) -> str:
    assert not contract.entries
    (only,) = contract.rejected
    return only.reason


def test_an_endpoint_that_nobody_guards_is_kept_on_every_layer():
    assert entry(planned()).layers == ("memory", "redis", "http")


def test_no_shared_cache_stands_before_a_guard_or_a_hook_that_looks_at_who_asks():
    guarded = replace(ENDPOINT, guards=("@login_required",))
    assert "http" not in entry(planned(endpoints=(guarded,))).layers
    for context in ("user", "session", "header", "cookie"):
        hooked = replace(ENDPOINT, context=("query", context))
        assert "http" not in entry(planned(endpoints=(hooked,))).layers


def test_what_a_decorator_of_the_application_keeps_is_not_kept_twice():
    function = replace(FUNCTION, decorators=("@cache.memoize(timeout=60)",))
    caches = ("shop/views.py:3 @cache.memoize(timeout=60)",)
    assert "kept by @cache.memoize(timeout=60) already" in reason(planned(function=function, caches=caches))
    elsewhere = ("shop/other.py:3 @cache.memoize(timeout=60)",)
    assert planned(function=function, caches=elsewhere).entries


def test_nothing_is_kept_above_another_cache_of_the_application():
    above = replace(CANDIDATE, because=("is answered by @cache.memoize() of total, a cache that goes stale",))
    assert "@cache.memoize() of total" in reason(planned(above))


def test_an_argument_from_a_decorator_must_be_in_the_key():
    function = replace(FUNCTION, parameters=("arguments",))
    assert reason(planned(function=function)).startswith("is given arguments by a decorator")
    known = replace(CANDIDATE, key=(KeyPart(name="arguments", source="query"),))
    assert planned(known, function=function).entries
    by_path = replace(ENDPOINT, route="/lines/{arguments}")
    assert planned(endpoints=(by_path,), function=function).entries


def test_a_template_that_could_not_be_read_is_not_guessed():
    function = replace(FUNCTION, effects=Effects(unknown=("template themes/lines.html",)))
    assert "template themes/lines.html" in reason(planned(function=function))


def test_a_function_of_the_application_that_could_not_be_followed_is_not_guessed():
    function = replace(FUNCTION, effects=Effects(unknown=("shop.utils.midnight",)))
    assert "calls shop.utils.midnight of this application" in reason(planned(function=function))
    assert planned(function=replace(FUNCTION, effects=Effects(unknown=("shopping.total",)))).entries


def test_a_page_is_not_shared_where_who_asks_is_looked_up_on_the_way():
    page = replace(FUNCTION, returns="template")
    hooked = replace(ENDPOINT, context=("query", "session"))
    assert planned(function=page).entries
    assert "who asks is looked up" in reason(planned(endpoints=(hooked,), function=page))
    renders = replace(FUNCTION, effects=Effects(renders=True))
    assert "who asks is looked up" in reason(planned(endpoints=(hooked,), function=renders))
    own = replace(CANDIDATE, key=(USER,), per_user=True)
    assert planned(own, endpoints=(hooked,), function=page).entries


def test_a_page_that_may_hold_a_token_of_the_session_is_not_kept():
    token = ContextRead(
        kind="session", name="nonce", expression='session["nonce"]', path="shop/views.py", line=2
    )
    page = replace(FUNCTION, returns="template", effects=Effects(context=(token,)))
    own = replace(CANDIDATE, key=(USER,), per_user=True)
    assert "the token of one session" in reason(planned(own, function=page))
    assert planned(own, function=replace(page, returns="response")).entries


def test_an_answer_per_address_is_not_kept():
    address = KeyPart(name="X-Forwarded-For", source="header")
    assert "address of who asks" in reason(planned(replace(CANDIDATE, key=(address,))))


def test_two_routes_of_one_function_are_one_entry_if_one_key_tells_them_apart():
    again = replace(CANDIDATE, rank=2, endpoints=("GET /all-lines",))
    assert entry(planned(CANDIDATE, again)).id == "lines"
    other = replace(again, key=(PAGE, KeyPart(name="order_id", source="path")))
    assert "different parameters" in reason(planned(CANDIDATE, other))


def test_flask_login_does_not_name_the_user_behind_another_guard():
    candidate = replace(CANDIDATE, key=(USER,), per_user=True)
    token = replace(ENDPOINT, guards=("@token_auth.login_required",))
    assert "@token_auth.login_required" in reason(planned(candidate, endpoints=(token,)))
    for guard in ("@login_required", "@flask_login.login_required"):
        assert planned(candidate, endpoints=(replace(ENDPOINT, guards=(guard,)),)).entries


def test_a_key_holds_no_name_of_the_function_it_was_found_in():
    locale = KeyPart(name="locale", source="locale", expression='ngettext("team", "teams", count)')
    assert "is not known outside its function" in reason(planned(replace(CANDIDATE, key=(locale,))))
    for expression in ("flask_babel.get_locale()", 'session.get("id")', "str(g.user.id)"):
        part = KeyPart(name="user", source="session", expression=expression)
        assert planned(replace(CANDIDATE, key=(part,), per_user=True)).entries


def test_an_entry_takes_no_name_that_its_module_needs():
    for name in ("get_cache", "get_session", "get_class", "list_import", "init_app"):
        assert entry_id_of(replace(CANDIDATE, qualname=name), set()).startswith("cached-")
    assert entry_id_of(replace(CANDIDATE, qualname="get_cached"), set()) == "cached"


def test_a_setting_read_on_the_way_does_not_lengthen_the_life_of_what_joins_it():
    board = replace(CANDIDATE, qualname="board", reads=("config", "solves", "users"))
    assert data_kind_of(board).name == "profile"
    assert data_kind_of(replace(board, reads=("config",))).name == "configuration"
    assert data_kind_of(replace(board, reads=("config", "solves"))).name == "other"
