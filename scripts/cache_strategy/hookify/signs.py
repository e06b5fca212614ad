r"""
Signs that a prompt objects to what the agent did, where no verb says so: in its words, its moment, the agent's answer.

One sign alone proves nothing; their weights add up. A logistic regression found the weights on prompts read by hand, the
threshold is the one that held when each repository in turn was left out. Not among them, though tried: words shared with a
call, the same file edited again, a write into the agent's memory, a thing taken back with git: those follow wishes too.
"""

import math
import re
from dataclasses import dataclass

from cache_strategy.hookify.linking import linked
from cache_strategy.hookify.provenance import OwnWords
from cache_strategy.hookify.transcripts import Prompt, ToolCall
from cache_strategy.hookify.wording import ENOUGH, objections_in

TELLING = 0.4
"""Probability from which a prompt counts: with each repository left out in turn 70 % of the objections, 10 % of what resembles one."""

_NOTHING_ELSE = -2.55
_VERY_SHORT, _SHORT, _LONG = 4, 25, 120

_WORDS = r"""
1.92 says what the agent did: (?<!can )(?<!could )(?<!if )(?<!would )(?<!thank )(?<!do )(?<!once )(?<!when )(?<!are )\b(?:you|u)(?:['’]?(?:ve|re))?\s+(?:just\s+|also\s+|have\s+|are\s+|were\s+|all\s+|actually\s+|again\s+|still\s+|keep\s+|already\s+|always\s+)*(?:\w{2,}ed|did(?:n['’]?t|nt)?|made|broke|ran|wrote|put|took|went|forgot|lost|kept|keep|got|gave|left|cut|sent|\w{2,}ing|never|always|still|again|suck|shouldn['’]?t|should|dont|don['’]t)\b|\bagents\s+(?:keep|kept|always|never)\b|\bi(?:['’]?ve|\s+have)?\s+(?:just\s+)?(?:reversed|reverted|undid|undone)\s+(?:your|all|the)\b
1.15 asks why: \b(?:why(?!\s+(?:(?:do|did|would)\s+(?:you|u)\s+(?:think|believe|say|suggest|mean)\b|do\s?n['’]?t\s+(?:we|you|i)\s+have|do(?:es)?\s+(?:it|the|this|that|i)\b|does\s?n['’]?t|is\s+(?:it|this|that|there|one)\b|can['’]?t|couldn['’]?t))|how\s+come|any\s+reason|what['’]?s\s+the\s+(?:reason|point)|what\s+are\s+you\s+doing|how\s+is\s+it\s+possible)\b
0.60 says how the work is done here: \byou(?:['’]?re|\s+are)?\s+(?:just\s+)?(?:should\b(?!\s+(?:see|get|find|notice))|supposed|must\b|need\s+to|have\s+to|ought)|\bmake\s+sure\s+(?:you|to|that\s+you)\b|\bnext\s+time\b|\bwe\s+(?:use|never|always|only)\b|\bplease\s+(?:don['’]?t|do\s+not|never|always|remember|stop|use)\b
0.90 is annoyed: \b(?:fuck\w*|fkn|wtf|ffs+|shit\w*|damn|stupid|dumb\w*|idiot\w*|hell|bro|dude|lol|omg|ugh|seriously|come\s+on|for\s+god)\b|\?\?|!!|\?!|!\?
0.75 wants to be asked: \bwithout\s+(?:my|me|ask\w*|check\w*|let\w*|tell\w*|confirm\w*|permission|approval|saying|verif\w*|test\w*|read\w*)\b|\b(?:ask|check|confirm)\w*\s+(?:with\s+)?me\b|\b(?:tell|show|let)\s+me\s+(?:know\s+)?(?:first|before)|\bpermission\b|\bi\s+(?:did\s?n['’]?t|never|did\s+not)\s+(?:ask|say|tell|approve|want)|\bask\s+(?:first|before)
0.32 asks why not: \b(?:can['’]?t|should\s?n['’]?t|is\s?n['’]?t|are\s?n['’]?t|did\s?n['’]?t|does\s?n['’]?t|have\s?n['’]?t|would\s?n['’]?t|could\s?n['’]?t|why\s+not|not\s+just)\b[^.!\n]*\?
0.73 says no: \b(?:not|no|never|without|nothing|don['’]?t|dont|do\s+not|didn['’]?t|didnt|isn['’]?t|aren['’]?t|can['’]?t|cannot|shouldn['’]?t|won['’]?t|wasn['’]?t)\b
0.73 says that it happened before: \bkeeps?\s+(?:on\s+)?\w+ing\b|\bre-?occur+ing|\brecurr\w*|\brepeatedly\b|\bover\s+and\s+over\b|\b(?:how\s+many|multiple|several|many)\s+times\b|\blast\s+time\b|\byesterday\b|\bevery\s*time\b|\bsame\s+(?:way|mistake|problem)\b|\b(?:told|tell|remind(?:ed)?|asked)\s+(?:you|agents|claude)\b|\balready\s+(?:told|said|did|done|set|discussed|agreed)|\b(?:have|had|need)\s+to\s+again\b|(?<!try )(?<!tried )(?<!it )(?<!that )(?<!back )(?<!once )(?<!run )(?<!do )\bagain\b(?!\s+(?:with|but|and|at|on|from)\b)
1.54 speaks of a rule: \brules?\b(?!\s+(?:engine|file|set))|\bviolat\w*|\bignor(?:ed|ing)\s+(?:me|my|our|this|that|it|the|what|your)\b|\bstrictly?\b|\b(?:your|the|these|my|our)\s+instructions?\b|\bour\s+conventions?\b|\bprotocols?\b|\bsupposed\s+to\b|\bremember\b(?!\s+(?:when|how|what))|\b(?:you|claude|do\s*n[o'’]t|dont|do\s+not|to|please)\s+forg[eo]t\w*|(?:^|[.!?,;:#-]\s*|\b(?:and|please|must|should|to)\s+)(?:always|never)\s+(?!be\b|been\b)|\bfrom\s+now\s+on\b(?!\s+every)|\b(?:for|in)\s+(?:the\s+)?future\b|\bnext\s+time\b|\b(?:each|every)\s+(?:new\s+)?session\b|\bnot\s+allowed\b|\bunless\s+(?:i|explicitly)\b
0.12 begins with no: \A\W*(?:no+|nope|wait|stop|hold\s+on|hang\s+on)\b
-0.71 states a fact: \bi\s+(?:think|believe|guess|thought|don['’]?t\s+(?:know|think|understand|see|recall|get))\b|\bit(?:['’]?s|\s+is)\b|\bthere(?:['’]?s|\s+is|\s+are)\b|\bthat(?:['’]?s|\s+is)\b
-0.95 speaks of the product: \bstill\s+(?:not|no|doesn|does\s+not|shows?|see|says?|get\w*|the|broken|crash\w*|there|fail\w*)|\b(?:does|do|is|are|was)\s?n['’]?o?t\s+(?:\w+\s+)?(?:work\w*|show\w*|appear\w*|load\w*|updat\w*|there|visible|display\w*|chang\w*)|\berrors?\b|\bcrash\w*|\bbugs?\b|\bfail(?:s|ed|ing|ure)\b|\b(?:pages?|buttons?|screens?|ui|menu|modal|sidebar|header|footer|icons?|logo|layout|image|font|colou?rs?|tab|dashboard|click\w*|scroll\w*|display\w*|login|users?)\b|\bi\s+(?:see|get|got|can['’]?t\s+(?:see|find))\b|\bwhen\s+i\b|\bnot\s+(?:working|showing|there|visible)\b|\blooks?\b
"""
_ANSWERS = r"""
1.09 the agent apologised: \b(?:sorry|apolog\w+|my\s+(?:bad|mistake|fault|error)|i\s+should(?:\s+have|['’]ve|\s+not|n['’]t)|i\s+shouldn['’]t|i\s+was\s+wrong|i\s+(?:missed|overlooked|misread|misunderstood|overstepped|jumped|forgot|got\s+ahead|made\s+a\s+mistake|ignored|skipped|assumed)|no\s+good\s+reason|(?:a|my)\s+(?:miss|slip|oversight)|oversight)\b
0.77 the agent promised to act otherwise: \b(?:i['’]ll|i\s+will|let\s+me)\s+(?:\w+\s+)?(?:stop|revert|undo|restore|put\s+\w+\s+back|switch|never|not\b|wait|ask|skip|drop|leave|avoid|redo|correct|hold)|\b(?:i\s+)?won['’]?t\b|\bfrom\s+now\s+on\b|\bgoing\s+forward\b|\bnext\s+time\b
0.65 the agent agreed: \A\W*(?:(?:ah|oh|yes|yeah|okay|ok|hmm|ha|haha|and|no)\W+){0,2}(?:you(?:['’]re|\s+are)\s+(?:\w+\s+)?(?:right|correct)|fair\b|good\s+(?:catch|point|call|eye)|great\s+(?:catch|point)|valid\b|makes\s+sense|agreed|exactly|that['’]s\s+(?:fair|right|a\s+(?:fair|good))|right\b|true\b|correct\b)
"""
"""One sign a line: its weight, the reason it gives, and the pattern that finds it."""

_NEEDS = {
    "says that it happened before": "keep|occur|recurr|repeatedly|over|times|last|yesterday|every|same|told|tell|remind|asked|already|again",
    "speaks of a rule": "rule|violat|ignor|strict|instruction|convention|protocol|suppos|remember|forg|always|never|now|future|next|session|allowed|unless",
}
"""Of which words the slowest signs hold at least one."""

_MOMENTS = {
    "objects weakly": 2.15,
    "an objection": 1.08,
    "speaks of a call": 0.68,
    "came after an interrupt": 1.07,
    "is short": 0.12,
    "asks why of a deed": 0.73,
    "followed a question of the agent": 0.44,
    "length": -0.27,
    "nothing was done before": -0.59,
    "holds pasted text": -1.18,
    "is long": -1.51,
    "is a word or two": -1.27,
}
_TOO_LONG = 2500
"""Characters of a specification, in which everything is said once."""

_OFFERED = re.compile(
    r"\?\s*\W*\Z|\b(?:want\s+me\s+to|shall\s+i|should\s+i|would\s+you\s+like|do\s+you\s+want|let\s+me\s+know|which\s+(?:one|option))\b[^\n]*\Z",
    re.I,
)
_WHY_A_DEED = re.compile(
    r"\b(?:why|how\s+come|any\s+reason|what['’]?s\s+the\s+reason)\b[^.?!\n]{0,60}\b(?:you|u|we|agent|claude)\b\s+(?!think|say|show|suggest|believe|mean|have\b|need\b|care)\w+"
    r"|\bwhy\s+(?:the\s+)?\w+ing\b|\bwhy\s+\w+\s+and\s+not\b|\bwhat\s+are\s+you\s+doing",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Signs:
    """How sure the signs are together, 0 to 1, and what spoke for it, strongest first."""

    strength: float
    reasons: tuple[str, ...]


def _rows(table: str) -> tuple[tuple[float, str, re.Pattern[str]], ...]:
    rows = (re.match(r"(\S+) ([^:]+): (.*)\Z", line) for line in table.strip().split("\n"))
    return tuple((float(row[1]), row[2], re.compile(row[3], re.I)) for row in rows if row)


_IN_WORDS, _IN_ANSWER = _rows(_WORDS), _rows(_ANSWERS)
_NEEDED = {name: tuple(words.split("|")) for name, words in _NEEDS.items()}


def _names_in(text: str) -> list[str]:
    lower = text.lower()
    return [
        name
        for _, name, pattern in _IN_WORDS
        if (name not in _NEEDED or any(word in lower for word in _NEEDED[name])) and pattern.search(text)
    ]


def weight_of(text: str) -> float:
    """How much the words of a sentence tell."""
    return sum(weight for weight, _, pattern in _IN_WORDS if pattern.search(text))


def signs_in(prompt: Prompt, words: OwnWords, recent: tuple[ToolCall, ...], *, acted: bool) -> Signs:
    """All signs of a prompt after `recent` calls; `acted` is true where one was made since the prompt before."""
    if len(words.text) > _TOO_LONG:
        return Signs(0.0, ())
    found = measured(prompt, words, recent, acted=acted)
    weights = {reason: weight for weight, reason, _ in (*_IN_WORDS, *_IN_ANSWER)} | _MOMENTS
    shares = {reason: weights[reason] * value for reason, value in found.items()}
    told = sorted((r for r in shares if shares[r] > 0.2 and r not in _UNTOLD), key=lambda r: -shares[r])
    if not set(told) - _ONE_VERB:
        return Signs(0.0, ())
    return Signs(round(1 / (1 + math.exp(-_NOTHING_ELSE - sum(shares.values()))), 2), tuple(told[:4]))


_UNTOLD = ("an objection", "is short")
_ONE_VERB = {"objects weakly", "says no"}
"""Two names of one weak verb: without another witness it is a wish about the product."""


def measured(
    prompt: Prompt, words: OwnWords, recent: tuple[ToolCall, ...], *, acted: bool
) -> dict[str, float]:
    """The value of each sign that is there, by its name."""
    text, answer, size = words.text, prompt.answer[:400], len(words.text.split())
    found = dict.fromkeys(_names_in(text), 1.0)
    found |= {reason: 1.0 for _, reason, pattern in _IN_ANSWER if pattern.search(answer)}
    short, offered = size <= _SHORT, bool(_OFFERED.search(prompt.before[-200:]))
    objections = [o.strength for o in objections_in(text) if o.kind != "blamed" or o.strength >= ENOUGH]
    objecting = max(objections, default=None)
    if not short:
        found.pop("the agent agreed", None)
    if objecting is not None:
        found |= {"objects weakly": objecting, "an objection": 1.08}
        if size <= 80 and linked(text, recent).calls:
            found["speaks of a call"] = objecting
    moments = {
        "came after an interrupt": prompt.after_interrupt,
        "is short": short,
        "asks why of a deed": short and bool(_WHY_A_DEED.search(text)),
        "followed a question of the agent": offered,
        "nothing was done before": not acted,
        "holds pasted text": words.pasted,
        "is long": size > _LONG,
        "is a word or two": size <= _VERY_SHORT,
    }
    return found | {name: 1.0 for name, there in moments.items() if there} | {"length": math.log1p(size) / 5}
