"""Which answers of Django and REST framework views are kept, and for whom."""

import itertools

import django_scene  # noqa: F401  (sets Django up)
import pytest
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.utils import translation
from django.views import View
from library.models import Shelf
from rest_framework.decorators import api_view
from rest_framework.generics import ListAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from cache_strategy.emit.targets.runtime.files.django_http import cached_endpoint, http_headers, metrics_view


class User:
    def __init__(self, pk):
        self.pk = pk


def asking(path="/", user=None, session=None, method="get", attached=None, **headers):
    request = getattr(RequestFactory(), method)(path, **headers)
    request.user = User(user)
    request.session = SessionStore()
    request.session.update(session or {})
    request.session.modified = False
    for name, value in (attached or {}).items():
        setattr(request, name, value)
    return request


@pytest.fixture
def entry(cache):
    return cache.entry("page", ttl_seconds=600)


@pytest.fixture
def calls():
    return itertools.count(1)


def text(response):
    if hasattr(response, "render") and not response.is_rendered:
        response.render()
    return response.content.decode()


def test_a_second_reader_gets_the_very_same_answer(entry, calls):
    @cached_endpoint(entry)
    def page(request):
        return JsonResponse({"n": next(calls)}, headers={"X-Kind": "one"})

    first, second = page(asking()), page(asking())
    assert text(first) == text(second) == '{"n": 1}'
    assert dict(second.items()) == dict(first.items())
    assert page.__wrapped__


def test_a_view_is_called_for_what_is_no_plain_get(entry, calls):
    page = cached_endpoint(entry)(lambda request, *args: HttpResponse(str(next(calls))))
    page(asking())
    for request in (asking(method="post"), asking(method="head"), asking(CONTENT_LENGTH="4")):
        assert text(page(request)) != "1"
    assert text(page(asking(), "an argument without a name")) != "1"


# What differs between two requests that must not share an answer.
DIFFERENT = {
    "the query": ({"path": "/?page=1"}, {"path": "/?page=2"}),
    "the host": ({"HTTP_HOST": "a.example"}, {"HTTP_HOST": "b.example"}),
    "the scheme": ({}, {"secure": True}),
    "what a decorator has attached": ({"attached": {"v": 1}}, {"attached": {"v": 2}}),
    "a row that middleware has attached": ({"attached": {"project": Shelf(pk=1)}}, {"attached": {"project": Shelf(pk=2)}}),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_has_its_own_answer(entry, calls, name):
    page = cached_endpoint(entry)(lambda request: HttpResponse(str(next(calls))))
    one, two = DIFFERENT[name]
    answers = [text(page(asking(**what))) for what in (one, two, one, two)]
    assert answers == ["1", "2", "1", "2"]


def test_languages_and_arguments_of_the_route_have_their_own(entry, calls):
    page = cached_endpoint(entry)(lambda request, slug: HttpResponse(str(next(calls))))
    for _ in range(2):
        with translation.override("de"):
            assert text(page(asking(), slug="a")) == "1"
        with translation.override("fr"):
            assert text(page(asking(), slug="a")) == "2"
            assert text(page(asking(), slug="b")) == "3"


def test_two_users_and_an_anonymous_one(entry):
    page = cached_endpoint(entry, key=lambda request, **_: {"user": request.user.pk})(
        lambda request: HttpResponse(f"for {request.user.pk}")
    )
    for user in (1, 2, None, 2, None, 1):
        assert text(page(asking(user=user))) == f"for {user}"
    assert entry.counts["hits"] == 3


def resolved_by_rest_framework(view):
    """The user and the token stand in REST framework's request before the view runs."""

    class Page(APIView):
        def perform_authentication(self, request):
            request._user, request._auth = request._request.user, f"token of {request._request.user.pk}"

        get = view

    return Page.as_view()


LOOKS = {
    "request.user": lambda request: request.user.pk,
    "request.auth": lambda request: request.auth,
    "request.user below": lambda request: request._request.user.pk,
}


@pytest.mark.parametrize("look", LOOKS)
def test_who_asks_in_rest_framework_is_noted_though_known_before(entry, events, look):
    page = resolved_by_rest_framework(
        cached_endpoint(entry)(lambda self, request: Response(f"for {LOOKS[look](request)}"))
    )
    for user in (1, 2, 1):
        assert text(page(asking(user=user))).endswith(f'{user}"')
    assert entry.counts["stores"] == entry.counts["hits"] == 0
    assert f"the view looks at {look.split()[0]}" in events[-1]["reason"]


def test_a_user_known_before_is_noted_and_the_request_is_as_it_was(entry, events):
    page = cached_endpoint(entry)(lambda request: HttpResponse(f"for {request.user.pk}"))
    for user in (1, 2, 1):
        request = asking(user=user)
        kind, known = type(request), request.user
        assert text(page(request)) == f"for {user}"
        assert (type(request), request.user) == (kind, known)
    assert entry.counts["stores"] == entry.counts["hits"] == 0
    assert "the view looks at request.user" in events[-1]["reason"]


def test_no_check_of_a_view_is_skipped_for_another_user(entry):
    def page(request):
        return HttpResponse("secret", status=200 if request.user.pk == 1 else 403)

    page = cached_endpoint(entry)(page)
    assert [page(asking(user=user)).status_code for user in (1, 2)] == [200, 403]


def test_a_template_that_is_given_the_user_and_does_not_show_it_is_kept(entry):
    def page(request):
        return TemplateResponse(request, engines["django"].from_string("page"), {"user": request.user})

    page = cached_endpoint(entry)(page)
    assert [text(page(asking(user=user))) for user in (1, 2)] == ["page"] * 2
    assert entry.counts["hits"] == 1


def test_a_key_that_knows_the_user_keeps_one_answer_each_in_rest_framework_too(entry):
    page = resolved_by_rest_framework(
        cached_endpoint(entry, key=lambda request: {"user": request.user.pk})(
            lambda self, request: Response(f"for {request.user.pk}", headers={"Vary": "Cookie, Accept"})
        )
    )
    for user in (1, 2, 1, 2):
        assert text(page(asking(user=user))) == f'"for {user}"'
    assert entry.counts["hits"] == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "private", "Vary": "X-Tenant"},
        {"Cache-Control": "max-age=9, Private"},
        {"Vary": "Accept, X-Tenant"},
        {"Vary": "Cookie"},
        {"Vary": "Authorization"},
    ],
)
def test_what_a_view_reserves_is_for_nobody_else(entry, headers):
    page = http_headers("private, max-age=60", vary=["Origin"])(
        cached_endpoint(entry)(lambda request: HttpResponse(request.META["HTTP_X_TENANT"], headers=headers))
    )
    for tenant in ("a", "b", "a"):
        assert text(page(asking(HTTP_X_TENANT=tenant))) == tenant
    assert entry.counts["stores"] == 0


def test_what_is_said_outside_and_vary_on_the_kind_of_answer_are_no_reservation(entry):
    page = http_headers("private, max-age=60", vary=["Origin"])(
        cached_endpoint(entry)(lambda request: HttpResponse("x", headers={"Vary": "Accept, Accept-Language"}))
    )
    assert [text(page(asking())) for _ in range(2)] == ["x", "x"]
    assert entry.counts["hits"] == 1


def token(request):
    return HttpResponse(get_token(request))


def cookie(request):
    response = HttpResponse("x")
    response.set_cookie("a", "b")
    return response


def closing(request):
    response = HttpResponse("x")
    response._resource_closers.append(lambda: None)
    return response


def change(request):
    request.session["seen"] = True
    return HttpResponse("x")


NOT_KEPT = {
    "status 404": lambda request: HttpResponse("x", status=404),
    "streamed": lambda request: StreamingHttpResponse(iter(["x"])),
    "sets a cookie": cookie,
    "the view forbids it": lambda request: HttpResponse("x", headers={"Cache-Control": "no-store"}),
    "a token against forgery": token,
    "reads ['cart'] of the session": lambda request: HttpResponse(request.session.get("cart", "x")),
    "reads ['*'] of the session": lambda request: HttpResponse(str(request.session.keys())),
    "changed the session": change,
    "when it is closed": closing,
    "is no response": lambda request: "x",
}


@pytest.mark.parametrize("reason", NOT_KEPT)
def test_an_answer_for_one_is_given_and_not_kept(entry, events, reason):
    page = cached_endpoint(entry)(NOT_KEPT[reason])
    for _ in range(2):
        page(asking())
    assert entry.counts["stores"] == entry.counts["hits"] == 0
    assert reason in next(event["reason"] for event in events if event["event"] == "bypass")


def test_what_the_key_reads_of_the_session_the_view_may_read(entry):
    page = cached_endpoint(entry, key=lambda request: {"cart": request.session.get("cart")})(
        lambda request: HttpResponse(request.session["cart"])
    )
    for cart in ("a", "b", "a", "b"):
        assert text(page(asking(session={"cart": cart}))) == cart
    assert entry.counts["hits"] == 2


def test_an_error_is_raised_each_time(entry, calls):
    @cached_endpoint(entry)
    def page(request):
        raise ValueError(next(calls))

    for number in (1, 2):
        with pytest.raises(ValueError, match=str(number)):
            page(asking())


class Numbers(View):
    calls = itertools.count(1)

    def get(self, request):
        return TemplateResponse(request, engines["django"].from_string("{{ n }}"), {"n": next(self.calls)})


def test_a_class_of_views_is_kept_by_its_get_and_a_subclass_for_itself(entry):
    cached = cached_endpoint(entry)(type("Cached", (Numbers,), {"calls": itertools.count(1)}))
    heir = type("Heir", (cached,), {"calls": itertools.count(100)})
    assert [text(cached.as_view()(asking())) for _ in range(2)] == ["1", "1"]
    assert [text(heir.as_view()(asking())) for _ in range(2)] == ["100", "100"]
    assert text(Numbers.as_view()(asking())) != text(Numbers.as_view()(asking()))


def test_rest_framework_is_kept_as_it_was_rendered(entry, calls):
    class Tags(APIView):
        @cached_endpoint(entry)
        def get(self, request):
            return Response({"n": next(calls)})

    @api_view(["GET"])
    @cached_endpoint(entry)
    def tags(request):
        return Response([next(calls)])

    for view in (Tags.as_view(), tags):
        first, second = view(asking()), view(asking())
        assert text(first) == text(second)
        assert {**second.headers} == {**first.headers}
        assert second.headers["Content-Type"] == "application/json"
        page = view(asking(HTTP_ACCEPT="text/html"))
        assert page.accepted_media_type == "text/html"  # the browsable page is never kept
    assert entry.counts["stores"] == 2


def test_an_action_is_named_or_it_is_the_get(entry, calls):
    class Listed(ListAPIView):
        def list(self, request):
            return Response(next(calls))

    for action in ("list", "retrieve"):
        view = cached_endpoint(entry, action=action)(type(f"Listed{action}", (Listed,), {})).as_view()
        assert text(view(asking())) == text(view(asking()))


def test_browsers_are_told_and_asked_again(entry):
    page = http_headers("public, max-age=60", vary=["Accept-Language"])(
        cached_endpoint(entry)(lambda request: HttpResponse("x"))
    )
    first = page(asking())
    assert first["Cache-Control"] == "public, max-age=60"
    assert first["Vary"] == "Accept-Language"
    assert page(asking(HTTP_IF_NONE_MATCH=first["ETag"])).status_code == 304


@pytest.mark.parametrize("view", [cookie, NOT_KEPT["reads ['cart'] of the session"], token])
def test_public_is_taken_back_from_what_is_for_one(view):
    response = http_headers("public, s-maxage=9, max-age=60")(view)(asking())
    assert response["Cache-Control"] == "private, max-age=60"


def test_the_metrics_are_shown_as_json_and_for_prometheus(cache, entry):
    cached_endpoint(entry)(lambda request: HttpResponse("x"))(asking())
    metrics = metrics_view(cache)
    assert '"stores": 1' in text(metrics(asking()))
    assert 'cache_stores_total{entry="page"} 1' in text(metrics(asking("/?format=prometheus")))
    assert "no-store" in metrics(asking())["Cache-Control"]


def test_coroutines_are_refused(entry):
    async def page(request): ...

    with pytest.raises(TypeError, match="async"):
        cached_endpoint(entry)(page)
