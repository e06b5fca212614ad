"""The evidence of a repository is the same in every process, whatever the order of its sets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

APPS = Path(__file__).resolve().parents[1] / "apps"
PROGRAM = """
import json, sys
from pathlib import Path
from cache_strategy.model.document import to_data
from cache_strategy.profile import profile
print(json.dumps({**to_data(profile(Path(sys.argv[1]))), "seconds": 0}))
"""


# A helper that is given this or that: of the words for it, one is told.
EITHER = """
from django.db import models
from django.shortcuts import render

class Book(models.Model):
    title = models.CharField(max_length=9)

class Shelf:
    def __init__(self, name): self.name = name

def titles(books, shelf, other):
    return [b.title for b in Book.objects.filter(id__in=books)]

def page(request):
    books = Book.objects.all() if request.GET.get("all") else Shelf("a")
    shelf = Shelf("b") if request.GET.get("b") else Book.objects.filter(title="x")
    other = [Book.objects.first()] if request.GET.get("c") else Shelf("c")
    return render(request, "x.html", {"titles": titles(books, shelf, other)})
"""


@pytest.mark.parametrize("app", ["django_press", "either"])
def test_other_hashes_give_the_same_evidence(app: str, tmp_path: Path) -> None:
    """Sets of text have another order in each process; what is found does not depend on it."""
    (tmp_path / "views.py").write_text(EITHER)
    found = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path if app == "either" else APPS / app],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(APPS.parents[1] / "scripts")},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in "1234"
    }
    assert len(found) == 1
