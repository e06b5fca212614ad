"""The guard as a process: what it stops and says, what passes in silence, what it costs, what it survives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hook import ROOT, ask, event, handler, pythons, run, said

CATEGORIES = '''\
"""Categories."""

from shop.extensions import cache, db


@cache.memoize(timeout=300)
def get_category(category_id):
    return db.session.get(Category, category_id).to_dict()


def rename_category(category_id, name):
    db.session.get(Category, category_id).name = name
    db.session.commit()
    cache.delete_memoized(get_category, category_id)
'''
REMOVED = "    cache.delete_memoized(get_category, category_id)\n"

ACCOUNT = """\
from flask_login import current_user

from shop.extensions import cache


@cache.cached(timeout=300)
def account():
    return {"name": current_user.name}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "categories.py").write_text(CATEGORIES, encoding="utf-8")
    return tmp_path


def test_the_handler_is_one_process_in_exec_form_with_a_timeout():
    given = handler()

    assert given["command"] == "python3" and given["args"][:2] == ["-I", "-S"]
    assert 0 < given["timeout"] <= 30
    assert given["args"][2].startswith("${CLAUDE_PLUGIN_ROOT}/")


@pytest.mark.parametrize("python", pythons())
def test_an_edit_a_new_file_and_a_command_are_denied_with_rule_place_fix_and_way_out(
    project: Path, python: str
):
    file = project / "shop" / "categories.py"

    edit = ask("Edit", project, python=python, file_path=str(file), old_string=REMOVED, new_string="")
    new = ask("Write", project, python=python, file_path=str(project / "account.py"), content=ACCOUNT)
    wipe = ask("Bash", project, python=python, command="cd x && redis-cli -n 3 FLUSHDB")
    talk = ask("Bash", project, python=python, command="git commit -m 'no redis-cli FLUSHDB any more'")

    assert edit.decision == new.decision == wipe.decision == "deny"
    for part in (
        "[removed-invalidation]",
        "shop/categories.py:13",
        "Fix: ",
        "# cache-safety: allow[removed-invalidation]",
    ):
        assert part in edit.reason
    assert str(project) not in edit.reason and len(edit.reason) < 1000
    assert "[shared-key-for-user-data]" in new.reason and "--scan --pattern" in wipe.reason
    assert talk.stdout == ""


def test_a_reason_at_the_line_or_the_end_of_the_command_lets_it_pass(project: Path):
    allowed = ACCOUNT.replace(
        "timeout=300)", "timeout=300)  # cache-safety: allow[shared-key-for-user-data] one user per process"
    )
    wipe = "redis-cli FLUSHDB  # cache-safety: allow[cache-wipe-command] server of this test"

    assert ask("Write", project, file_path=str(project / "shop" / "account.py"), content=allowed).stdout == ""
    assert ask("Bash", project, command=wipe).stdout == ""


def test_a_warning_passes_and_reaches_the_model_and_the_user(project: Path):
    text = "import functools\n\n\n@functools.lru_cache  # cache-safety: allow[removed-invalidation]\ndef f():\n    return 1\n"

    answer = ask("Write", project, file_path="shop/f.py", content=text)

    assert answer.decision == "" and "[invalid-allow]" in answer.context
    assert answer.message == answer.context


@pytest.mark.parametrize(
    "given",
    [
        {"tool": "Edit", "old_string": '"""Categories."""', "new_string": '"""Categories and names."""'},
        {"tool": "Edit", "old_string": "name", "new_string": "title", "replace_all": True},
        {"tool": "Edit", "old_string": "not in the file", "new_string": ""},
        {"tool": "Edit", "old_string": "timeout=300", "new_string": "timeout=60"},
        {"tool": "Write", "content": CATEGORIES + "\n\nLIMIT = 3\n"},
        {"tool": "Write", "content": "def broken(:\n    cache."},
        {"tool": "Write", "content": ""},
        {"tool": "MultiEdit", "edits": [{"old_string": "300", "new_string": "60"}, {"old_string": "60", "new_string": "90"}]},
        {"tool": "MultiEdit", "edits": [{"old_string": "absent", "new_string": "x"}, {"old_string": REMOVED, "new_string": ""}]},
        {"tool": "Read"},
    ],
)  # fmt: skip
def test_an_ordinary_edit_of_a_file_full_of_caching_passes_in_silence(
    project: Path, given: dict[str, object]
):
    rest = {key: value for key, value in given.items() if key != "tool"}

    assert (
        ask(str(given["tool"]), project, file_path=str(project / "shop" / "categories.py"), **rest).stdout
        == ""
    )


@pytest.mark.parametrize(
    "given",
    [
        {"tool": "Edit", "old_string": REMOVED, "new_string": ""},
        {"tool": "Edit", "old_string": "    cache.delete_memoized", "new_string": "    print", "replace_all": True},
        {"tool": "Write", "content": CATEGORIES.replace(REMOVED, "")},
        {"tool": "Write", "content": CATEGORIES.replace(REMOVED, "").replace("\n", "\r\n")},
        {"tool": "MultiEdit", "edits": [{"old_string": "300", "new_string": "60"}, {"old_string": REMOVED, "new_string": ""}]},
    ],
)  # fmt: skip
def test_every_way_to_write_the_same_change_is_stopped(project: Path, given: dict[str, object]):
    rest = {key: value for key, value in given.items() if key != "tool"}

    for path in (project / "shop" / "categories.py", "shop/categories.py"):
        assert ask(str(given["tool"]), project, file_path=str(path), **rest).decision == "deny"


def test_an_edit_without_a_word_of_caching_is_judged_by_the_file_it_changes(project: Path):
    file = project / "shop" / "news.py"
    file.write_text(ACCOUNT.replace('{"name": current_user.name}', "NEWS"), encoding="utf-8")

    read = {"old_string": "return NEWS", "new_string": "return [NEWS, current_user.name]"}
    answer = ask("Edit", project, file_path=str(file), **read)

    assert answer.decision == "deny" and "[shared-key-for-user-data]" in answer.reason


def test_a_cell_of_a_notebook_is_judged_with_the_other_cells(project: Path):
    first = "%load_ext autoreload\nfrom flask_login import current_user\n"
    cells = [
        {"id": "a", "cell_type": "code", "source": first},
        {"id": "b", "cell_type": "markdown", "source": "from nowhere import"},
        {"id": "c", "cell_type": "code", "source": ["from shop.extensions import cache\n", "!pip list\n"]},
        {"id": "d", "cell_type": "code", "source": "1 + 1"},
    ]
    file = project / "explore.ipynb"
    file.write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")
    shared = "@cache.cached(timeout=300)\ndef account():\n    return current_user.name\n"

    replaced = ask("NotebookEdit", project, notebook_path=str(file), cell_id="d", new_source=shared)
    inserted = ask(
        "NotebookEdit", project, notebook_path=str(file), cell_id="a", new_source="x = 1", edit_mode="insert"
    )

    assert replaced.decision == "deny"
    assert inserted.stdout == ""


def test_test_code_may_clear_and_fill_caches_as_it_likes(project: Path):
    tests = {
        "test_categories.py": CATEGORIES,
        "steps.py": "import pytest\n" + CATEGORIES,
        "shop.py": CATEGORIES,
    }
    (project / "tests").mkdir()
    decisions = []
    for name, text in tests.items():
        file = project / "tests" / name
        file.write_text(text, encoding="utf-8")
        decisions.append(
            ask("Edit", project, file_path=str(file), old_string=REMOVED, new_string="").decision
        )

    assert decisions == ["", "", "deny"]


def test_paths_that_are_no_readable_files_pass_in_silence(project: Path):
    os.mkfifo(project / "pipe.py")
    (project / "loop.py").symlink_to("loop.py")
    (project / "folder.py").mkdir()
    (project / "huge.py").write_text("# cache\n" + "x = 1\n" * 400_000, encoding="utf-8")
    (project / "binary.py").write_bytes(b"cache\x00\xff\xfe")
    names = [
        "pipe.py",
        "loop.py",
        "folder.py",
        "huge.py",
        "binary.py",
        "/dev/zero.py",
        "nul\0.py",
        "\ud800.py",
        "",
    ]

    for path in [*names, "x" * 5000 + ".py"]:
        edit = ask("Edit", project, file_path=path, old_string="cache", new_string="flask_caching")
        assert edit.stdout == "", path


def test_a_file_outside_the_project_is_judged_by_its_own_path(
    project: Path, tmp_path_factory: pytest.TempPathFactory
):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "account.py"

    assert ask("Write", project, file_path=str(elsewhere), content=ACCOUNT).decision == "deny"


def test_an_ordinary_call_costs_no_import_but_os_and_the_gate_of_rules(project: Path):
    passed = modules_after(
        event("Write", project, file_path=str(project / "a.py"), content="x = 1\n"), project
    )
    command = modules_after(event("Bash", project, command="pytest -q"), project)

    allowed = set(
        "judge rule_gate os os.path posixpath ntpath genericpath stat _stat _collections_abc nt".split()
    )
    assert "rule_gate" in passed & command
    assert passed <= allowed and command <= allowed


def test_a_judged_call_imports_nothing_heavy(project: Path):
    file = str(project / "shop" / "categories.py")
    for _ in range(2):  # the first call may have patterns to compile, and leaves them to the second
        edit = modules_after(
            event("Edit", project, file_path=file, old_string=REMOVED, new_string=""), project
        )
        command = modules_after(event("Bash", project, command="redis-cli FLUSHALL"), project)

    heavy = set(
        "re ast collections json dataclasses typing inspect pathlib subprocess logging argparse importlib.metadata".split()
    )
    assert "_ast" in edit and "_json" in edit & command
    assert not (edit | command) & heavy


def modules_after(given: dict[str, object], project: Path) -> set[str]:
    """The modules that the guard imports for an event."""

    def imported(*program: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-X", "importtime", *program],
            input=json.dumps(given).encode(),
            capture_output=True,
            cwd=project,
            env={"CLAUDE_PROJECT_DIR": str(project)},
            timeout=60,
        )
        rows = [row.rpartition("|") for row in done.stderr.decode().splitlines()]
        return {name.strip() for said, _, name in rows if said.startswith("import time:")}

    return imported(str(ROOT / "hooks" / "guard.py")) - imported("-c", "pass")


def test_a_guard_that_breaks_lets_the_call_pass_and_says_so_once_per_session(project: Path, tmp_path: Path):
    plugin, data = tmp_path / "a plugin", tmp_path / "data"
    shutil.copytree(ROOT / "hooks", plugin / "hooks")
    for part in ("rules", "syntax"):
        shutil.copytree(
            ROOT / "scripts" / "cache_strategy" / part, plugin / "scripts" / "cache_strategy" / part
        )
    for name in ("__init__.py", "siblings.py"):
        shutil.copy(ROOT / "scripts" / "cache_strategy" / name, plugin / "scripts" / "cache_strategy" / name)
    (plugin / "scripts/cache_strategy/rules/code/a_broken_rule.py").write_text(
        "raise RuntimeError('broken\\non purpose')\n"
    )
    call = event("Write", project, file_path=str(project / "account.py"), content=ACCOUNT)

    def once(given: dict[str, object], data: Path | None) -> str:
        answer = said(run(json.dumps(given).encode(), project, plugin=plugin, data=data))
        assert answer.decision == ""
        return answer.message

    first, second = once(call, data), once(call, data)
    other = once({**call, "session_id": "another"}, data)
    assert "broken on purpose" in first and "a_broken_rule.py:1" in first and "Traceback" not in first
    assert second == "" and other == first
    assert once(call, None) == once(call, None) == first


@pytest.mark.parametrize(
    "text",
    [
        "cache = " + "(" * 5000 + ")" * 5000 + "\n",
        "cache = " + "[" * 90 + "]" * 90 + "\n",
        "cache = " + "-" * 50_000 + "1\n",
        "cache = a" + ".b" * 20_000 + "\n",
        "cache = f(" + "lambda: " * 3000 + "1)\n",
        "from shop import cache\n"
        + "".join(f"def f{n}(a):\n    return cache.get('a')\n" for n in range(12_000)),
        "# cache" + "a" * 1_000_000 + "!\n",
        "cache = '" + "\\x41" * 100_000 + "'\n",
        "if cache:\n" + "".join(" " * n + "if cache:\n" for n in range(1, 95)) + " " * 96 + "pass\n",
    ],
    ids=["brackets", "lists", "signs", "attributes", "lambdas", "long", "wide", "escapes", "nested"],
)
def test_a_file_made_to_hurt_passes_in_time(project: Path, text: str):
    for name in ("new.py", "shop/categories.py"):
        done = run(
            json.dumps(event("Write", project, file_path=str(project / name), content=text)).encode(), project
        )
        assert done.returncode == 0 and done.stderr == b""
        assert done.stdout == b"" or said(done).decision == ""


@pytest.mark.parametrize(
    "command",
    [
        "redis-cli " + "$(" * 5000,
        "redis-cli " + "`" * 5001,
        "redis-cli " + "'" * 5001,
        "redis-cli " + '"$(' * 3000 + ")" * 3000,
        "redis-cli " + "bash -c " * 3000 + "FLUSHALL",
        "redis-cli x; " * 30_000,
        "redis-cli <<A\n" * 3000,
        "sudo " * 20_000 + "redis-cli FLUSHALL",
        "redis-cli " + "{ " * 10_000,
        "redis-cli " + "a=(" * 5000,
    ],
    ids=["open", "back", "quotes", "mixed", "shells", "many", "documents", "wrappers", "braces", "arrays"],
)
def test_a_command_made_to_hurt_is_answered_in_time(project: Path, command: str):
    said(run(json.dumps(event("Bash", project, command=command)).encode(), project))


def test_a_warning_is_said_once_per_session_rule_and_file(project: Path, tmp_path: Path):
    text = "from functools import lru_cache\n\n\nclass A:\n    @lru_cache\n    def rows(self):\n        return 1\n"

    def context(name: str, session: str) -> str:
        given = {
            **event("Write", project, file_path=str(project / name), content=text),
            "session_id": session,
        }
        return said(run(json.dumps(given).encode(), project, data=tmp_path)).context

    heard = [context("a.py", "one"), context("a.py", "one"), context("b.py", "one"), context("a.py", "two")]
    assert ["[lru-cache-on-method]" in each for each in heard] == [True, False, True, True]


@pytest.mark.parametrize(
    "command",
    [
        "cat > shop/account.py <<'EOF'\n" + ACCOUNT + "EOF",
        "tee shop/account.py <<'EOF' >/dev/null\n" + ACCOUNT + "EOF",
        "printf '%s' 'from flask_login import current_user\n' > a.py && cat >> shop/head.py <<'EOF'\n@cache.cached(60)\ndef f():\n    return current_user.name\nEOF",
        "sed -i '/delete_memoized/d' shop/categories.py",
        "cd . && sed -i -e 's/cache.delete_memoized(.*)/pass/' shop/categories.py",
    ],
)
def test_a_file_that_a_command_writes_is_judged_like_an_edit(project: Path, command: str):
    (project / "shop" / "head.py").write_text(
        "from shop.extensions import cache\nfrom flask_login import current_user\n"
    )

    assert ask("Bash", project, command=command).decision == "deny"
    assert ask("Bash", project, command=command.replace(".py", ".txt")).stdout == ""


def test_a_command_that_writes_something_safe_passes(project: Path):
    commands = [
        "cat > a.py <<EOF\ncache = 1\nEOF",
        "sed -i 's/300/60/' shop/categories.py",
        "sed -i 'y/ab/cd/' shop/categories.py",
        "python make.py > cache.py",
    ]

    assert [ask("Bash", project, command=command).stdout for command in commands] == [""] * 4
