"""The guard over a whole session of the real client: warnings once, what is still open, subagents, the index, settings."""

from __future__ import annotations

import json

import pytest
from bundle import ROOT

pytestmark = pytest.mark.client

STOCK = """\
from shop.caching import forget_product
from shop.models import Product


def restock(product_id, n):
    Product.objects.filter(id=product_id).update(stock=n)
    forget_product(product_id)


def rename(product_id, name):
    Product.objects.filter(id=product_id).update(name=name)
    forget_product(product_id)
"""
CACHING = """\
from django.core.cache import cache


def product(product_id):
    return cache.get(f"product:{product_id}")


def forget_product(product_id):
    cache.delete(f"product:{product_id}")


def order(order_id):
    return cache.get(f"order:{order_id}")


def ship(order_id):
    Order.objects.filter(id=order_id).update(shipped=True)
    cache.delete(f"order:{order_id}")
"""
SHIP = '    Order.objects.filter(id=order_id).update(shipped=True)\n    cache.delete(f"order:{order_id}")\n'
REPRICE = """\
from shop.models import Product


def reprice(product_id, price):
    Product.objects.filter(id=product_id).update(price=price)
"""
METHOD = (
    "from functools import lru_cache\n\n\nclass A:\n    @lru_cache\n    def rows(self):\n        return 1\n"
)


def call(tool: str, **given: object) -> dict:
    return {"tools": [{"name": tool, "input": given}]}


def said(outputs: list[str]) -> list[dict]:
    return [json.loads(output) for output in outputs if output.strip()]


def test_warnings_come_once_and_with_the_index_and_the_end_of_a_turn_sums_up(client):
    client.file("shop/stock.py", STOCK)
    caching = client.file("shop/caching.py", CACHING)
    rows, prices = client.project / "rows.py", client.project / "shop" / "prices.py"
    turns = [
        # Time for the index that the session's start began.
        call("Bash", command="sleep 2"),
        call("Write", file_path=str(prices), content=REPRICE),
        call("Write", file_path=str(rows), content=METHOD),
        call("Bash", command=f"cat > {rows} <<'END'\n{METHOD}\n# more\nEND"),
        call("Read", file_path=str(caching)),
        call("Edit", file_path=str(caching), old_string=SHIP, new_string="    pass\n"),
        call("Edit", file_path=str(caching), old_string="    pass\n", new_string=SHIP.split("\n")[0] + "\n"),
        call("Bash", command="sleep 2"),
        "all done",
        "really done",
    ]

    talk = client.converse("go", turns=turns, plugin=ROOT, allowed=["Bash"])

    assert [answer.is_error for answer in talk.answers] == [False] * 8
    before = said(talk.hook_outputs)
    texts = [each["hookSpecificOutput"]["additionalContext"] for each in before]
    assert (
        len(texts) == 2
        and "[writer-without-invalidation]" in texts[0]
        and "[lru-cache-on-method]" in texts[1]
    )
    assert [each["systemMessage"] for each in before] == texts
    heard = talk.requests[-1].text
    assert "PreToolUse:Write hook additional context" in heard and "[lru-cache-on-method]" in heard
    # Two edits that are harmless alone; the hook after calls runs beside the session.
    assert "after this edit caching is unsafe" in heard and "[removed-invalidation]" in heard
    stops = said(talk.outputs_at("Stop"))
    assert [stop.get("decision") for stop in stops] == ["block"], talk.outputs_at("Stop")
    assert "shop/caching.py" in stops[0]["reason"] and "rows.py" in stops[0]["reason"]
    assert "Stop hook feedback" in heard and heard.count("Stop hook feedback") == 1


def test_subagents_are_stopped_and_warned_and_other_ways_to_write_a_file_are_judged(client):
    caching = client.file("shop/caching.py", CACHING)
    book = client.file("explore.ipynb", json.dumps({"cells": [{"id": "a", "cell_type": "code", "source": "1", "metadata": {}, "outputs": [], "execution_count": None}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))  # fmt: skip
    gone = '    cache.delete(f"product:{product_id}")\n'
    shared = "from flask_login import current_user\nfrom shop.extensions import cache\n@cache.cached(60)\ndef me():\n    return current_user.name\n"
    turns = [
        call("Agent", description="edit", prompt="You edit caches now", subagent_type="general-purpose"),
        call("Bash", command=f"cat > account.py <<'END'\n{shared}END"),
        call("Bash", command=f"tee account.py <<'END' > /dev/null\n{shared}END"),
        call("Bash", command="sed -i '/cache.delete(f.order/d' shop/caching.py"),
        call("Read", file_path=str(book)),
        call("NotebookEdit", notebook_path=str(book), cell_id="a", new_source=shared),
        "done",
    ]
    lane = [
        call("Read", file_path=str(caching)),
        call("Edit", file_path=str(caching), old_string=SHIP, new_string=SHIP.split("\n")[0] + "\n"),
        call("Write", file_path=str(client.project / "rows.py"), content=METHOD),
        "edited",
    ]

    talk = client.converse(
        "go", turns=turns, lanes={"You edit caches now": lane}, plugin=ROOT, allowed=["Bash", "Agent"]
    )

    assert [answer.is_error for answer in talk.answers] == [False, True, True, True, False, True]
    assert caching.read_text() == CACHING and not (client.project / "account.py").exists()
    inside = next(r.text for r in reversed(talk.requests) if r.lane == "You edit caches now")
    assert "[removed-invalidation]" in inside and "[lru-cache-on-method]" in inside
    assert gone in caching.read_text()
    assert "1" in json.loads(book.read_text())["cells"][0]["source"]


def test_what_the_settings_of_a_project_turn_off_is_said_at_the_start(client):
    client.file("pyproject.toml", '[tool.cache-strategy]\noff = ["lru-cache-on-method"]\n')
    rows = client.project / "rows.py"

    talk = client.converse(
        "go", turns=[call("Write", file_path=str(rows), content=METHOD), "done"], plugin=ROOT
    )

    start = said(talk.outputs_at("SessionStart"))
    assert "turns lru-cache-on-method off (pyproject.toml:2)" in start[0]["systemMessage"]
    assert rows.read_text() == METHOD and "additionalContext" not in talk.hook_outputs[0]
