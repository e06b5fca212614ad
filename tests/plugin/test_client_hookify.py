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


def call(tool: str, **given: object) -> dict:
    return {"tools": [{"name": tool, "input": given}]}


def test_what_the_user_corrected_once_is_stopped_the_next_time(client):
    catalog = client.file("shop/catalog.py", CATALOG)
    data = client.home / ".claude" / "plugins" / "data" / "optimize-inline"
    script = f'"{ROOT}/scripts/cache-strategy" --data-dir "{data}" hookify'
    read = call("Read", file_path=str(catalog))
    last = "    cache.delete_memoized(get_product, product_id)\n"
    edit = {"old_string": last, "new_string": last + "    cache.clear()\n", "replace_all": False}
    clear = call("Edit", file_path=str(catalog), **edit)

    mistake = client.converse(
        "The list must be fresh after an update.",
        OBJECTION,
        turns=[read, clear, "done", "sorry"],
        plugin=ROOT,
    )
    catalog.write_text(CATALOG)
    review = client.converse(
        "/hookify", turns=[call("Bash", command=f"{script} propose --json"), "Keep it?"], plugin=ROOT
    )
    (proposal,) = json.loads(review.answers[0].text.split("\n")[-1])["proposals"]
    accepted = f"{script} propose --json | {script} write --from /dev/stdin {proposal['name']}"
    written = client.converse(
        "keep it",
        turns=[call("Bash", command=accepted), call("Bash", command=f"{script} check"), "written"],
        plugin=ROOT,
        allowed=["Bash"],
    )
    again = client.converse("Once more.", turns=[read, clear, "stopped"], plugin=ROOT)

    assert [answer.is_error for answer in mistake.answers] == [False, False]
    assert proposal["event"] == "file" and OBJECTION[:40] in proposal["incidents"][0]["quote"]
    assert proposal["backtest"]["fired_on_incidents"] == proposal["backtest"]["fired"] == 1
    assert [answer.is_error for answer in written.answers] == [False, False], written.answers
    assert list((client.project / ".claude").glob("hookify.*.local.md"))
    assert [answer.is_error for answer in again.answers] == [False, True]
    assert catalog.read_text() == CATALOG


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
