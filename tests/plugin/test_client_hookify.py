"""Hookify from end to end in the real client: a correction, the proposal, the rule, the next such edit stopped."""

from __future__ import annotations

import json

import pytest
from bundle import ROOT

pytestmark = pytest.mark.client

CATALOG = """\
from shop.extensions import cache, db
from shop.models import Product


@cache.memoize(timeout=300)
def get_product(product_id):
    return db.session.get(Product, product_id).to_dict()


def update_product(product_id, data):
    product = db.session.get(Product, product_id)
    product.update(data)
    db.session.commit()
    cache.delete_memoized(get_product, product_id)
"""
OBJECTION = "No! Never call cache.clear() here, it throws away everybody's entries. Undo that."


REJECTION = "never force push, we share that branch"


def call(tool: str, **given: object) -> dict:
    return {"tools": [{"name": tool, "input": given}]}


def test_what_the_user_rejected_and_corrected_once_is_stopped_the_next_time(client):
    catalog = client.file("shop/catalog.py", CATALOG)
    data = client.home / ".claude" / "plugins" / "data" / "optimize-inline"
    script = f'"{ROOT}/scripts/cache-strategy" --data-dir "{data}" hookify'
    read, push = call("Read", file_path=str(catalog)), call("Bash", command="git push --force origin main")
    last = "    cache.delete_memoized(get_product, product_id)\n"
    edit = {"old_string": last, "new_string": last + "    cache.clear()\n", "replace_all": False}
    clear = call("Edit", file_path=str(catalog), **edit)

    mistake = client.converse(
        "The list must be fresh after an update.",
        OBJECTION,
        turns=[read, push, clear, "done", "sorry"],
        plugin=ROOT,
        rejecting=REJECTION,
    )
    catalog.write_text(CATALOG)
    review = client.converse(
        "/hookify", turns=[call("Bash", command=f"{script} propose --json"), "Keep them?"], plugin=ROOT
    )
    proposals = json.loads(review.answers[0].text.split("\n")[-1])["proposals"]
    names = " ".join(proposal["name"] for proposal in proposals)
    accepted = f"{script} propose --json | {script} write --from /dev/stdin {names}"
    written = client.converse(
        "keep them",
        turns=[call("Bash", command=accepted), call("Bash", command=f"{script} check"), "written"],
        plugin=ROOT,
        allowed=["Bash"],
    )
    again = client.converse("Once more.", turns=[read, push, clear, "stopped"], plugin=ROOT, allowed=["Bash"])

    assert [answer.is_error for answer in mistake.answers] == [False, True, False]
    assert {p["event"]: p["action"] for p in proposals} == {"bash": "block", "file": "block"}
    quotes = [p["incidents"][0]["quote"] for p in proposals]
    assert any(REJECTION in quote for quote in quotes) and any(OBJECTION[:40] in quote for quote in quotes)
    assert [p["backtest"]["fired_on_incidents"] for p in proposals] == [1, 1]
    assert [p["backtest"]["fired"] for p in proposals] == [1, 1]
    assert [answer.is_error for answer in written.answers] == [False, False], written.answers
    assert len(list((client.project / ".claude").glob("hookify.*.local.md"))) == 2
    assert [answer.is_error for answer in again.answers] == [False, True, True]
    assert REJECTION in again.answers[1].text and OBJECTION[:40] in again.answers[2].text
    assert catalog.read_text() == CATALOG


def test_an_instruction_becomes_a_rule_in_the_words_of_the_user(client):
    data = client.home / ".claude" / "plugins" / "data" / "optimize-inline"
    script = f'"{ROOT}/scripts/cache-strategy" --data-dir "{data}" hookify'
    asked = f"{script} propose --json --for - <<'END'\nnever run terraform apply\nEND"
    apply = call("Bash", command="terraform apply")
    client.converse("go", turns=[call("Bash", command="ls"), apply, "done"], plugin=ROOT, allowed=["Bash"])

    talk = client.converse(
        "/hookify never run terraform apply", turns=[call("Bash", command=asked), "Keep it?"], plugin=ROOT
    )

    (answer,) = talk.answers
    (proposal,) = json.loads(answer.text.split("\n")[-1])["proposals"]
    assert (proposal["name"], proposal["backtest"]["fired"], talk.denials) == ("terraform-apply", 1, [])


def rule(client, name: str, *lines: str) -> None:
    text = "\n".join(["---", f"name: {name}", *lines, "---", f"Say {name}.", ""])
    client.file(f".claude/hookify.{name}.local.md", text)


def test_rules_are_asked_at_every_event_and_a_broken_one_is_told(client):
    secret, new = client.file("settings.env", "x"), client.project / "a.py"
    rule(client, "broken", "event: bash", "pattern: (")
    rule(client, "hint", "event: prompt", "pattern: deploy")
    rule(client, "unread", "event: all", "action: block", "tool_matcher: Read", "conditions:",
         "  - field: file_path", "    operator: ends_with", "    pattern: .env")  # fmt: skip
    rule(client, "tested", "event: stop", "action: block", "conditions:",
         "  - field: commands_since_edit", "    operator: not_regex_match", "    pattern: pytest")  # fmt: skip
    turns = [
        call("Write", file_path=str(new), content="x = 1\n"),
        call("Read", file_path=str(secret)),
        "finished too early",
        call("Bash", command="echo pytest"),
        "done",
    ]

    talk = client.converse("deploy it", turns=turns, plugin=ROOT, allowed=["Bash"])

    assert [(a.is_error, "[unread]" in a.text) for a in talk.answers] == [
        (False,) * 2,
        (True,) * 2,
        (False,) * 2,
    ]
    assert [len(talk.outputs_at(e)) for e in ("SessionStart", "UserPromptSubmit", "Stop")] == [1, 1, 2]
    assert "hookify.broken.local.md" in talk.outputs_at("SessionStart")[0]
    assert "[hint] Say hint." in talk.requests[0].text and "[tested] Say tested." in talk.requests[-1].text
