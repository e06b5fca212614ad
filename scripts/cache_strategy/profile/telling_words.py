"""The words by which names, places and bodies of functions are told apart; `signals` looks for them."""

import re

FIRST_WORDS = {
    "asks": "get fetch load find lookup retrieve read query browse search collect",
    "lists": "list all iter enumerate",
    "yes or no": "is has can should allowed exists are was supports use uses",
    "counts": "count num number total sum",
    "works out": """calculate compute derive predict resolve generate build make parse convert extract determine detect guess
        render format display process expand analyze analyse transform""",
    "does": """set save create update delete add remove insert post put patch clear reset write store send publish handle run
        execute main start stop close register init setup upgrade downgrade migrate clean validate import export upload sync
        notify enqueue log on do perform apply destroy archive move copy submit login logout edit new forwards backwards assert
        test mock download ensure mark toggle enable disable record refresh revoke approve reject cancel merge link unlink
        subscribe unsubscribe install uninstall bulk change increment decrement check""",
    "page": "index home view page detail show dashboard landing feed homepage",
    "converts": "to as from with for",
}
KIND_OF_FIRST_WORD = {word: kind for kind, words in FIRST_WORDS.items() for word in words.split()}

NAMED = {
    kind: frozenset(words.split())
    for kind, words in {
        "statistics": """count counts number num total totals sum stats statistics statistic summary report metrics metric usage
            score scores rating ratings average rank ranking chart charts graph overview analytics histogram progress""",
        "front page": """top popular latest recent best featured trending home index feed landing dashboard frontpage suggested
            recommended related random""",
        "configuration": """config configuration settings setting option options feature features flag flags preferences schema
            version versions metadata info menu nav navigation sidebar plugins plugin enabled languages countries types choices
            banner announcement announcements sites site""",
        "rendering": """render display html markdown preview thumbnail image icon badge avatar svg css knowl snippet content
            text""",
        "identity": "by from for of id ids slug name key",
        "user": "user users account profile author",
        "change": """save create update delete remove send submit edit form upload import migrate email mail notify notification
            validate clean""",
    }.items()
}

PLACES = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "commands": r"management/|commands?/|script|cli[./]|bin/|manage|cron|worker|fabfile|deploy",
        "views": r"view|route|endpoint|handler|resource|controller|main/|web/|frontend|pages?/",
        "migrations": r"migrat|alembic",
        "vendor": r"vendor|third_party|/lib/|ext/|contrib",
        "admin": r"admin",
        "importers": r"import|export|etl|crawl|scrap|loader",
        "search": r"search|elastic",
        "tasks": r"tasks?[./_]|celery|jobs?[./]",
        "middleware": r"middleware",
        "api": r"(^|/|_)api",
        "clients": r"client|service|integration|provider|gateway|backend|external|lookup",
    }.items()
}

CLASSES = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "object": r"^object$",
        "client": r"Client|API$|Service|Provider|Backend|Session",
        "manager": r"Manager$|QuerySet$",
        "filter": r"Filter|Query",
    }.items()
}
MODEL = re.compile(r"Model$|^Base$|Document$|db\.Model|Entity")

DECORATORS = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "hook": r"receiver|listens|errorhandler|validator|before|after|contextmanager|wraps|fixture|abstract|override|setter|"
        r"validates|pre_|post_",
        "route": r"route|\.get$|\.get\(|api_route|expose",
        "http": r"vary|http_method|require_GET|require_safe|xframe|csrf_exempt",
        "template tag": r"simple_tag|\.filter|inclusion_tag|context_processor|template_filter|template_global|assignment_tag|"
        r"register|jinja",
    }.items()
}
CACHED = re.compile(r"cache|memoiz|(^|[._])(memo|condition|etag|last_modified)(\(|$)", re.IGNORECASE)
NOT_CACHED = re.compile(
    r"never_cache|cached_property|no_?cache|cached_classproperty|clear|invalidat|delete|flush|reify|bust|cache_key|expire|"
    r"uncache|skip|disable|override",
    re.IGNORECASE,
)

IDENTIFYING = re.compile(
    r"(^|_)(id|ids|pk|slug|name|key|hash|code|uuid|label|type|text|content|path|url|domain|title|version|lang|locale|"
    r"language|number|value|model|currency|email|date|year|month|limit|count|username|mbid)s?$"
)
OBJECTS = frozenset(
    """form instance obj data payload body db conn cursor callback func parser app logger event sender args kwargs value
    response queryset qs stream file session""".split()
)
PARSERS = (
    "markdown", "mistune", "commonmark", "bleach", "docutils", "pygments", "yaml", "lxml", "bs4", "feedparser", "PIL", "xml",
    "textile", "csv", "openpyxl", "html5lib", "jinja2", "numpy", "pandas", "sklearn", "tiktoken", "nltk", "cryptography",
    "hashlib", "re.compile", "pickle", "zipfile", "subprocess", "geoip", "babel", "polib", "toml", "json.load", "ast",
    "difflib", "stat", "glob", "os.walk", "os.listdir", "os.path.getmtime", "open",
)  # fmt: skip

MENTIONED = {
    kind: frozenset(words.split())
    for kind, words in {
        "queries": """objects filter filter_by query execute select scalar fetchall fetchone exclude select_related
            prefetch_related order_by values_list find_one lookup aggregate annotate count exists""",
        "requests": "requests urlopen httpx aiohttp urllib boto3 session client",
        "writes": """save create update delete add commit bulk_create insert send delay apply_async publish write flush put post
            patch""",
        "refusals": "ValidationError errors is_valid cleaned_data messages flash",
        "aggregates": "aggregate annotate Count Sum Avg count distinct func group_by",
        "digests": "md5 sha1 sha256 hashlib pbkdf2_hmac encode PBKDF2HMAC",
        "rendering": "render_to_string get_template Markup mark_safe format_html markdown render",
    }.items()
}
