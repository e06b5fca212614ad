"""What calls into other packages mean: context, outside calls, side effects, plain results."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """
    What touching an external path means.

    `kind` is a context kind of the model, "outside", "side" for a side effect, or "plain" for a call without effect.
    """

    kind: str
    name: str = ""


def known_paths(kind: str, paths: str, beginning: str = "") -> dict[str, Known]:
    return {beginning + path: Known(kind) for path in paths.split()}


# Longest prefix wins; a prefix ends at a dot or at "()".
KNOWN: dict[str, Known] = {
    **known_paths(
        "time",
        """time.time time.time_ns time.localtime time.gmtime time.ctime time.strftime datetime.datetime.now
        datetime.datetime.utcnow datetime.datetime.today datetime.date.today arrow.now arrow.utcnow
        pendulum.now pendulum.today pendulum.utcnow django.utils.timezone.now
        django.utils.timezone.localdate django.utils.timezone.localtime""",
    ),
    **known_paths(
        "random",
        """random secrets uuid.uuid1 uuid.uuid4 os.urandom numpy.random shortuuid nanoid ulid""",
    ),
    **known_paths("plain", "random.Random"),
    **known_paths("environment", "os.environ os.getenv os.getcwd socket.gethostname platform"),
    **known_paths(
        "files",
        """builtins.open io.open codecs.open os.listdir os.scandir os.walk os.stat os.path.getmtime
        os.path.getsize os.path.exists os.path.isfile os.path.isdir glob pathlib.Path().read_text
        pathlib.Path().read_bytes pathlib.Path().open pathlib.Path().exists pathlib.Path().iterdir
        pathlib.Path().glob pathlib.Path().rglob pathlib.Path().stat importlib.resources
        pkg_resources.resource_string pkgutil.get_data zipfile.ZipFile tarfile.open csv.reader
        pandas.read_csv pandas.read_excel PIL.Image.open""",
    ),
    **known_paths(
        "side",
        """os.remove os.unlink os.rename os.replace os.mkdir os.makedirs os.rmdir shutil subprocess os.system
        os.popen smtplib threading.Thread multiprocessing pathlib.Path().write_text
        pathlib.Path().write_bytes pathlib.Path().mkdir pathlib.Path().unlink tempfile signal""",
    ),
    **known_paths("plain", "subprocess.CalledProcessError subprocess.PIPE tempfile.gettempdir"),
    **known_paths(
        "outside",
        """requests httpx urllib.request urllib3 aiohttp http.client boto3 botocore socket ftplib paramiko
        redis memcache pymemcache pylibmc pymongo elasticsearch elasticsearch_dsl opensearchpy
        algoliasearch meilisearch pysolr whoosh stripe twilio sendgrid slack_sdk slacker tweepy github
        googleapiclient google.cloud azure ldap ldap3 grpc xmlrpc.client feedparser.parse dns kubernetes
        docker openai anthropic geopy geoip2 pyodbc cx_Oracle oauth2client requests_oauthlib authlib kafka
        pika influxdb cassandra neo4j hvac""",
    ),
    **known_paths(
        "plain",
        """requests.exceptions requests.auth httpx.HTTPError redis.exceptions requests.RequestException
        requests.HTTPError requests.ConnectionError requests.Timeout urllib.request.Request stripe.error
        aiohttp.ClientError socket.error socket.timeout botocore.exceptions google.cloud.exceptions
        elasticsearch.exceptions urllib3.util requests.codes urllib.request.quote urllib.request.unquote
        urllib.request.urlencode""",
    ),
    # what a middleware keeps for the request at hand
    **known_paths("session", "contextvars.ContextVar() threading.local() werkzeug.local.Local()"),
    **known_paths("plain", "contextvars.ContextVar().set contextvars.ContextVar().reset"),
    **known_paths("locale", "locale gettext babel.default_locale"),
    **known_paths(
        "caller", "inspect.currentframe inspect.stack inspect.trace sys._getframe traceback.extract_stack"
    ),
}

_WRITING_VERBS = frozenset("post put patch delete send_message sendmail publish set".split())

CACHES = tuple(
    """flask_caching. flask_cache. cachetools. functools.lru_cache functools.cache dogpile. cashews. aiocache. diskcache.
    werkzeug.contrib.cache cachelib. joblib.Memory beaker. django.core.cache fastapi_cache. methodtools. async_lru.
    redis. pymemcache. pylibmc. memcache.""".split()
)
ONCE = frozenset(
    "functools.lru_cache functools.lru_cache() functools.cache async_lru.alru_cache async_lru.alru_cache()".split()
)
"""Decorators by which a process executes a function once for the same arguments."""
KEEPING = frozenset(
    "get set get_many set_many mget setex hget hset get_or_create get_or_set getset add".split()
)
"""Methods by which caches are asked and filled."""
KEPT_BY_CLIENTS = frozenset(
    "Cache-Control Expires ETag Surrogate-Control Surrogate-Key CDN-Cache-Control".split()
)

# Packages whose calls compute and nothing else; what is missing here is reported as unknown, never as harmless.
PURE = frozenset(sys.stdlib_module_names).union(
    """cache_strategy markdown mistune commonmark bleach slugify markupsafe jinja2 marshmallow werkzeug dateutil babel pytz
    yaml numpy pandas PIL cryptography jwt bcrypt passlib itsdangerous wtforms flask_wtf wtforms_sqlalchemy
    click attr attrs pydantic simplejson orjson ujson humanize pygments emoji phonenumbers lxml bs4 toolz
    more_itertools flask flask_sqlalchemy sqlalchemy flask_restful flask_restplus flask_restx flask_login
    flask_jwt_extended flask_bcrypt flask_babel flask_migrate flask_marshmallow marshmallow_sqlalchemy
    webargs flask_apispec apispec flask_smorest six typing_extensions packaging docutils unidecode
    xlsxwriter openpyxl reportlab weasyprint defusedxml cachetools blinker structlog loguru sentry_sdk
    prometheus_client arrow pendulum isodate jsonschema html5lib cssselect tabulate colorama termcolor rich
    tqdm email_validator validators furl yarl flask_cors flask_caching flask_limiter flask_talisman
    whitenoise wrapt decorator inflection inflect scipy sklearn shapely networkx starlette fastapi django
    rest_framework sqlalchemy_utils alembic flask_admin flask_principal flask_security flask_httpauth dotenv
    decouple environs pyotp qrcode hashids zxcvbn icalendar user_agents ua_parser langdetect textile""".split()
)

# Methods of text, numbers, dates, containers and regular expressions: calling them on something that is not
# known has no effect outside of it.
DATA_METHODS = {
    name
    for kind in (str, bytes, list, dict, set, tuple, int, float, frozenset)
    for name in dir(kind)
    if not name.startswith("_")
}.union(
    """isoformat strftime timestamp date time astimezone timetuple total_seconds weekday isocalendar group
    groups groupdict match search sub findall finditer fullmatch appendleft popleft most_common elements
    read readline readlines close seek tell getvalue hexdigest digest tolist to_dict dict json info debug
    warning error exception critical log warn quantize is_integer as_integer_ratio utcoffset fileno localize
    get_json getlist toordinal wait acquire release result done cancel humanize total getall next send throw
    __init__ __call__ __enter__ __exit__""".split()
)

_cache: dict[str, Known | None] = {}


def known(path: str) -> Known | None:
    """What the longest known prefix of an external path means; None where nothing is known of it."""
    if path not in _cache:
        _cache[path] = _longest(path)
    return _cache[path]


def _longest(path: str) -> Known | None:
    rest = path
    while rest:
        found = KNOWN.get(rest)
        if found is not None:
            return found
        rest = rest[:-2] if rest.endswith("()") else rest.rpartition(".")[0]
    return None


def is_writing_call(path: str) -> bool:
    return path.rstrip("()").rpartition(".")[2] in _WRITING_VERBS


def package_of(path: str) -> str:
    return path.partition(".")[0].rstrip("()")


def is_pure_package(path: str) -> bool:
    """Whether calls into the path's package compute and nothing else, as far as `KNOWN` does not say otherwise."""
    return package_of(path) in PURE or path.startswith("builtins.")
