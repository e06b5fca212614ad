"""
A call that the user rejected in the dialog or with Esc, with a reason or without a word.

Finds
    Rejected commands, file changes and other tools; the reason where one was typed.

Leaves alone
    Rejected questions and plans (a conversation, not a deed), rejections that only ask something back ("where is that
    value coming from?", "wait, let's discuss") or are followed by "continue" (a pause),
    and refusals by permission rules and hooks (they have their rule already).
"""

from collections.abc import Iterator

from cache_strategy.hookify.circumstances import is_for_now, is_go_ahead
from cache_strategy.hookify.detectors._base import Detector, Sighting
from cache_strategy.hookify.provenance import own_words
from cache_strategy.hookify.transcripts import Prompt, Session, ToolCall
from cache_strategy.hookify.wording import ENOUGH, objections_in

detector = Detector(__name__)

_CONVERSATION = frozenset(
    (
        "AskUserQuestion",
        "ExitPlanMode",
        "exit_plan_mode",
        "EnterPlanMode",
        "TodoWrite",
        "TaskCreate",
        "TaskUpdate",
        "Task",
        "Agent",
        "Skill",
    )
)
"""Rejecting one of these answers a question or stops a search; it forbids no deed."""

_SILENT = 0.8
_WITH_REASON = 0.9


@detector.finds
def find_rejections(session: Session) -> Iterator[Sighting]:
    """One sighting per rejected call."""
    for call in session.own_calls:
        if call.outcome != "rejected" or call.tool in _CONVERSATION:
            continue
        reply = _reply_to(session, call)
        if is_go_ahead(call.reason) if call.reason else (reply is not None and is_go_ahead(reply.text)):
            continue
        objections = [o for o in objections_in(call.reason) if o.kind != "blamed" or o.strength >= ENOUGH]
        if call.reason and not objections and is_for_now(call.reason):
            continue
        if not call.reason and reply is not None:
            core = next(
                (o.core for o in objections_in(own_words(reply.text).text) if o.lasts == "always"), ""
            )
        else:
            core = objections[0].core if objections else call.reason
        turn_only = bool(objections) and all(o.lasts == "turn" for o in objections)
        yield Sighting(
            line=call.result_line,
            said=objections[0].words if objections else call.reason,
            core=core,
            context=call.reason,
            strength=_WITH_REASON if call.reason else _SILENT,
            calls=(call,),
            recent=(call,),
            lasts="turn" if turn_only else "always",
            lasting=any(o.lasting for o in objections),
            reply=reply.text if reply is not None and not call.reason else "",
            because=("refused with a reason" if call.reason else "refused without a word",),
        )


def _reply_to(session: Session, call: ToolCall) -> Prompt | None:
    """What the user wrote next, where no other call was made in between."""
    for prompt in session.prompts:
        if prompt.line > call.result_line:
            return prompt if prompt.calls_before <= call.order + 1 else None
    return None
