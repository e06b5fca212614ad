"""The guard in the real client: what it stops, what it lets pass in silence, what happens when it breaks."""

from __future__ import annotations

import pytest
from bundle import ROOT, copy_bundle

pytestmark = pytest.mark.client

SHARED_PAGE = """\
from flask import Blueprint, render_template
from flask_login import current_user, login_required

from shop.extensions import cache

pages = Blueprint("pages", __name__)


@pages.route("/account")
@login_required
@cache.cached(timeout=300)
def account():
    return render_template("account.html", user=current_user)
"""

CATEGORIES = '''\
"""Categories and their names."""

from shop.extensions import cache, db
from shop.models import Category


@cache.memoize(timeout=300)
def get_category(category_id):
    return db.session.get(Category, category_id).to_dict()


def rename_category(category_id, name):
    category = db.session.get(Category, category_id)
    category.name = name
    db.session.commit()
    cache.delete_memoized(get_category, category_id)
    return category
'''

RULE = """\
---
name: no-print-debugging
enabled: true
event: file
pattern: print\\(
action: block
---
Use the logger: what is printed here ends in the web server's output.
"""


def call(tool: str, **given: object) -> dict:
    return {"tools": [{"name": tool, "input": given}]}


def test_unsafe_edits_and_commands_are_stopped_with_the_fix_and_ordinary_ones_pass_in_silence(client):
    categories = client.file("shop/categories.py", CATEGORIES)
    account = client.project / "shop" / "account.py"
    prices = client.project / "shop" / "prices.py"
    edit = {"file_path": str(categories), "replace_all": False}
    removed = "    cache.delete_memoized(get_category, category_id)\n"
    turns = [
        call("Read", file_path=str(categories)),
        call("Edit", **edit, old_string="Categories and their names.", new_string="Categories."),
        call("Edit", **edit, old_string=removed, new_string=""),
        call("Write", file_path=str(account), content=SHARED_PAGE),
        call("Write", file_path=str(prices), content="def net(price):\n    return price / 1.2\n"),
        call("Bash", command="redis-cli -h 127.0.0.1 -p 9 FLUSHALL"),
        call("Bash", command="echo done"),
        "all tried",
    ]

    talk = client.converse("go", turns=turns, plugin=ROOT, allowed=["Bash"])

    read, ordinary, removal, shared, new, flush, echo = talk.answers
    stops = {
        "removed-invalidation": removal,
        "shared-key-for-user-data": shared,
        "cache-wipe-command": flush,
    }
    for rule, stopped in stops.items():
        assert stopped.is_error and "Fix: " in stopped.text, stopped
        assert f"[{rule}]" in stopped.text and f"allow[{rule}]" in stopped.text
    assert [a.is_error for a in (read, ordinary, new, echo)] == [False] * 4
    assert categories.read_text() == CATEGORIES.replace("Categories and their names.", "Categories.")
    assert not account.exists() and prices.exists()
    spoke = [bool(output.strip()) for output in talk.hook_outputs]
    assert spoke == [False, False, True, True, False, True, False]
    assert talk.denials == ["Edit", "Write", "Bash"]


def test_a_guard_that_breaks_lets_the_edit_pass_and_says_so_once(client, tmp_path):
    plugin = copy_bundle(tmp_path / "broken")
    broken = plugin / "scripts" / "cache_strategy" / "rules" / "code" / "broken_on_purpose.py"
    broken.write_text("raise RuntimeError('broken on purpose')\n")
    files = [client.project / f"page_{n}.py" for n in (1, 2, 3)]
    turns = [call("Write", file_path=str(file), content=SHARED_PAGE) for file in files]

    talk = client.converse("go", turns=[*turns, "written"], plugin=plugin)

    assert [file.read_text() for file in files] == [SHARED_PAGE] * 3
    said = [output for output in talk.hook_outputs if output.strip()]
    assert len(said) == 1 and "systemMessage" in said[0] and "broken on purpose" in said[0]


def test_a_rule_of_hookify_stops_the_next_such_edit_without_a_restart(client):
    rule = client.project / ".claude" / "hookify.no-print-debugging.local.md"
    write = f"mkdir -p .claude && cat > '{rule}' <<'END'\n{RULE}END"
    turns = [
        call("Write", file_path=str(client.project / "first.py"), content="print('here')\n"),
        call("Bash", command=write),
        call("Write", file_path=str(client.project / "second.py"), content="print('here')\n"),
        call("Write", file_path=str(client.project / "third.py"), content="import logging\n"),
        "done",
    ]

    talk = client.converse("go", turns=turns, plugin=ROOT, allowed=["Bash"])

    assert [answer.is_error for answer in talk.answers] == [False, False, True, False]
    assert "Use the logger" in talk.answers[2].text
    assert not (client.project / "second.py").exists()
