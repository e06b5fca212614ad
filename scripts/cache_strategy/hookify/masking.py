"""Takes secrets and control characters out of a text before it is shown or stored."""

import re

MASK = "MASKED"
"""Stands for a secret. An identifier, so that masked code still parses."""

_READ_AT_MOST = 20_000
"""Characters of a text that are looked at; a longer one is cut there first."""

_NAMES = (
    r"pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[-_]?key|access[-_]?key|private[-_]?key"
    r"|signing[-_]?key|encryption[-_]?key|client[-_]?secret|auth[-_]?key|session[-_]?key"
)

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.S,
)

_WHOLE = (
    re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"),
    re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,})"),
    re.compile(r"\b(?:sk|pk|rk)[-_](?:ant|live|test|proj|or)?[-_]?[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}"),
    re.compile(r"\bAIza[A-Za-z0-9_-]{20,}"),
    re.compile(r"\b(?:npm|pypi|hf|dop_v1|shpat|SG|ya29)[-_.][A-Za-z0-9_.-]{20,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"),
)

_KEEP_FIRST = (
    re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/@'\"<>]{0,200}:[^\s@'\"<>]{1,200}(?=@)", re.I),
    re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/@:'\"<>]{16,200}(?=@)", re.I),
    re.compile(
        r"(\b(?:authorization|proxy-authorization|x-api-key|x-auth-token|set-cookie|cookie)\s*[:=]\s*)[^\r\n'\"]+",
        re.I,
    ),
    re.compile(r"(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.I),
    re.compile(r"(\bredis-cli\b[^\r\n;|&]{0,200}?\s-a\s+)\S+"),
    re.compile(r"(\bcurl\b[^\r\n;|&]{0,200}?\s(?:-u|--user)[\s=]+)\S+"),
    re.compile(r"(\bsshpass\s+-p\s*)\S+"),
    re.compile(r"(\bdocker\s+login\b[^\r\n;|&]{0,200}?\s-p\s*)\S+"),
    re.compile(r"(\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\r\n;|&]{0,200}?\s-p)[^\s-]\S*"),
)

_ASSIGNED = re.compile(
    rf"(?P<name>[A-Za-z0-9_.-]{{0,40}}(?:{_NAMES})[A-Za-z0-9_]{{0,20}}[\"']?)"
    r"(?P<sign>\s*:\s*[A-Za-z][\w.\[\]| ]{0,40}=\s*|\s*(?::=|=|:)\s*|\s+is:?\s+(?=[^\s]*\d)|(?<=[A-Za-z])\s+(?=['\"]))"
    r"(?P<value>\"[^\"\r\n]{1,400}\"|'[^'\r\n]{1,400}'|[^\s'\",;)}\]]{1,400})",
    re.I,
)
_FLAG = re.compile(
    rf"(?P<name>(?<!\S)--?[A-Za-z0-9-]{{0,40}}(?:{_NAMES})[A-Za-z0-9-]{{0,20}})(?P<sign>\s+|=)(?P<value>[^\s-]\S{{0,400}})",
    re.I,
)
_CODE_VALUE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*[.(\[]|None\b|True\b|False\b|str\b|bytes\b|\$|MASKED)")
_DENSE = re.compile(r"(?<![A-Za-z0-9+_-])[A-Za-z0-9+_-]{32,}={0,2}")
_DIFFERENT = 16
"""So many different characters in a long word without a space: nobody speaks so (assumed)."""

_HEX = re.compile(r"[0-9a-fA-F]+\Z")

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?|.)", re.S)
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def masked(text: str) -> str:
    """
    The text without keys, tokens, passwords, private key blocks and credentials in URLs. At most 20,000 characters.

    Rather one word too many than one too few: a value is masked for its name ("token: …") or for its shape.
    """
    text = text[:_READ_AT_MOST]
    text = _PRIVATE_KEY.sub(MASK, text)
    for pattern in _KEEP_FIRST:
        text = pattern.sub(rf"\1{MASK}", text)
    for pattern in _WHOLE:
        text = pattern.sub(MASK, text)
    text = _FLAG.sub(rf"\g<name>\g<sign>{MASK}", text)
    text = _ASSIGNED.sub(_mask_assigned, text)
    return _DENSE.sub(_mask_dense, text)


def _mask_assigned(match: re.Match[str]) -> str:
    value = match["value"]
    quote = value[0] if value[0] in "\"'" else ""
    if not quote and _CODE_VALUE.match(value):
        return match[0]
    if quote and len(value) <= 2:
        return match[0]
    return f"{match['name']}{match['sign']}{quote}{MASK}{quote}"


def _mask_dense(match: re.Match[str]) -> str:
    text = match[0]
    if _HEX.match(text):
        return MASK if any(c.isdigit() for c in text) else text
    mixed = all(any(map(kind, text)) for kind in (str.isdigit, str.isupper, str.islower))
    return MASK if mixed and len(set(text)) >= _DIFFERENT else text


def plain(text: str) -> str:
    """The text without terminal escapes, control and invisible characters; line ends and tabs stay."""
    return _INVISIBLE.sub("", _ESCAPE_SEQUENCE.sub("", text))


def shown(text: str, limit: int = 200) -> str:
    """One line for people: masked, plain, white space folded, cut at `limit` characters."""
    line = " ".join(masked(plain(text[: _READ_AT_MOST * 2])).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
