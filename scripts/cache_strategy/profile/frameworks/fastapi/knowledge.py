"""What the paths of FastAPI and Starlette mean, and the one spelling of those that have several."""

from cache_strategy.profile.library import Known

APPLICATION = "fastapi.FastAPI()"
ROUTER = "fastapi.APIRouter()"
REQUEST = "fastapi.Request()"
DEPENDS = ("fastapi.Depends()", "fastapi.Security()")
MARKERS = {
    f"fastapi.{name}()": "body" if name in ("Form", "File") else name.lower()
    for name in ("Path", "Query", "Header", "Cookie", "Body", "Form", "File")
}
# Objects of these packages that are depended upon look at who asks.
SCHEMES = ("fastapi.security.", "fastapi_users.", "fastapi_jwt_auth.", "fastapi_jwt.", "fastapi_login.")
STRUCTURAL = frozenset({APPLICATION, ROUTER, *DEPENDS, *MARKERS, "fastapi_users.FastAPIUsers()"})
_READ = {
    "query": ("query_params", "url"),
    "path": ("url.path", "path_params", "scope", "method"),
    "header": ("headers", "base_url", "client"),
    "cookie": ("cookies",),
    "session": ("session",),
    "user": ("user", "auth"),
    "body": ("body", "json", "form", "stream"),
}
KNOWN = {
    **{f"{REQUEST}.{name}": Known(kind) for kind, names in _READ.items() for name in names},
    f"{REQUEST}.url_for": Known("plain"),
    "fastapi.Response().set_cookie": Known("side"),
    "fastapi.Response().delete_cookie": Known("side"),
    "fastapi.responses.FileResponse": Known("files"),
}
_MODULES = (
    "routing",
    "applications",
    "params",
    "param_functions",
    "requests",
    "background",
    "datastructures",
)
ALIASES = {
    **{f"{package}.{module}.": "fastapi." for package in ("fastapi", "starlette") for module in _MODULES},
    **{f"fastapi.security.{name}.": "fastapi.security." for name in ("oauth2", "http", "api_key")},
    "fastapi.HTTPConnection": "fastapi.Request",
    "fastapi.Starlette": "fastapi.FastAPI",
    "fastapi.Router": "fastapi.APIRouter",
    "starlette.responses.": "fastapi.responses.",
    "fastapi.responses.JSONResponse().": "fastapi.Response().",
    "fastapi.responses.Response": "fastapi.Response",
    f"{REQUEST}.app": APPLICATION,
}
