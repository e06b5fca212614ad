"""
Objections in words: which sentence of a prompt tells the agent not to do something, and for how long.

The weights are assumed; they were set on 55 hand-read places of three public histories and are judged by others.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from cache_strategy.model.proposal import Lasts

Kind = Literal["prohibited", "undone", "blamed", "questioned", "unwanted", "preferred", "reminded"]

BECAUSE: dict[Kind, str] = {
    "prohibited": "forbids it",
    "undone": "took it back, or wants it taken back",
    "blamed": "says that it was done wrong",
    "questioned": "asks why it was done",
    "unwanted": "does not want it",
    "preferred": "wants another way",
    "reminded": "reminds of a duty",
}

ENOUGH = 0.5
"""An objection below this strength is none."""

_PARTS = {
    "NOT": r"(?:do\s*n[o']t|donn?'?t'?s?|do\s+not|don’t|never|please\s+stop|stop|quit|avoid|must\s*n[o']t|must\s+not|should\s+never|shouldn[t']+\s+ever)",
    "STRONG": r"(?:re-?)?run|execute|re-?start|kill|launch|commit|amend|push|force[- ]push|merge|rebase|squash|cherry-?pick|branch|"
    r"check\s?out|stash|reset|revert|release|deploy|publish|(?:un)?install|upgrade|downgrade|overwrite|touch|refactor|rewrite|mock|"
    r"hard-?code|lint|cache|memoi[sz]e|invalidate|flush|migrate|guess|assume|invent|bypass|skip|disable|swallow|suppress|delete|drop|"
    r"wipe|truncate|purge|edit|modify|rename|regenerate|generate|import|duplicate|store|log|test|clear|bust|evict|empty|expose|leak|"
    r"share|mess\s+with",
    "WEAK": r"add|use|change|make|remove|put|move|update|replace|create|write|keep|do|go|leave|include|set|start|open|read|copy|implement|"
    r"build|fix|try|call|send|show|print|format|return|take|get|work|act|proceed|continue|begin",
    "THINGS": r"(?:visual|browser|e2e|end-to-end|unit|integration)\s+tests?|tests?|testing|commits?|branch(?:es)?|pull\s+requests?|prs?|"
    r"comments?|docs?|documentation|readme|scripts?|mocks?|emojis?|em[- ]?dash(?:es)?|dependenc(?:y|ies)|packages?|librar(?:y|ies)|"
    r"migrations?|cache|caching|redis|todos?|type\s+ignores?|screenshots?|playwright|puppeteer|docker|servers?|containers?|database|"
    r"schema|files?|lint(?:er|ing)?|local\s?storage|print\s+statements?|console\.logs?|placeholders?|stubs?|summar(?:y|ies)|invalidation",
    "START": r"(?:^|[,;:(]\s*|[-–]\s+|\b(?:and|but|so|also|then|please|pls|ok(?:ay)?|just|you|again|because|no|now|i\s+said|i\s+told\s+you(?:\s+to)?)[,:]?\s+)",
    "DONT": r"(?:do\s*n[o'’]t|don['’]?t'?s?|do\s+not)",
    "JUST": r"(?:ever\s+|just\s+|even\s+|you\s+)*",
}
_PARTS["ING"] = rf"(?:{_PARTS['STRONG']}|{_PARTS['WEAK']})(?:\w?ing)"

_SIGNS = r"""
prohibited 0.6 not|n't|n’t|dont|never|stop|quit|avoid|shouldn <START><NOT>\s+<JUST>(?:<STRONG>|(?:<STRONG>)\w?ing)\b
prohibited 0.4 not|n't|n’t|dont|never|stop|quit|avoid|shouldn <START><NOT>\s+<JUST>(?:<WEAK>|<ING>)\b
prohibited 0.35 not|n't|n’t|dont <START><DONT>\s+<JUST>(?!be\b|let\b|get\b|want\b|like\b|seem\b|exist\b|support\b)[a-z]{3,}\b
prohibited 0.6 not|n't|n’t|shouldnt|mustnt|cant \byou\s+(?:should(?:\s+have)?\s*n[o'’]t|should\s+not|shouldnt|must\s+not|mustn'?t|can'?t\s+just|cannot\s+just)\b
prohibited 0.6 stop|quit|avoid <START>(?:stop|quit|avoid)\s+\w+ing\b
prohibited 0.5 not \b(?:better|rather)\s+not\s+(?:to\s+)?(?:<STRONG>|<WEAK>)\b
prohibited 0.5 need \bno\s+need\s+(?:to|for)\s+(?:\w+\s+)?(?:<STRONG>|<THINGS>)\b
prohibited 0.4 not|n't|n’t|never \b(?:should|must|may|can)\s*(?:not|n[o'’]t|never)\s+(?:ever\s+)?be\s+(?:updated|edited|changed|modified|committed|pushed|deleted|removed|touched|overwritten|regenerated|generated|cached|stored|logged|mocked|skipped|renamed|reverted|merged|dropped|used)\b
prohibited 0.6 leave|let|hands \b(?:leave|let)\s+(?:\S+\s+){1,5}(?:alone|as\s+(?:it\s+is|they\s+are|is))\b|\bhands\s+off\b
prohibited 0.6 not|n't|n’t|dont|never \bwe\s+(?:<DONT>|never)\s+(?:ever\s+)?(?:use|do|commit|push|mock|cache|store|add|write|run)\b
prohibited 0.6 never \bnever\s+(?:again|(?:do|happen|repeat)s?\b)|\b(?:this|that|it)\s+(?:must\s+)?never\s+(?:repeat|happen)s?\b
prohibited 0.5 not|n't|n’t|dont \b(?:you\s+<DONT>\s+(?:need|have)\s+to\s+(?:<STRONG>|<WEAK>)|we\s+<DONT>\s+(?:need|have)\s+to\s+(?:<STRONG>))\b
prohibited 0.4 need|have \b(?:do|does)\s*n[o'’]?t\s+(?:need|have)\s+to\s+be\s+(?:\w+ed|run|built|written|rewritten)\b
undone 0.8 revert|undone|undid|rolled|revers|restor|put|discard \bi(?:['’]?ve|\s+have)?\s+(?:just\s+|already\s+)?(?:reverted|undone|undid|rolled\s+back|reversed|restored|put\s+back|discarded)\b
undone 0.7 revert|undo|roll|put|restor|bring (?:<START>|\blet['’]s\s+)(?:can\s+you\s+|could\s+you\s+|please\s+)*(?:revert|undo|roll\s*back|put\s+(?:it|that|this|them)\s+back|restore|bring\s+back)\b(?=\s*(?:[.,!]|$|(?:all\s+(?:of\s+)?)?(?:that|this(?!\s+step)|it|them|those|these|your|everything|the\s+(?:last\s+|latest\s+)?(?:changes?|edits?|commits?))\b))
undone 0.35 revert|undo|roll|put|restor|bring (?:<START>|\blet['’]s\s+)(?:can\s+you\s+|could\s+you\s+|please\s+)*(?:revert|undo|roll\s*back|put\s+(?:it|that|this|them)\s+back|restore|bring\s+back)\b
blamed 0.6 you \byou(?:['’]ve|\s+have)?\s+(?:just\s+|again\s+|also\s+|once\s+again\s+|accidentally\s+|simply\s+)*(?:forgot|forgotten|missed|removed|deleted|dropped|broke|broken|overwrote|overwritten|ignored|skipped|wiped|flushed|cleared|lost|disabled|committed|pushed|cached|stored|leaked|renamed|duplicated|hard-?coded|reverted|messed)\b
blamed 0.6 you \byou\s+(?:didn['’]?t|did\s+not|never)\s+(?:invalidate|clear|run|test|commit|ask|check|update|restore|bust|evict|purge)\b
blamed 0.6 you|did \byou\s+(?:keep|kept|always)\s+\w+ing\b|\bdid\s+(?:we|you|i)\s+not\s+(?:go\s+through|tell|say|agree)\b
blamed 0.5 ask|tell|want|say \bi\s+(?:did\s*n[o'’]t|didnt|did\s+not|never)\s+(?:ask|tell|want|say)\b
blamed 0.5 not \b(?:that|this|it)['’]?\s*(?:s|is|was)\s+not\s+(?:the\s+\w+\s+(?:that\s+)?i\s+(?:was|am|asked|want|wanted|meant|said|need)|(?:what|how|where)\s+i\s+(?:asked|said|told|meant))\b
blamed 0.5 told|asked \bi\s+(?:already\s+|just\s+|specifically\s+|explicitly\s+)*(?:told|asked)\s+you\s+(?:not\s+)?to\b
blamed 0.5 wrong \bwrong\s+(?:branch|file|folder|director(?:y|ies)|repo(?:sitory)?|worktree|remote|environment|env|database|db|port|package\s+manager)\b
blamed 0.2 no|wait|stop|hold|hang ^\s*(?:no+|nope|wait|stop|hold\s+on|hang\s+on)\b(?:[,.!]+\s*\S|\s+(?:[a-z]+\s+)?(?:do\s*n[o'’]t|dont|not|never|stop|use|just|leave|you|u|that|this|it|the|revert|remove|i\s+(?:said|meant|want\w*|asked)|need)\b)
questioned 0.5 why \bwhy\s+(?:the\s+(?:hell|heck)\s+)?(?:did|do|would|are|were|have|must)\s+you\b(?!\s+(?:think|believe|suggest|prefer|recommend)\b)
questioned 0.5 why \bwhy\s+(?:are|did|do|have|were)n['’]?t\s+(?:you|we\s+\w+ing)\b
questioned 0.5 why \bwhy\s+(?:is|was)\s+(?:the\s+)?(?:agent|claude|it|the\s+\S+\s+\S+|the\s+\S+)\s+(?:being\s+)?(?:<ING>|executing|changed|edited|modified|deleted)\b
unwanted 0.5 want|need \bi\s+<DONT>\s+(?:want|need)\s+(?:you\s+to\b|(?:any|a|an|the|these|those|this|that|more)?\s*(?:\w+\s+)?(?:<THINGS>)\b)
unwanted 0.5 not|n't|n’t|dont|hate|stand \bi\s+(?:<DONT>|really\s+hate|hate|can['’]?t\s+stand)\s*(?:like\s+)?(?:the\s+|these\s+|those\s+)?(?:<THINGS>)\b
unwanted 0.6 no (?:^|[,.;]\s*|\band\s+|\bplease[,]?\s+)no\s+(?:more\s+)?(?:<THINGS>)\b(?!\s+(?:references?|contains?|exists?|are|is|were|was|have|has|ha[sd]|found|in|left)\b)
unwanted 0.6 sign|author|attribution|claude \b(?:no|not|without|never|(?:do|does)\s*n[o'’]?t|remove)\b[^.!?\n]{0,40}\b(?:sign(?:ed|ing|atures?)?\b(?!\s+(?:in|out|up|on)\b)|co-?author\w*|attributions?|(?:mention|reference|refrence|credit)\w*\s+(?:to\s+|of\s+)?claude|by\s+claude(?:\s+code)?)\b
preferred 0.6 use <START>(?:always\s+)?use\s+\S+(?:\s+\S+)?(?:,)?\s+(?:not|instead\s+of|rather\s+than|and\s+not)\s+\S+
preferred 0.35 use ^\s*use\s+\S
preferred 0.35 instead \binstead\s*[.!]*\s*$
reminded 0.3 forget|always|sure|remember <START>(?:(?:<DONT>|never)\s+forget\s+to|always|make\s+sure\s+(?:to|you)|remember\s+to)\s+(?:\w+\s+)?(?:<STRONG>|switch|create|use|run)\b
reminded 0.6 memor \b(?:save|keep|put|store|write|add|note|remember)\b[^.!?\n]{0,40}\b(?:in|into|to)\s+(?:(?:your|the|my|claude['’]?s?)\s+|all\s+(?:the\s+)?)?memor(?:y|ies)\b(?!\s+\w*(?:store|leak|usage|state|address|buffer))
reminded 0.3 sure \b(?:ensure|make\s+sure)\s+(?:this|that|it)\s+(?:never|does\s*n[o'’]t)\s+(?:repeats?|happens?)
"""
"""
One sign of an objection a line: its kind, its weight, of which words it holds at least one, and the pattern, in which <NAME>
stands for one of the parts. Looking for the words first is what makes long histories quick.
"""


def _signs() -> tuple[tuple[Kind, float, frozenset[str], re.Pattern[str]], ...]:
    rows = (line.split(" ", 3) for line in _SIGNS.strip().split("\n"))
    return tuple(
        (
            cast(Kind, kind),
            float(weight),
            frozenset(words.split("|")),
            re.compile(_NAMED.sub(lambda m: _PARTS[m[1]], pattern), re.I),
        )
        for kind, weight, words, pattern in rows
    )


_NAMED = re.compile("<([A-Z]+)>")
_PATTERNS = _signs()
_NEEDED = tuple(sorted(frozenset().union(*(words for _, _, words, _ in _PATTERNS))))
_AGENT_NOUN = re.compile(rf"\b(?:{_PARTS['THINGS']})\b", re.I)
"""Things of the agent's own work, as opposed to parts of the product."""

LASTING = re.compile(
    r"\b(?:never|ever|again|always|from\s+now\s+on|going\s+forward|in\s+(?:the\s+)?future|any\s*more|every\s*time|on\s+every|each\s+time|at\s+all|under\s+no\s+circumstances|"
    r"how\s+many\s+times|(?:i|we)\s+(?:already\s+)?told\s+you|keep(?:s)?\s+\w+ing|as\s+i\s+said)\b",
    re.I,
)
"""Says that it holds for good ("never", "again", "from now on")."""

HISTORY = re.compile(
    r"\b(?:again|ever|keep(?:s)?\s+\w+ing|stop\s+\w+ing|(?:already|i)\s+told\s+you|any\s*more|last\s+time)\b",
    re.I,
)
"""Says that it happened before: only then can a first prompt be an objection."""

THIS_TURN = re.compile(
    r"\b(?:yet|for\s+now|right\s+now|just\s+now|until|till|for\s+the\s+moment|at\s+this\s+(?:point|stage|time)|this\s+time|before\s+(?:we|i|you)\b|"
    r"while\s+(?:we|i|you)\b|not\s+now|(?:just|only)\s+(?:explain|tell|analy[sz]e|discuss|answer|plan|list|show|describe|think|investigate|research)|"
    r"let['’]?s\s+(?:just\s+)?(?:discuss|analy[sz]e|brainstorm|talk))\b",
    re.I,
)
"""Says that it holds for the moment only ("not yet", "for now")."""

_EVERYTHING = re.compile(
    r"\b(?:make|do|start|implement|change|edit|write|touch|modify|act|proceed|begin|continue|code)\b\s*(?:any(?:thing|\s+(?:code|changes?|edits?|work))?|changes?|code|coding|edits?|the\s+(?:work|implementation|code))?"
    r"\s*(?:$|[,.;!]|just\b|yet\b|only\b|but\b|for\s+now|right\s+now|until\b)",
    re.I,
)
_HYPOTHETICAL = re.compile(
    r"\b(?:what\s+if|suppose|hypothetical\w*|imagine|would\s+(?:it|that|this|we)|could\s+we|should\s+we|in\s+case|let['’]?s\s+say|wondering|"
    r"for\s+example|e\.g\.|is\s+it\s+possible|in\s+theory)\b|^\s*if\s",
    re.I,
)
_HARMLESS = re.compile(
    r"\b(?:do\s*n[o'’]t|dont|do\s+not|never)\s+(?:worry|know|think|see|understand|mind|have|get\s+(?:it|why|what|how)|remember|care|believe|hesitate|"
    r"feel|recall|be\s+(?:afraid|shy))\b|\b(?:once|when|after|if|as\s+soon\s+as|now\s+that|until|before)\s+you\b[^,.;]{0,60}|\bno\s+(?:worries|problem)\b",
    re.I,
)
_VETO = re.compile(
    r"\b(?:i|we)\s+allow\s+you|\byou\s+(?:can|may)\s+(?!not\b|just\b)|\bfeel\s+free\b|\bsorry\b|\bmy\s+(?:bad|mistake|fault)\b|"
    r"\bi\s+(?:forgot|broke|missed|deleted|messed)\b|\bnever\s*mind\b",
    re.I,
)
_NOT_AN_ACT = re.compile(r"\b(?:do\s*n[o'’]t|dont|do\s+not)\s+(?:forget|leave\s+out)\b", re.I)

_REASON = re.compile(
    r"\b(?:as|because|since|cause|cuz|so\s+that|which|when|while|if|unless|but|until|it['’]?s|it\s+is)\b",
    re.I,
)
"""Where the reason for an objection begins, and what is objected to ends."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+|\.{2,}|;\s+|\s[–—]\s|\s-\s")


@dataclass(frozen=True, slots=True)
class Objection:
    """
    One objecting sentence.

    `words` is the sentence, `core` its part from the objection to the reason given. `lasts` is "turn" for what holds
    only until the next go-ahead, `lasting` true where the words say that it holds for good.
    """

    kind: Kind
    words: str
    core: str
    strength: float
    lasts: Lasts
    lasting: bool


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, in order; dots between words and dashes end one too."""
    return [s.strip() for s in _SENTENCE.split(text) if s.strip()]


@lru_cache(maxsize=512)
def objections_in(text: str) -> tuple[Objection, ...]:
    """Every objection in a person's own words, strongest first; weak ones too: the caller knows the circumstances."""
    found = []
    turn_wide: bool | None = None
    for sentence in (whole := sentences_of(text)):
        sign = _sign_in(sentence[:600])
        if sign is not None and turn_wide is None:
            turn_wide = any(THIS_TURN.search(other) for other in whole)
        if sign is not None:
            found.append(_objection(sentence[:600], sign, bool(turn_wide)))
    return tuple(sorted(found, key=lambda o: -o.strength))


def is_supposition(sentence: str) -> bool:
    """Whether a sentence supposes, excuses or asks rather than states."""
    if _VETO.search(sentence) or _HYPOTHETICAL.search(sentence):
        return True
    return sentence.rstrip().endswith("?") and not re.search(r"\byou\b|\bwhy\b", sentence, re.I)


_Sign = tuple[float, Kind, str, str]
"""Weight and kind of the strongest sign, the core, and the sentence without what is harmless."""


def _sign_in(sentence: str) -> _Sign | None:
    lower = sentence.lower()
    there = {word for word in _NEEDED if word in lower}
    if not there or _VETO.search(sentence):
        return None
    sentence = _HARMLESS.sub(" ", sentence)
    without_reminders = _NOT_AN_ACT.sub(" ", sentence)
    best: _Sign | None = None
    for kind, weight, words, pattern in _PATTERNS:
        if words.isdisjoint(there) or (best is not None and weight <= best[0]):
            continue
        subject = sentence if kind == "reminded" else without_reminders
        match = pattern.search(subject)
        if match:
            reason = _REASON.search(subject, match.end())
            # A passive has its object before it: "the full schema should not be updated ever".
            start = 0 if re.search(r"\sbe\s", match[0]) else match.start()
            best = (weight, kind, subject[start : reason.start() if reason else None], sentence)
    return best


def _objection(original: str, sign: _Sign, turn_wide: bool) -> Objection:
    weight, kind, core, sentence = sign
    if kind == "prohibited" and core.lower().rstrip(" .").endswith("alone"):
        core = sentence
    if weight < ENOUGH and kind == "prohibited" and _AGENT_NOUN.search(sentence):
        weight += 0.2
    if sentence.rstrip().endswith("?") and kind not in ("questioned", "blamed", "undone"):
        weight -= 0.3
    if _HYPOTHETICAL.search(sentence):
        weight -= 0.4
    lasting = bool(LASTING.search(sentence))
    if lasting:
        weight += 0.25
    everything = kind == "prohibited" and bool(_EVERYTHING.search(core))
    if everything and weight < ENOUGH:
        weight += 0.2
    lasts: Lasts = (
        "turn" if THIS_TURN.search(sentence) or (everything and (turn_wide or not lasting)) else "always"
    )
    if lasting and lasts == "turn" and not re.search(r"\byet\b|\bfor now\b|\buntil\b", sentence, re.I):
        lasts = "always"
    return Objection(
        kind=kind, words=original, core=core, strength=round(weight, 2), lasts=lasts, lasting=lasting
    )
