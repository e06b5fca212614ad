"""`index`, and the guard's settings in `lint`: the same files as in the hook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cache_strategy.cli.verbs import app

METHOD = (
    "from functools import lru_cache\n\n\nclass A:\n    @lru_cache\n    def rows(self):\n        return 1\n"
)


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name in ("shop/rows.py", "old/rows.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(METHOD)
    return tmp_path


def test_lint_obeys_the_settings_and_says_what_they_left_out(shop: Path) -> None:
    def found() -> tuple[list[tuple[str, str]], str]:
        _, out, err = run("lint", str(shop), "--no-cache", "--json")
        return [(each["path"], each["severity"]) for each in json.loads(out)["findings"]], err

    assert found() == ([("old/rows.py", "warning"), ("shop/rows.py", "warning")], "")
    settings = shop / "pyproject.toml"
    settings.write_text('[tool.cache-strategy]\nexclude = ["old"]\n[tool.cache-strategy.severity]\nCS107 = "error"\nlru-cache-on-method = "error"\n')  # fmt: skip
    assert (
        found()[0] == [("shop/rows.py", "error")] and "1 finding left out by pyproject.toml:2." in found()[1]
    )
    settings.write_text('[tool.cache-strategy]\noff = ["lru-cache-on-method"]\nmissing = 1\n')
    assert found()[0] == []
    assert "2 findings left out by pyproject.toml:2." in found()[1]
    assert "pyproject.toml:3: missing is no setting of cache-strategy" in found()[1]


def test_a_folder_inside_the_project_has_the_projects_settings(shop: Path) -> None:
    (shop / "pyproject.toml").write_text('[tool.cache-strategy]\nexclude = ["old"]\n')

    assert run("lint", str(shop / "old"), "--no-cache")[0] == 0
    assert run("lint", str(shop / "shop"), "--no-cache")[0] == 1


def test_index_counts_and_lists_what_is_allowed(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = str(tmp_path_factory.mktemp("data"))
    (shop / "shop" / "rows.py").write_text(METHOD.replace("@lru_cache", "@lru_cache  # cache-safety: allow[lru-cache-on-method] one object"))  # fmt: skip

    code, out, _ = run("index", str(shop), "--data", data)
    assert code == 0 and out.startswith("2 files, 2 read anew")
    assert (
        "1 line allowed with a reason" in out
        and "shop/rows.py:5: allow[lru-cache-on-method] one object" in out
    )
    told = json.loads(run("index", str(shop), "--data", data, "--json")[1])
    assert (told["files"], told["read"], told["whole"], told["allowed"]) == (2, 0, True, 1)


def test_index_without_a_folder_to_write_to_says_what_to_do(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLAUDE_PLUGIN_DATA", raising=False)
    code, _, _ = run("index", str(shop))
    assert code != 0
    (shop / "file").write_text("")
    assert run("index", str(shop), "--data", str(shop / "file"))[0] != 0
