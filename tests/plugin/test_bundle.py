"""The bundle as a product: what is shipped, and that it runs from wherever it lands."""

from __future__ import annotations

import subprocess
import sys

import pytest
from bundle import ROOT, files_of_the_bundle

LIMIT = 2_000_000
"""Everything tracked is copied to every user."""
# In two parts each, so that this file does not name them either.
HOSTS = [name + "." + end for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]


@pytest.mark.xfail(
    strict=True,
    reason="about 4.1 MB: not met since Django, FastAPI, fifty rules and all sources are part of it",
)
def test_the_whole_bundle_is_small():
    sizes = {name: (ROOT / name).stat().st_size for name in files_of_the_bundle()}

    largest = sorted(sizes, key=sizes.__getitem__)[-5:]
    assert sum(sizes.values()) < LIMIT, [(name, sizes[name]) for name in largest]


def test_every_file_that_names_its_interpreter_can_be_started():
    listed = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    modes = {line.split("\t")[1]: line.split()[0] for line in listed.stdout.splitlines()}
    scripts = {name for name in modes if (ROOT / name).is_file() and (ROOT / name).read_bytes()[:2] == b"#!"}

    assert {"scripts/cache-strategy", "tests/run", "tests/lock", ".ci/run"} <= scripts
    assert {name for name in scripts if modes[name] != "100755"} == set()


def test_no_package_index_is_named():
    for name in files_of_the_bundle():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        assert not [host for host in HOSTS if host in text], name


def test_it_runs_from_a_read_only_folder_with_a_space_in_its_name(copied_plugin, tmp_path):
    launcher = copied_plugin / "scripts" / "cache-strategy"
    application = tmp_path / "an application"
    application.mkdir()
    (application / "app.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(launcher), "--data-dir", str(tmp_path / "data"), *arguments]
        return subprocess.run(command, cwd=application, capture_output=True, text=True)

    helped, profiled = start("--help"), start("profile", ".", "--json")

    assert helped.returncode == 0 and "verify" in helped.stdout, helped.stderr
    assert profiled.returncode == 0 and '"schema"' in profiled.stdout, profiled.stderr
