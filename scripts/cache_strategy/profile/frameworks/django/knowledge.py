"""What the paths of Django and Django REST framework mean, and the one spelling of those that have several."""

import re

from cache_strategy.profile.library import Known

REQUEST = "django.http.HttpRequest"
REST_REQUEST = "rest_framework.request.Request"
_OF_REQUEST = {
    "GET": "query", "query_params": "query", "POST": "body", "FILES": "body", "body": "body", "data": "body",
    "META": "header", "headers": "header", "COOKIES": "cookie", "session": "session", "path": "path", "path_info": "path",
    "get_full_path": "query", "method": "path", "resolver_match": "path", "scheme": "header", "content_type": "header",
    "auth": "user", "user": "user", "LANGUAGE_CODE": "locale", "site": "tenant", "encoding": "header", "read": "body",
    "get_signed_cookie": "cookie", "accepted_renderer": "header", "version": "header", "urlconf": "tenant", "parser_context": "path",
}  # fmt: skip
_HEADERS = {"get_host": "Host", "get_port": "Host", "build_absolute_uri": "Host", "is_secure": "X-Forwarded-Proto",
            "is_ajax": "X-Requested-With", "accepts": "Accept"}  # fmt: skip
_LOCALE = (
    "django.utils.translation", "django.utils.formats", "django.utils.timezone.get_current_timezone",
    "django.utils.timezone.localtime", "django.utils.timezone.template_localtime",
)  # fmt: skip
_PLAIN = (
    "django.utils.timezone.make_aware", "django.utils.timezone.make_naive", "django.utils.timezone.timedelta",
    "django.utils.timezone.utc", "django.utils.timezone.is_aware", "django.utils.translation.override",
    "django.utils.translation.activate", "django.utils.translation.deactivate", "django.core.cache",
    "django.db.transaction", "django.core.signing", "rest_framework.request.Request().accepted_media_type",
)  # fmt: skip
_SIDE = (
    "django.core.mail.send_mail", "django.core.mail.send_mass_mail", "django.core.mail.mail_admins",
    "django.core.mail.mail_managers", "django.core.mail.EmailMessage().send",
    "django.core.mail.EmailMultiAlternatives().send", "django.core.files.storage.default_storage.save",
    "django.core.files.storage.default_storage.delete", "django.core.management.call_command",
    "django.contrib.messages.success", "django.contrib.messages.info", "django.contrib.messages.error",
    "django.contrib.messages.warning", "django.contrib.messages.debug", "django.contrib.messages.add_message",
)  # fmt: skip
KNOWN = {
    **{f"{request}().{name}": Known(kind) for request in (REQUEST, REST_REQUEST) for name, kind in _OF_REQUEST.items()},
    **{f"{request}().{name}": Known("header", header) for request in (REQUEST, REST_REQUEST) for name, header in _HEADERS.items()},
    **{path: Known("locale") for path in _LOCALE},
    **{path: Known("plain") for path in _PLAIN},
    **{path: Known("side") for path in _SIDE},
    "django.conf.settings": Known("settings"),
    "django.middleware.csrf.get_token": Known("session", "csrf_token"),
    "django.template.context_processors.csrf": Known("session", "csrf_token"),
    "django.contrib.sites.shortcuts.get_current_site": Known("tenant"),
    "django.contrib.sites.models.get_current_site": Known("tenant"),
    "django.contrib.messages.get_messages": Known("session", "messages"),
    "django.core.files.storage": Known("files"),
    "django.utils.crypto.get_random_string": Known("random"),
    "waffle.flag_is_active": Known("flag"), "waffle.switch_is_active": Known("flag"), "waffle.sample_is_active": Known("flag"),
    "constance.config": Known("settings"),
}  # fmt: skip
ALIASES = {
    "django.urls.resolvers.": "django.urls.", "django.conf.urls.url": "django.urls.re_path",
    "django.conf.urls.": "django.urls.", "django.core.urlresolvers.": "django.urls.", "django.http.request.": "django.http.",
    "django.http.response.": "django.http.", "django.dispatch.dispatcher.": "django.dispatch.",
    "django.template.response.": "django.template.", "django.utils.translation.gettext_lazy": "django.utils.translation.gettext",
    "rest_framework.generics.get_object_or_404": "django.shortcuts.get_object_or_404",
    "django.core.handlers.wsgi.WSGIRequest": REQUEST, "django.core.handlers.asgi.ASGIRequest": REQUEST,
    "rest_framework.views.Request": REST_REQUEST, "rest_framework.views.Response": "rest_framework.response.Response",
    "django.contrib.auth.hashers.": "django.utils.hashers.", "celery.utils.log.": "logging.",
}  # fmt: skip
_ASKED = re.compile(r"Request\([A-Z]+\)(?=.)")
_FIELDS = re.compile(r"^rest_framework\.(?:fields|relations|serializers\.fields)\.")


def canonical(path: str) -> str:
    """Requests of any method have the same parts."""
    if path.startswith("rest_framework."):
        path = _FIELDS.sub("rest_framework.serializers.", path)
    return _ASKED.sub("Request()", path) if "Request(" in path else path


def is_request(path: str) -> bool:
    """Whether a path is that of a request."""
    return path.partition("(")[0] in (REQUEST, REST_REQUEST) and path.count("(") == 1 and path.endswith(")")
