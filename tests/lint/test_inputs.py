"""What the linter is given and what it remembers: standard input, patches, baselines, results of an earlier run, many files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cache_strategy.lint import lint, lint_patch, lint_text, read_baseline, without_known, write_baseline
from cache_strategy.lint.store import Store
from cache_strategy.model.errors import CacheStrategyError
from lint.test_lint import DELETE, SHARED, WRITER, git, places, repo

__all__ = ["repo"]
ROOT = Path(__file__).resolve().parents[2]
NGINX = "server {\n    proxy_cache pages;\n    proxy_ignore_headers Set-Cookie;\n    location / { proxy_pass http://app; }\n}\n"


def run(*arguments: str, cwd: Path, text: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cache_strategy", "lint", *arguments],
        cwd=cwd,
        env={
            "PYTHONPATH": str(ROOT / "scripts"),
            "PATH": "/usr/bin:/bin",
            "XDG_CACHE_HOME": str(cwd / ".cache"),
            **env,
        },
        input=text,
        capture_output=True,
        text=True,
    )


def test_configurations_are_looked_at_beside_python(tmp_path: Path):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "site.conf").write_text(NGINX)
    (tmp_path / "notes.md").write_text(NGINX)
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx" / "production").write_text(NGINX)
    (tmp_path / "account.py").write_text(SHARED)

    found = lint([tmp_path], diff=None, root=tmp_path)

    assert [(path, name) for path, _, name in places(found)] == [
        ("account.py", "shared-key-for-user-data"),
        ("deploy/site.conf", "proxy-keeps-private-answers"),
        ("nginx/production", "proxy-keeps-private-answers"),
    ]


def test_a_text_is_judged_under_the_name_it_is_given(repo: Path):
    changed = WRITER.replace(DELETE, "").encode()

    assert places(lint_text(changed, "shop/users.py", diff=None, root=repo)) == []
    assert places(lint_text(changed, "shop/users.py", diff="HEAD", root=repo)) == [
        ("shop/users.py", 6, "removed-invalidation")
    ]
    assert len(lint_text(SHARED.encode(), "new.py", diff="HEAD", root=repo).findings) == 1
    assert (
        lint_text(b"def broken(:\n", "shop/users.py", diff=None, root=repo).unread[0].path == "shop/users.py"
    )
    assert len(lint_text(NGINX.encode(), "nginx.conf", diff=None, root=repo).findings) == 1


@pytest.mark.parametrize("applied", [True, False])
def test_a_patch_is_judged_whether_it_is_applied_or_not(repo: Path, applied: bool):
    (repo / "shop" / "users.py").write_text("# moved down\n\n" + WRITER.replace(DELETE, ""))
    (repo / "shop" / "account.py").write_text(SHARED)
    (repo / "shop" / "plain.py").unlink()
    git(repo, "add", "--all")
    patch = subprocess.run(["git", "diff", "--cached"], cwd=repo, capture_output=True, check=True).stdout
    if not applied:
        git(repo, "reset", "-q", "--hard")

    found = lint_patch(patch, paths=[Path()], root=repo)

    assert places(found) == [
        ("shop/account.py", 6, "shared-key-for-user-data"),
        ("shop/users.py", 8, "removed-invalidation"),
    ]
    assert places(lint_patch(patch, paths=[Path("shop/users.py")], root=repo)) == places(found)[1:]


def test_a_patch_that_does_not_fit_or_is_none_or_leads_elsewhere_is_said(repo: Path):
    patch = (
        b"--- a/shop/users.py\n+++ b/shop/users.py\n@@ -1,2 +1,2 @@\n-nothing of this\n+nor this\n is there\n"
    )

    assert lint_patch(patch, paths=[Path()], root=repo).unread[0].reason == "the patch does not fit the file"
    assert lint_patch(b"", paths=[Path()], root=repo).files == 0
    assert (
        lint_patch(patch.replace(b"shop/users.py", b"../../etc/passwd"), paths=[Path()], root=repo).files == 0
    )
    with pytest.raises(CacheStrategyError, match="git diff"):
        lint_patch(b"main\n", paths=[Path()], root=repo)


def test_in_a_repository_without_a_commit_everything_is_new(tmp_path: Path):
    git(tmp_path, "init", "-q")
    (tmp_path / "account.py").write_text(SHARED)

    assert len(lint([tmp_path], diff="HEAD", root=tmp_path).findings) == 1


def test_what_a_baseline_knows_is_left_out_wherever_its_line_moves(tmp_path: Path):
    page = tmp_path / "account.py"
    page.write_text(SHARED)
    known = tmp_path / "known.json"
    write_baseline(known, lint([page], diff=None, root=tmp_path))
    page.write_text("LIMIT = 3\n\n\n" + SHARED + SHARED.partition("cache\n")[2].replace("account", "orders"))

    result, fixed = without_known(lint([page], diff=None, root=tmp_path), read_baseline(known))

    assert len(result.findings) == len(result.lines) == 1 and not fixed
    page.write_text("LIMIT = 3\n")
    result, fixed = without_known(lint([page], diff=None, root=tmp_path), read_baseline(known))
    assert result.findings == () and fixed == [
        ("shared-key-for-user-data", "account.py", "@cache.cached(timeout=300)")
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1, "findings": [{}]}', "\0"])
def test_what_is_no_baseline_is_one_line(tmp_path: Path, text: str):
    (tmp_path / "known.json").write_text(text)

    with pytest.raises(CacheStrategyError, match="--write-baseline"):
        read_baseline(tmp_path / "known.json")


def test_a_second_run_judges_only_what_has_changed_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, kept = tmp_path / "shop", tmp_path / "kept"
    folder.mkdir()
    for name, text in {"account.py": SHARED, "broken.py": "def broken(:\n", "users.py": WRITER}.items():
        (folder / name).write_text(text)
    first = lint([folder], diff=None, root=folder, kept=kept)
    judged: list[str] = []
    monkeypatch.setattr("cache_strategy.lint.judging.judge", lambda data, shown: judged.append(shown))

    assert lint([folder], diff=None, root=folder, kept=kept) == first and judged == []
    monkeypatch.undo()
    (folder / "users.py").write_text(SHARED)
    assert [path for path, _, _ in places(lint([folder], diff=None, root=folder, kept=kept))] == [
        "account.py",
        "users.py",
    ]
    assert not (folder / ".cache").exists()


def test_other_rules_and_a_damaged_memory_count_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, kept = tmp_path / "shop", tmp_path / "kept"
    folder.mkdir()
    (folder / "account.py").write_text(SHARED)
    lint([folder], diff=None, root=folder, kept=kept)
    (memory,) = kept.glob("lint-*.json")
    data = json.loads(memory.read_text())
    data["files"] = dict.fromkeys(data["files"], 0)
    memory.write_text(json.dumps(data))
    assert lint([folder], diff=None, root=folder, kept=kept).findings == ()

    monkeypatch.setattr("cache_strategy.lint.store._version", lambda: "other rules")
    assert len(lint([folder], diff=None, root=folder, kept=kept).findings) == 1
    for damaged in ("", "{", "[]", json.dumps({**data, "files": {key: [["x"]] for key in data["files"]}})):
        memory.write_text(damaged)
        monkeypatch.undo()
        assert len(lint([folder], diff=None, root=folder, kept=kept).findings) == 1


def test_a_memory_that_cannot_be_written_is_said_and_changes_nothing(tmp_path: Path):
    (tmp_path / "account.py").write_text(SHARED)
    (tmp_path / "kept").write_text("a file, where a folder should be")

    result = lint([tmp_path / "account.py"], diff=None, root=tmp_path, kept=tmp_path / "kept")

    assert len(result.findings) == 1
    assert "nothing is kept" in result.notes[0] and str(tmp_path / "kept") in result.notes[0]
    assert Store.key(b"x", "a.py") != Store.key(b"x", "b.py")


def test_several_processes_find_what_one_finds(tmp_path: Path):
    filler = "".join(f"def f{number}(a, b):\n    return [a, b, {number}]\n" for number in range(1500))
    for number in range(40):
        (tmp_path / f"page{number:02}.py").write_text(SHARED + filler if number % 7 == 0 else filler)
    (tmp_path / "broken.py").write_text("def broken(:\n" + filler)

    one = lint([tmp_path], diff=None, root=tmp_path, jobs=1)

    assert lint([tmp_path], diff=None, root=tmp_path, jobs=3) == one
    assert len(one.findings) == 6 and len(one.unread) == 1


def test_the_command_line_takes_all_of_it(repo: Path):
    assert run("-", "--stdin-filename", "shop/account.py", cwd=repo, text=SHARED).stdout == (
        "shop/account.py:6:2: error CS101 shared-key-for-user-data: account() is cached for all users together, "
        "but its answer depends on current_user (line 8).\n"
        "    @cache.cached(timeout=300)\n     ^\n"
        "    Fix: Put the user into the key: make_cache_key=, key=, or an argument such as user_id.\n"
        "1 error, 0 other findings in 1 file.\n"
    )
    (repo / "shop" / "users.py").write_text(WRITER.replace(DELETE, ""))
    patch = subprocess.run(["git", "diff"], cwd=repo, capture_output=True, text=True, check=True).stdout
    for arguments in (("--diff", "-"), ("--diff", "HEAD"), ("shop", "--diff", "HEAD")):
        done = run(*arguments, cwd=repo, text=patch)
        assert done.returncode == 1 and "removed-invalidation" in done.stdout, done
    (repo / "shop" / "account.py").write_text(SHARED)
    assert run("--baseline", "known.json", cwd=repo).returncode == 2
    assert run("--write-baseline", cwd=repo).returncode == 2
    assert run("--baseline", "known.json", "--write-baseline", cwd=repo).returncode == 0
    again = run("--baseline", "known.json", cwd=repo)
    assert again.returncode == 0 and "1 known findings left out, 0 fixed" in again.stderr
    (repo / "shop" / "account.py").unlink()
    assert (
        "fixed: shop/account.py: shared-key-for-user-data" in run("--baseline", "known.json", cwd=repo).stderr
    )
    assert (repo / ".cache" / "cache-strategy" / "lint").is_dir()


def test_the_hooks_for_pre_commit_start_the_launcher_for_the_files_that_are_looked_at():
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())

    assert {hook["id"]: hook["entry"].split()[1:] for hook in hooks} == {
        "cache-strategy": ["lint", "--diff", "HEAD"],
        "cache-strategy-all": ["lint"],
    }
    for hook in hooks:
        assert hook["language"] == "script" and os.access(ROOT / hook["entry"].split()[0], os.X_OK)
        for path in (
            "shop/views.py",
            "nginx.conf",
            "nginx/production",
            "a.vcl.j2",
            "docker-compose.yml",
            "main.tf",
            "public/_headers",
        ):
            assert re.search(hook["files"], path), path
        assert not re.search(hook["files"], "README.md")
