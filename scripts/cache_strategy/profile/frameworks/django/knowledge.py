"""What the paths of Django and Django REST framework mean, and the one spelling of those that have several."""

import re

from cache_strategy.profile.library import Known

REQUEST, REST_REQUEST = "django.http.HttpRequest", "rest_framework.request.Request"
CACHING = (
    "django.views.decorators.cache.", "django.views.decorators.vary.", "django.views.decorators.http.etag",
    "django.views.decorators.http.condition", "django.views.decorators.http.last_modified", "django.core.cache.",
    "django.utils.functional.cached_property", "rest_framework_extensions.cache.", "cacheops.", "cache_memoize.",
)  # fmt: skip
_MEANING = {
    "query": "GET query_params get_full_path", "body": "POST FILES body data read", "cookie": "COOKIES get_signed_cookie",
    "header": "META headers scheme content_type encoding accepted_renderer version", "session": "session",
    "path": "path path_info method resolver_match parser_context", "user": "auth user", "locale": "LANGUAGE_CODE",
    "tenant": "site urlconf",
}  # fmt: skip
_HEADERS = {"get_host": "Host", "get_port": "Host", "build_absolute_uri": "Host", "is_secure": "X-Forwarded-Proto",
            "is_ajax": "X-Requested-With", "accepts": "Accept"}  # fmt: skip
_PATHS = {
    "locale": "utils.translation utils.formats utils.timezone.get_current_timezone utils.timezone.localtime",
    "plain": "utils.timezone.make_aware utils.timezone.make_naive utils.timezone.timedelta utils.timezone.is_aware core.cache "
    "utils.translation.override utils.translation.activate utils.translation.deactivate db.transaction core.signing",
    "side": "core.mail.send_mail core.mail.send_mass_mail core.mail.mail_admins core.mail.mail_managers "
    "core.mail.EmailMessage().send core.mail.EmailMultiAlternatives().send core.management.call_command "
    "contrib.messages core.files.storage.default_storage.save core.files.storage.default_storage.delete",
    "settings": "conf.settings", "files": "core.files.storage", "random": "utils.crypto.get_random_string",
}  # fmt: skip
KNOWN = {
    **{
        f"{r}().{n}": Known(kind)
        for r in (REQUEST, REST_REQUEST)
        for kind, names in _MEANING.items()
        for n in names.split()
    },
    **{
        f"{r}().{n}": Known("header", header)
        for r in (REQUEST, REST_REQUEST)
        for n, header in _HEADERS.items()
    },
    **{f"django.{path}": Known(kind) for kind, paths in _PATHS.items() for path in paths.split()},
    "django.middleware.csrf.get_token": Known("session", "csrf_token"),
    "django.template.context_processors.csrf": Known("session", "csrf_token"),
    "django.contrib.messages.get_messages": Known("session", "messages"),
    "waffle": Known("flag"),
    "constance.config": Known("settings"),
}
ALIASES = {
    "django.conf.urls.url": "django.urls.re_path", "django.conf.urls.": "django.urls.", "django.core.urlresolvers.": "django.urls.",
    "django.http.request.": "django.http.", "django.http.response.": "django.http.", "django.template.response.": "django.template.",
    "django.dispatch.dispatcher.": "django.dispatch.", "django.core.handlers.wsgi.WSGIRequest": REQUEST,
    "rest_framework.generics.get_object_or_404": "django.shortcuts.get_object_or_404",
    "rest_framework.views.Request": REST_REQUEST, "rest_framework.views.Response": "rest_framework.response.Response",
    "rest_framework.fields.": "rest_framework.serializers.", "rest_framework.relations.": "rest_framework.serializers.",
}  # fmt: skip
_ASKED = re.compile(r"Request\([A-Z]+\)(?=.)")


def canonical(path: str) -> str:
    return _ASKED.sub("Request()", path) if "Request(" in path else path


def is_request(path: str) -> bool:
    return path.partition("(")[0] in (REQUEST, REST_REQUEST) and path.count("(") == 1 and path.endswith(")")
