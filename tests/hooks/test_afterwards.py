"""What the hook does around calls: the index in the background, what is still open, what a project's settings say."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hook import Said, event, run, said

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
"""
VIEWS = "from shop.models import Product\n"
REPRICE = (
    VIEWS
    + "\n\ndef reprice(product_id, price):\n    Product.objects.filter(id=product_id).update(price=price)\n"
)
METHOD = (
    "from functools import lru_cache\n\n\nclass A:\n    @lru_cache\n    def rows(self):\n        return 1\n"
)


class Shop:
    """A project and a session in it, driven as the client drives the hook."""

    def __init__(self, folder: Path) -> None:
        self.project, self.data = folder / "project", folder / "data"
        for name, text in {"stock.py": STOCK, "caching.py": CACHING, "views.py": VIEWS}.items():
            self.write(f"shop/{name}", text)

    def write(self, name: str, text: str) -> Path:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def hook(self, kind: str, **given: Any) -> Said:
        """What one event of the session is answered."""
        base = {key: value for key, value in event("", self.project).items() if not key.startswith("tool_")}
        whole = {**base, **given, "hook_event_name": kind}
        return said(run(json.dumps(whole).encode(), self.project, data=self.data))

    def begin(self) -> Said:
        """The start of the session, and the index that it makes in the background."""
        answer = self.hook("SessionStart", source="startup")
        folder = self.data / "index"
        for _ in range(200):
            if folder.exists() and any(not path.name.endswith(".lock") for path in folder.iterdir()):
                return answer
            time.sleep(0.05)
        raise AssertionError("the index was not made")

    def edit(self, name: str, text: str) -> tuple[Said, Said]:
        """A Write of the client: what is said before and after it."""
        path = self.project / name
        before = path.read_text(encoding="utf-8") if path.exists() else None
        call = {"tool_name": "Write", "tool_input": {"file_path": str(path), "content": text}}
        first = self.hook("PreToolUse", **call)
        if first.decision == "":
            self.write(name, text)
        told = {"filePath": str(path), "content": text, "originalFile": before}
        return first, self.hook("PostToolUse", **call, tool_response=told)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_session_makes_the_index_and_a_new_writer_is_warned_about(shop: Shop) -> None:
    assert shop.begin().stdout == ""

    warned, after = shop.edit("shop/views.py", REPRICE)

    assert warned.decision == "" and "[writer-without-invalidation]" in warned.context
    assert "shop/stock.py" in warned.context and warned.message == warned.context
    assert after.stdout == ""  # once per session, rule and file


def test_a_call_keeps_the_index_fresh(shop: Shop) -> None:
    shop.begin()
    heard = (
        STOCK
        + "\n\n@receiver(post_save, sender=Product)\ndef changed(sender, instance, **kw):\n    forget_product(instance.id)\n"
    )
    shop.edit("shop/stock.py", heard)

    assert shop.edit("shop/views.py", REPRICE)[0].stdout == ""


def test_without_an_index_it_is_silent(shop: Shop) -> None:
    assert shop.edit("shop/views.py", REPRICE)[0].stdout == ""


def test_where_the_files_changed_since_it_is_silent(shop: Shop) -> None:
    shop.begin()
    os.utime(shop.project / "shop" / "stock.py", ns=(1, 1))

    assert shop.edit("shop/views.py", REPRICE)[0].stdout == ""


def test_an_edit_of_other_things_does_not_open_the_index(shop: Shop) -> None:
    shop.begin()
    index = next(path for path in (shop.data / "index").iterdir() if not path.name.endswith(".lock"))
    index.write_bytes(b"\xff" * 1000)

    assert shop.edit("shop/views.py", REPRICE)[0].stdout == ""
    assert shop.edit("shop/names.py", "def name(user):\n    return user.name\n")[0].stdout == ""


REMOVED = STOCK.replace("    forget_product(product_id)\n", "", 1)


def test_two_edits_that_are_harmless_alone_are_told_after_the_second_and_stopped_once_at_the_end(
    shop: Shop,
) -> None:
    text = (
        CACHING
        + "\n\ndef rename(product_id, name):\n    Order.objects.filter(id=product_id).update(name=name)\n"
    )
    whole = text + '    cache.delete(f"product:{product_id}")\n'
    shop.write("shop/caching.py", whole)
    nothing = CACHING + "\n\ndef rename(product_id, name):\n    pass\n"

    first = shop.edit("shop/caching.py", nothing)
    second = shop.edit("shop/caching.py", text)

    assert [answer.stdout for answer in (*first, second[0])] == [""] * 3
    assert "[removed-invalidation]" in second[1].context and second[1].message == second[1].context
    stop = json.loads(shop.hook("Stop", stop_hook_active=False).stdout)
    assert stop["decision"] == "block" and "shop/caching.py" in stop["reason"]
    assert shop.hook("Stop", stop_hook_active=True).stdout == ""
    assert shop.hook("Stop", stop_hook_active=False).stdout == ""  # said once


def test_the_end_of_a_turn_lists_what_is_open_and_what_was_allowed_once_and_forgets_what_was_mended(
    shop: Shop,
) -> None:
    allowed = "\nSIZES = {}\n\n\n@lru_cache  # cache-safety: allow[lru-cache-on-method] one object per process\ndef f():\n    return 1\n"
    shop.edit("shop/rows.py", METHOD + allowed)

    stop = shop.hook("Stop", stop_hook_active=False)
    assert stop.decision == "" and "1 warning about caching still open" in stop.message
    assert "[lru-cache-on-method]" in stop.message and "shop/rows.py:5" in stop.message
    assert "1 line allowed with a reason" in stop.message and "one object per process" in stop.message
    assert shop.hook("Stop", stop_hook_active=False).stdout == ""

    shop.edit("shop/rows.py", "def rows():\n    return 1\n")
    assert shop.hook("Stop", stop_hook_active=False).stdout == ""


def test_the_end_of_a_turn_does_not_wait_for_the_hook_after_calls(shop: Shop) -> None:
    rows = {"file_path": str(shop.project / "shop" / "rows.py"), "content": METHOD}
    assert "[lru-cache-on-method]" in shop.hook("PreToolUse", tool_name="Write", tool_input=rows).context
    shop.write("shop/rows.py", METHOD)

    assert "shop/rows.py:5" in shop.hook("Stop", stop_hook_active=False).message


def test_the_end_of_a_turn_is_loop_safe_whatever_is_open(shop: Shop) -> None:
    shop.edit("shop/rows.py", METHOD)

    assert "decision" not in shop.hook("Stop", stop_hook_active=True).stdout


def test_settings_turn_rules_off_and_say_so_at_the_start_and_when_it_matters(shop: Shop) -> None:
    shop.write(
        "pyproject.toml",
        '[tool.cache-strategy]\noff = ["lru-cache-on-method"]\nexclude = ["old/"]\n\n[tool.cache-strategy.severity]\nmissing-ttl = "info"\n',
    )

    start = shop.begin().message
    assert "turns lru-cache-on-method off (pyproject.toml:2)" in start
    assert (
        "leaves out old/ (pyproject.toml:3)" in start and "makes missing-ttl info (pyproject.toml:6)" in start
    )
    first, again = shop.edit("shop/rows.py", METHOD)[0], shop.edit("shop/rows.py", METHOD + "\n")[0]
    assert first.context == "" and "turns lru-cache-on-method off" in first.message and again.stdout == ""
    old = shop.edit("old/rows.py", METHOD)[0]
    assert old.context == "" and "leaves old/ out" in old.message


def test_settings_can_make_a_warning_an_error(shop: Shop) -> None:
    shop.write(".claude/cache-strategy.toml", '[severity]\nlru-cache-on-method = "error"\n')

    assert shop.begin().stdout == ""  # nothing is weaker
    assert shop.edit("shop/rows.py", METHOD)[0].decision == "deny"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[tool.cache-strategy]\noff = 3\n", "pyproject.toml:2: off is no list of strings"),
        ("[tool.cache-strategy]\n\nof = []\n", "pyproject.toml:3: of is no setting"),
        ('[tool.cache-strategy.severity]\nmissing-ttl = "loud"\n', "pyproject.toml:2: missing-ttl"),
        ('[tool.cache-strategy]\noff = ["no-such-rule"]\n', "pyproject.toml:2: no-such-rule is no rule"),
        ("[tool.cache-strategy]\nwhatever\n", "pyproject.toml:2: this is no `key = value`"),
        ("[tool.cache-strategy.rules]\n", "pyproject.toml:1: [tool.cache-strategy.rules] is no table"),
        ('[tool.cache-strategy]\nexclude = ["' + "*a" * 9 + '"]\n', "pyproject.toml:2: exclude has a pattern"),
    ],
)  # fmt: skip
def test_wrong_settings_get_one_line_and_switch_nothing_off(shop: Shop, text: str, line: str) -> None:
    shop.write("pyproject.toml", text)

    assert sum(line in row for row in shop.begin().message.split("\n")) == 1
    assert "[lru-cache-on-method]" in shop.edit("shop/rows.py", METHOD)[0].context


def test_settings_of_others_say_nothing(shop: Shop) -> None:
    shop.write("pyproject.toml", '[tool.ruff]\nexclude = ["a"]\n[project]\nname = "cache-strategy-user"\n')

    assert shop.begin().stdout == ""
