"""The linter over files, folders and revisions: what it reports, and what it could not read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cache_strategy.lint import lint, render
from cache_strategy.model.errors import CacheStrategyError

SHARED = """\
from flask_login import current_user

from shop.extensions import cache


@cache.cached(timeout=300)
def account():
    return {"name": current_user.name}
"""
WRITER = """\
from shop.extensions import cache, db


def rename(user_id, name):
    db.session.get(User, user_id).name = name
    db.session.commit()
    cache.delete(f"user:{user_id}")
"""
DELETE = '    cache.delete(f"user:{user_id}")\n'


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "users.py").write_text(WRITER)
    (shop / "plain.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def places(result) -> list[tuple[str, int, str]]:
    return [(f.path, f.line, f.name) for f in result.findings]


def test_findings_carry_the_path_from_the_root_and_their_source_line(tmp_path: Path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "account.py").write_text(SHARED)

    result = lint([Path("shop")], diff=None, root=tmp_path)

    assert places(result) == [("shop/account.py", 6, "shared-key-for-user-data")]
    assert result.lines == ("@cache.cached(timeout=300)",)
    assert result.files == 1 and result.unread == ()


def test_a_file_is_checked_once_however_often_it_is_named(tmp_path: Path):
    (tmp_path / "account.py").write_text(SHARED)

    result = lint([Path("account.py"), tmp_path, tmp_path / "account.py"], diff=None, root=tmp_path)

    assert len(result.findings) == 1


def test_installed_packages_and_folders_of_tools_are_left_out(tmp_path: Path):
    for folder in (".git", "node_modules", "env", ".tox", "lib/site-packages"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "account.py").write_text(SHARED)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")

    assert lint([tmp_path], diff=None, root=tmp_path).findings == ()


def test_what_cannot_be_read_is_said_with_its_reason(tmp_path: Path):
    (tmp_path / "broken.py").write_text("def broken(:\n")
    (tmp_path / "latin.py").write_bytes(b"name = '\xe9'\n")
    (tmp_path / "zero.py").write_bytes(b"x = 1\0")
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "out.py").symlink_to("/etc/hostname")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "account.py").write_text(SHARED)

    result = lint([tmp_path], diff=None, root=tmp_path)

    assert len(result.findings) == 1
    assert {item.path for item in result.unread} == {
        "broken.py", "latin.py", "zero.py", "gone.py", "loop.py", "out.py", "pipe.py",
    }  # fmt: skip
    assert all(item.reason for item in result.unread)


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(CacheStrategyError, match="nowhere"):
        lint([Path("nowhere")], diff=None, root=tmp_path)


def test_a_revision_shows_what_a_change_takes_away(repo: Path):
    (repo / "shop" / "users.py").write_text(WRITER.replace(DELETE, ""))

    assert places(lint([repo], diff=None, root=repo)) == []
    assert places(lint([repo], diff="HEAD", root=repo)) == [("shop/users.py", 6, "removed-invalidation")]


def test_a_revision_hides_what_was_there_before(repo: Path):
    (repo / "shop" / "account.py").write_text(SHARED)
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "second")
    (repo / "shop" / "account.py").write_text("LIMIT = 3\n" + SHARED)

    assert len(lint([repo], diff=None, root=repo).findings) == 1
    assert lint([repo], diff="HEAD", root=repo).findings == ()
    assert len(lint([repo], diff="HEAD~1", root=repo).findings) == 1


def test_a_new_file_counts_before_git_knows_it_and_a_renamed_one_keeps_its_past(repo: Path):
    (repo / "shop" / "account.py").write_text(SHARED)
    git(repo, "mv", "shop/users.py", "shop/people.py")
    (repo / "shop" / "people.py").write_text(WRITER.replace(DELETE, ""))
    git(repo, "add", "shop/people.py")

    result = lint([repo], diff="HEAD", root=repo)

    assert places(result) == [
        ("shop/account.py", 6, "shared-key-for-user-data"),
        ("shop/people.py", 6, "removed-invalidation"),
    ]


def test_a_folder_of_the_repository_can_be_the_root(repo: Path):
    (repo / "shop" / "users.py").write_text(WRITER.replace(DELETE, ""))

    assert places(lint([Path()], diff="HEAD", root=repo / "shop")) == [
        ("users.py", 6, "removed-invalidation")
    ]


@pytest.mark.parametrize("revision", ["no-such-branch", "--output=/tmp/x", "", "HEAD; ls", "a\0b"])
def test_a_revision_that_there_is_not_is_one_line(repo: Path, revision: str):
    with pytest.raises(CacheStrategyError) as raised:
        lint([repo], diff=revision, root=repo)

    assert "\n" not in str(raised.value) and "--diff" in str(raised.value)


def test_a_folder_without_git_is_one_line(tmp_path: Path):
    with pytest.raises(CacheStrategyError, match="git repository"):
        lint([tmp_path], diff="HEAD", root=tmp_path)


def test_an_unknown_format_names_those_there_are(tmp_path: Path):
    with pytest.raises(CacheStrategyError, match="github, json, sarif, text"):
        render(lint([tmp_path], diff=None, root=tmp_path), "xml")
