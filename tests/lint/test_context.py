"""The rules about other files in the linter: over a change, over a project as it stands, and again when one file has changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cache_strategy.lint import LEFT_OUT, LintResult, lint, lint_patch, lint_text
from lint.test_lint import git
from rules.project_cases import ProjectCase, project_cases_of
from rules.test_project_rules import CASES

REPRICE = """\
from shop.models import Product


def reprice(product_id, price):
    Product.objects.filter(id=product_id).update(price=price)
"""


def written(case: ProjectCase, folder: Path) -> None:
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def places(result: LintResult) -> set[tuple[str, int, str]]:
    return {(f.path, f.line, f.name) for f in result.findings}


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_told_what_the_hook_tells_of_it(case: ProjectCase, tmp_path: Path) -> None:
    written(case, tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "as it is")
    (tmp_path / case.path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / case.path).write_text(case.after)
    git(tmp_path, "add", "-N", ".")

    since = lint([tmp_path], diff="HEAD", root=tmp_path)
    diff = subprocess.run(["git", "diff"], cwd=tmp_path, capture_output=True, check=True).stdout
    patch = lint_patch(diff, paths=[tmp_path], root=tmp_path)

    assert places(since) == {(case.path, line, name) for line, _, name in case.expected}
    assert places(patch) == places(since)
    assert places(lint([tmp_path], diff="HEAD", root=tmp_path, others=False)) == set()


def test_a_project_as_it_stands_and_a_text_are_asked_too(tmp_path: Path) -> None:
    case = next(case for case in project_cases_of("writer-without-invalidation") if case.expected)
    written(case, tmp_path)
    kept = tmp_path / "kept"
    assert places(lint([tmp_path], diff=None, root=tmp_path, kept=kept)) == set()

    text = REPRICE.encode()
    told = {("shop/views.py", 5, "writer-without-invalidation")}
    assert places(lint_text(text, "shop/views.py", diff=None, root=tmp_path, others=True)) == told
    assert places(lint_text(text, "shop/views.py", diff=None, root=tmp_path)) == set()

    (tmp_path / "shop" / "views.py").write_text(REPRICE)
    for _ in range(2):  # judged, then remembered
        assert places(lint([tmp_path], diff=None, root=tmp_path, kept=kept)) == told
    assert places(lint([tmp_path], diff=None, root=tmp_path, others=False)) == set()

    # Another file makes it right: what was remembered of this one no longer counts.
    (tmp_path / "shop" / "signals.py").write_text(
        "from django.db.models.signals import post_save\nfrom django.dispatch import receiver\n"
        "from shop.caching import forget_product\nfrom shop.models import Product\n\n\n"
        "@receiver(post_save, sender=Product)\ndef forget(sender, instance, **kwargs):\n    forget_product(instance.id)\n"
    )
    assert places(lint([tmp_path], diff=None, root=tmp_path, kept=kept)) == set()


def test_of_a_huge_tree_it_is_said_that_they_were_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "views.py").write_text(REPRICE)
    monkeypatch.setattr("cache_strategy.lint.context._LARGEST", 10)

    assert lint([tmp_path], diff=None, root=tmp_path).notes == (LEFT_OUT,)
    assert lint([tmp_path], diff=None, root=tmp_path, others=True).notes == ()
