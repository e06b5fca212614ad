"""Which part of a prompt are the person's own words: not code, quotations, logs, reviews or plans that were pasted."""

import re
from dataclasses import dataclass
from functools import lru_cache

_FENCE = re.compile(r"(?:^|\n)[ \t]*(```|~~~).*?(?:\n[ \t]*\1|\Z)", re.S)
_IMAGE = re.compile(r"\[(?:Image|Pasted text)[^\]\n]{0,80}\]")
_QUOTED = re.compile(r"\"[^\"\n]{1,400}\"|“[^”\n]{1,400}”|«[^»\n]{1,400}»")
_TAG_LINE = re.compile(r"\s*</?[A-Za-z][\w-]*(?:\s[^>\n]{0,200})?>\s*\Z")

_MACHINE_LINE = re.compile(
    r"""\s*(?:
      at\s.{1,200}[(:@]\d+ | File\s".{1,200}",\sline\s\d+ | Traceback\b | Caused\sby: | \.{3}\s\d+\smore
    | (?:[A-Z]\w{0,40}(?:Error|Exception|Warning))\b | (?:error|warning|fatal|panic|npm\sERR!|ERR!|WARN|INFO|DEBUG|ERROR)\b\s*[:\[!(]
    | \[?\d{4}-\d\d-\d\d[T\s]\d\d:\d\d | \[?\d\d:\d\d:\d\d | \[\w{1,30}\]\s
    | (?:@@|\+\+\+|---|diff\s--git|index\s[0-9a-f]{6,})\s? | [+-]\s{0,8}\S.{0,200}[;{}()=]\s*\Z
    | [$%❯]\s\S | \|.{0,400}\| | [│├└┌╭╰] | \d+\s?[|│:]\s | >\s? | (?:GET|POST|PUT|DELETE|PATCH)\s/\S
    | [\w./-]{1,200}\.\w{1,5}:\d+
    )""",
    re.X,
)
_LIST_LINE = re.compile(r"\s*(?:#{1,6}\s|[-*•]\s|\d{1,2}[.)]\s|\*\*)")
_INTRODUCER = re.compile(
    r"(?:review(?:er|s)?|comments?|feedback|says?|said|wrote|writes|logs?|errors?|output|docs?|readme|issue|ticket|spec|message|trace|"
    r"coderabbit|copilot|slack|e-?mail|pasted?|below|following)\b[^.\n]{0,60}[:=]\s*\Z",
    re.I,
)

_LIST_IS_PASTED_FROM = 4
"""So many list or heading lines in one prompt are a document, not speech (assumed)."""

_LONG = 1_200
"""Characters of own words above which a prompt is a specification rather than a remark (assumed)."""


@dataclass(frozen=True, slots=True)
class OwnWords:
    """
    What the person said in a prompt.

    `text` keeps line ends. `pasted` is true where something was taken out, `long` where so much was said that it reads
    as a specification.
    """

    text: str
    pasted: bool
    long: bool


@lru_cache(maxsize=512)
def own_words(text: str) -> OwnWords:
    """A prompt's text without code blocks, quotations and pasted passages."""
    bare = _IMAGE.sub(" ", _FENCE.sub("\n", text))
    lines = bare.split("\n")
    documented = sum(1 for line in lines if _LIST_LINE.match(line)) >= _LIST_IS_PASTED_FROM
    kept: list[str] = []
    skipping = machine = False
    taken = bare != text
    for line in lines:
        if not line.strip():
            # A quotation that was introduced ends at an empty line only when it was short; a document has such lines.
            skipping = skipping and documented
            kept.append("")
            continue
        if skipping or _is_pasted(line, documented) or (machine and line[0].isspace()):
            # What a machine wrote goes on in the indented lines below it: the source in a stack trace.
            machine = not skipping
            taken = True
            continue
        machine = False
        kept.append(line)
        skipping = line.rstrip().endswith((":", "=")) and bool(_INTRODUCER.search(line))
    own = _QUOTED.sub(" QUOTED ", "\n".join(kept)).strip()
    return OwnWords(text=own, pasted=taken, long=len(own) > _LONG)


def _is_pasted(line: str, documented: bool) -> bool:
    if _MACHINE_LINE.match(line) or _TAG_LINE.match(line):
        return True
    if documented and (_LIST_LINE.match(line) or line.startswith(("  ", "\t"))):
        return True
    if len(line) < 60:
        return False
    signs = sum(1 for c in line if not (c.isalnum() or c.isspace() or c in ".,'!?-/_"))
    return signs > len(line) * 0.15
