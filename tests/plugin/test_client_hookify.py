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
