"""How the application is put together, and the repository's commit."""

from __future__ import annotations

import subprocess

from cache_strategy.profile import profile


def test_the_factory_the_database_and_the_requirements_are_found(blog):
    evidence = blog("", {"requirements.txt": "flask\n", "requirements/dev.txt": "pytest\n", "wsgi.py": "from blog import create_app\napp = create_app()\n"})  # fmt: skip
    application = evidence.application

    assert application is not None
    assert (application.package, application.package_path) == ("blog", "blog")
    assert (application.factory, application.instance) == ("blog:create_app", "wsgi:app")
    assert (application.database, application.session) == ("blog.models:db", "db.session")
    assert application.requirements == ("requirements.txt", "requirements/dev.txt")
    assert (evidence.frameworks, evidence.orms) == (("flask",), ("sqlalchemy",))


def test_a_package_under_src_keeps_its_import_name(profiled):
    evidence = profiled(
        {
            "src/shop/__init__.py": "",
            "src/shop/app.py": "from flask import Flask\napp = Flask(__name__)\n\n@app.get('/')\ndef home(): ...\n",
        }
    )
    application = evidence.application

    assert application is not None
    assert (application.package, application.package_path, application.instance) == (
        "shop",
        "src/shop",
        "shop.app:app",
    )


def test_modules_beside_each_other_are_no_package(profiled):
    evidence = profiled({"app.py": "from flask import Flask\napp = Flask(__name__)\n"})

    assert evidence.application is not None
    assert (evidence.application.package, evidence.application.instance) == ("", "app:app")


def test_a_session_of_plain_sqlalchemy_is_the_session(profiled):
    evidence = profiled(
        {
            "shop/__init__.py": "from flask import Flask\n\ndef create_app():\n    return Flask(__name__)\n",
            "shop/base.py": """
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker
Session = scoped_session(sessionmaker(create_engine("sqlite://")))
""",
        }
    )

    assert evidence.application is not None
    assert (evidence.application.database, evidence.application.session) == ("shop.base:Session", "Session")


def test_caches_in_use_are_listed(blog):
    evidence = blog(
        """
from functools import lru_cache
from flask_caching import Cache
cache = Cache()

@lru_cache(maxsize=1)
def one(): ...

@cache.memoize(60)
def two(): ...
"""
    )

    assert evidence.application is not None
    whats = [line.partition(" ")[2] for line in evidence.application.existing_caches]
    assert whats == ["cache = Cache()", "@lru_cache(maxsize=1)", "@cache.memoize(60)"]


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


def test_a_folder_without_git_has_no_commit(profiled):
    assert profiled({"a.py": "x = 1\n"}).commit == ""
