"""Why something must not be cached. Each reason is a sentence that a reviewer can check."""

import re

from cache_strategy.model.evidence import ContextRead, Returned
from cache_strategy.profile.totals import Total

# Decisions about who may do what: an old answer lets somebody in, or keeps somebody out.
_DECISIONS = re.compile(
    r"(^|_)(is_?allowed|has_?(permission|role|access|scope)|can_[a-z]+|check_?(password|permission|access|auth)|permission|"
    r"permissions|authori[sz]e[d]?|authenticate[d]?|login|log_in|logout|verify_?(password|token|signature|auth)|"
    r"login_required|is_admin|is_authenticated|roles?_required|load_user|user_loader|get_current_user|current_user|"
    r"bans?|(is_)?banned|suspended|revoked|email_?verified|locked_?out|deny_?list|block_?list|black_?list(ed)?)($|_)",
    re.IGNORECASE,
)
_VOLATILE = ("time", "random")


def reason_against(name: str, total: Total, returned: Returned, *, is_endpoint: bool) -> str | None:
    """Why a function or a GET endpoint must not be cached; None where nothing speaks against it."""
    if total.writes:
        return f"writes {listed(total.writes)}; a hit would skip the write"
    if total.side_effects:
        return f"does what a hit would skip: {listed(total.side_effects)}"
    if not is_endpoint and _DECISIONS.search(name):
        return "decides who may do what; an old answer would let somebody in or keep somebody out"
    body = [c for c in sorted(total.context, key=_order) if c.kind == "body"]
    if body:
        return (
            f"answers what the body of a request says ({body[0].expression}, {body[0].path}:{body[0].line})"
        )
    return "returns nothing" if returned == "none" and not is_endpoint else None


def unread_page(total: Total) -> str | None:
    """Why a page is not known whole: a template of it, or one that it extends, was not found."""
    name = min((n for n in total.unknown if n.startswith("template ")), default=None)
    return name and f"renders a template that could not be read ({name}): what it shows is not known"


def volatile(total: Total) -> str | None:
    """Why an answer is not the same a moment later."""
    for read in sorted(total.context, key=_order):
        if read.kind in _VOLATILE:
            word = "the time" if read.kind == "time" else "chance"
            where = f"{read.expression}, {read.path}:{read.line}"
            return f"depends on {word} ({where}); the same question has another answer later"
    return None


def in_the_way(total: Total, returned: Returned, is_generator: bool) -> str | None:
    """Why what a function returns cannot be kept as it is."""
    if returned == "orm":
        return (
            f"returns rows of {listed(total.tables())} that belong to a database session; "
            "cache what is made of them further up"
        )
    if returned == "lazy" or is_generator:
        return "returns something that is read later (a query, a generator), not a value"
    return None


def _order(read: ContextRead) -> tuple[str, str, int]:
    return read.kind, read.path, read.line


def listed(names: "frozenset[str] | set[str] | tuple[str, ...]") -> str:
    found = ["an unknown table" if name == "?" else name for name in sorted(names)]
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
