import os
from urllib.parse import urlsplit

SECRET_KEY = "for this example alone"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "press.urls"
AUTH_USER_MODEL = "people.Member"
PAGE_SIZE = 20
_url = urlsplit(os.environ.get("DATABASE_URL", "sqlite:///press.sqlite3"))
DATABASES = {
    "default": {
        "ENGINE": f"django.db.backends.{'postgresql' if _url.hostname else 'sqlite3'}",
        "NAME": _url.path.strip("/"),
        "USER": _url.username or "",
        "HOST": _url.hostname or "",
        "PORT": _url.port or "",
    }
}
MIGRATION_MODULES = dict.fromkeys(
    "admin auth contenttypes sessions people articles".split()
)  # tables from the models
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "people",
    "articles.apps.ArticlesConfig",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
MIDDLEWARE += ["press.middleware.EditionMiddleware"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "articles.context.notices",
            ]
        },
    }
]
REST_FRAMEWORK = {"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"]}
