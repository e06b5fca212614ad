"""How the application is put together, and the repository's commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cache_strategy.profile import profile


def test_the_commit_is_read_from_git(tmp_path):
    def git(*arguments: str) -> str:
        setting = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *setting, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git("add", "a.py")
    git("commit", "-q", "-m", "a")
    assert profile(tmp_path).commit == git("rev-parse", "HEAD").strip()

    git("pack-refs", "--all")
    assert profile(tmp_path).commit == git("rev-parse", "HEAD").strip()

    git("checkout", "-q", "--detach")
    assert profile(tmp_path).commit == git("rev-parse", "HEAD").strip()


def test_tables_are_as_the_code_declares_them(profiled):
    reads = (Path(__file__).parent / "cases" / "reads.txt").read_text(encoding="utf-8")
    evidence = profiled({"models.py": reads.partition("=== models.py\n")[2].partition("===")[0]})
    tables = {table.name: table for table in evidence.tables}

    assert set(tables) == {"shops", "shelves", "visits", "specials"}
    assert tables["shelves"].columns == ("id", "name", "shop_id")
    assert tables["shelves"].parents == {"shop_id": "shops.id"}
    assert tables["visits"].parents == {"shop_id": "shops.id"}
    assert tables["shops"].cascades == ("shelves",)
    assert tables["shops"].primary_key == ("id",)
    assert (tables["shops"].model, tables["shops"].path) == ("models.Shop", "models.py")
