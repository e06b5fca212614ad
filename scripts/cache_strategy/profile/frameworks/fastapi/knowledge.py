"""What the paths of FastAPI and Starlette mean, and the one spelling of those that have several."""

from cache_strategy.profile.library import Known

APPLICATION = "fastapi.FastAPI()"
ROUTER = "fastapi.APIRouter()"
REQUEST = "fastapi.Request()"
DEPENDS = ("fastapi.Depends()", "fastapi.Security()")
MARKERS = {
    "fastapi.Path()": "path", "fastapi.Query()": "query", "fastapi.Header()": "header", "fastapi.Cookie()": "cookie",
    "fastapi.Body()": "body", "fastapi.Form()": "body", "fastapi.File()": "body",
}  # fmt: skip
SCHEMES = ("fastapi.security.", "fastapi_users.", "fastapi_jwt_auth.", "fastapi_jwt.", "fastapi_login.")
"""Objects of these packages that are depended upon look at who asks."""

STRUCTURAL = frozenset(
    {APPLICATION, ROUTER, *DEPENDS, *MARKERS, "fastapi.Route()", "fastapi.Mount()", "fastapi.templating.Jinja2Templates()",
     "fastapi_users.FastAPIUsers()"}
)  # fmt: skip

_REQUEST = {
    "query_params": Known("query"),
    "url.query": Known("query"),
    "url": Known("query"),
    "url.path": Known("path"),
    "path_params": Known("path"),
    "scope": Known("path"),
    "method": Known("path"),
    "headers": Known("header"),
    "base_url": Known("header", "Host"),
    "client": Known("header", "X-Forwarded-For"),
    "cookies": Known("cookie"),
    "session": Known("session"),
    "user": Known("user"),
    "auth": Known("user"),
    "body": Known("body"),
    "json": Known("body"),
    "form": Known("body"),
    "stream": Known("body"),
}
KNOWN = {
    **{f"{REQUEST}.{name}": known for name, known in _REQUEST.items()},
    f"{REQUEST}.url_for": Known("plain"),
    "fastapi.Response().set_cookie": Known("side"),
    "fastapi.Response().delete_cookie": Known("side"),
    "fastapi.responses.FileResponse": Known("files"),
    "fastapi_mail": Known("side"),
}
_SAME = {
    "fastapi": (
        "routing",
        "applications",
        "params",
        "param_functions",
        "requests",
        "background",
        "datastructures",
    ),
    "starlette": ("routing", "applications", "requests", "background", "datastructures"),
}
ALIASES = {
    **{f"{package}.{module}.": "fastapi." for package, modules in _SAME.items() for module in modules},
    **{f"fastapi.security.{module}.": "fastapi.security." for module in ("oauth2", "http", "api_key", "open_id_connect_url")},
    "fastapi.HTTPConnection": "fastapi.Request",
    "fastapi.WebSocket": "fastapi.Request",
    "fastapi.Starlette": "fastapi.FastAPI",
    "fastapi.Router": "fastapi.APIRouter",
    "starlette.responses.Response": "fastapi.Response",
    "fastapi.responses.Response": "fastapi.Response",
    "starlette.responses.": "fastapi.responses.",
    "starlette.templating.": "fastapi.templating.",
    "fastapi.responses.JSONResponse().set_cookie": "fastapi.Response().set_cookie",
    "fastapi.responses.RedirectResponse().set_cookie": "fastapi.Response().set_cookie",
    f"{REQUEST}.app": APPLICATION,
}  # fmt: skip
