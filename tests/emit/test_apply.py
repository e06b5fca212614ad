"""Writing into a user's repository: all or nothing, whole files, and back again byte for byte."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cache_strategy.emit.apply import NOTE, apply, revert
from cache_strategy.emit.patch import render_patch
from cache_strategy.model.change import Change
from cache_strategy.model.errors import CacheStrategyError, Refusal


def repository(folder: Path) -> Path:
    (folder / "a.py").write_bytes(b"x = 1\r\ny = 2")
    (folder / "b.py").write_bytes("z = 'ä'\n".encode())
    (folder / "b.py").chmod(0o755)
    return folder


CHANGES = (
    Change(path="a.py", before="x = 1\r\ny = 2", after="x = 3\r\ny = 2", why="edit"),
    Change(path="b.py", before="z = 'ä'\n", after="z = 'ä'\nq = 1\n", why="edit"),
    Change(path="new/deep/c.py", before=None, after="c = 1\n", why="new"),
)


def snapshot(repo: Path) -> dict[str, bytes]:
    return {
        p.relative_to(repo).as_posix(): p.read_bytes()
        for p in repo.rglob("*")
        if p.is_file() and ".cache-strategy" not in p.parts and ".git" not in p.parts
    }


def test_apply_and_revert_give_back_every_byte_and_every_mode(tmp_path):
    repo = repository(tmp_path)
    before = snapshot(repo)
    apply(CHANGES, repo)
    assert (repo / "b.py").stat().st_mode & 0o777 == 0o755
    assert sorted(revert(repo)) == ["a.py", "b.py", "new/deep/c.py"]
    assert snapshot(repo) == before
    assert not (repo / "new").exists()


def test_two_applies_are_taken_back_together(tmp_path):
    repo = repository(tmp_path)
    before = snapshot(repo)
    apply(CHANGES[:1], repo)
    apply([Change(path="a.py", before="x = 3\r\ny = 2", after="x = 4\r\n", why="again")], repo)
    revert(repo)
    assert snapshot(repo) == before


def test_nothing_that_a_person_changed_is_lost(tmp_path):
    repo = repository(tmp_path)
    (repo / "b.py").write_text("z = 2\n")
    before = snapshot(repo)
    with pytest.raises(Refusal, match=r"b\.py: was changed"):
        apply(CHANGES, repo)
    assert snapshot(repo) == before
    apply(CHANGES[:1], repo)
    (repo / "a.py").write_text("mine = 1\n")
    after = snapshot(repo)
    with pytest.raises(Refusal, match=r"a\.py: was edited"):
        revert(repo)
    assert snapshot(repo) == after


def test_nothing_outside_the_repository_is_written(tmp_path):
    repo = tmp_path / "repo"
    repo.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo / "link").symlink_to(outside)
    for path in ("../outside/x.py", "link/x.py", str(outside / "x.py")):
        with pytest.raises(Refusal, match="outside the repository"):
            apply([Change(path=path, before=None, after="x", why="")], repo)
    assert list(outside.iterdir()) == []


def test_an_apply_that_fails_in_the_middle_is_taken_back(tmp_path):
    repo = repository(tmp_path)
    before = snapshot(repo)
    (repo / "blocked").write_text("a file where a folder is wanted")
    changes = (*CHANGES, Change(path="blocked/d.py", before=None, after="d = 1\n", why="new"))
    with pytest.raises(CacheStrategyError, match="nothing was changed"):
        apply(changes, repo)
    (repo / "blocked").unlink()
    assert snapshot(repo) == before
    assert not (repo / NOTE).exists()


KILL = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{scripts!r}]
from cache_strategy.emit import apply as module
from cache_strategy.model.change import Change
repo = Path({repo!r})
changes = [Change(path=f"f{{i}}.py", before="old\\n", after="new\\n", why="") for i in range(20)]
write = Path.replace
count = [0]
def counting(self, target):
    if Path(target).name.startswith("f"):
        count[0] += 1
        if count[0] == 10:
            os.kill(os.getpid(), signal.{name})
    return write(self, target)
Path.replace = counting
try:
    module.apply(changes, repo)
except KeyboardInterrupt:
    sys.exit(1)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_an_interrupted_apply_leaves_whole_files_and_no_half_patch(tmp_path, name):
    for i in range(20):
        (tmp_path / f"f{i}.py").write_text("old\n")
    scripts = str(Path(__file__).resolve().parents[2] / "scripts")
    code = KILL.format(scripts=scripts, repo=str(tmp_path), name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode in (1, -signal.SIGKILL), done.stderr
    texts = {(tmp_path / f"f{i}.py").read_text() for i in range(20)}
    assert texts <= {"old\n", "new\n"}
    if name == "SIGINT":
        assert texts == {"old\n"}
    else:
        with pytest.raises(Refusal, match="nothing of ours"):
            revert(tmp_path)
        assert {(tmp_path / f"f{i}.py").read_text() for i in range(20)} == {"old\n"}


def test_a_read_only_folder_is_one_clear_line(tmp_path):
    if os.geteuid() == 0:
        # root writes anywhere: a folder that is a file is the read-only folder that root meets
        (tmp_path / ".cache-strategy").write_text("")
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(CacheStrategyError) as error:
        apply([Change(path="n.py", before=None, after="n = 1\n", why="")], tmp_path)
    assert "\n" not in str(error.value)


def test_git_takes_the_patch(tmp_path):
    repo = repository(tmp_path)
    subprocess.run(["git", "init", "-q", repo], check=True)
    patch = render_patch(CHANGES)
    subprocess.run(["git", "-C", repo, "apply", "--check", "-"], input=patch.encode(), check=True)
    subprocess.run(["git", "-C", repo, "apply", "-"], input=patch.encode(), check=True)
    assert {c.path: c.after for c in CHANGES} == {
        c.path: (repo / c.path).read_bytes().decode() for c in CHANGES
    }
