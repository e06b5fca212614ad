"""Files that nobody would write: read, or reported with a reason; never a crash, never a hang."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.profile import profile

GOOD = "from flask import Flask\napp = Flask(__name__)\n\n@app.get('/ok')\ndef ok(): ...\n"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(GOOD)
    return tmp_path


def reasons(repo: Path) -> dict[str, str]:
    evidence = profile(repo, jobs=1)
    assert [e.id for e in evidence.endpoints] == ["GET /ok"]
    return {u.path: u.reason for u in evidence.unread}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"print two(\n", "syntax error in line 1"),
        (b"x = 1\0\n", "NUL"),
        pytest.param(
            b"def first[T](x: dict[T, T]) -> str: return f'{x['a']}'\n",
            "written for Python 3.12",
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads it"),
        ),
        (b"x = '\xe9'\n", "utf-8"),
        (b"# coding: klingon\nx = 1\n", "klingon"),
        ("x = 1\n".encode("utf-16"), "utf-8|NUL"),
        (b"def f(:\n" * 50_000, "syntax error"),
        (b"x = " + b"(" * 10_000 + b")" * 10_000, "syntax error|too deeply"),
        (b"x = " + b"-" * 20_000 + b"1\n", "too deeply"),
        (b"if 1:\n" + b"".join(b" " * n + b"if 1:\n" for n in range(1, 120)), "syntax error"),
    ],
)
def test_what_this_python_cannot_read_is_reported_with_its_reason(repo, content, word):
    (repo / "odd.py").write_bytes(content)

    found = reasons(repo)
    assert list(found) == ["odd.py"] and re.search(word, found["odd.py"])


@pytest.mark.parametrize(
    "code",
    [
        "print", "print 'a', f(1),", "print >>log, 'a'", "print ('a'), 'b'", "exec code in space", "raise Error, 'text'",
        "x = 0777 + 10L + `y`", "x = a <> ur'\\d'", "if a: print 'a'; print 'b'", "call(async=True)",
        "key = lambda (k, v): v", "try:\n    f()\nexcept (A, B), e:\n    print e\nexcept C: pass", "if a:\n\tx = 1\n        y = 2",
        "type Pair[A] = tuple[A,\n    A]", "def first[T: int](x: list[T]) -> T: return x[0]",
        "class Store[\n    T: (int, str),  # why\n    **P,\n](Base):\n    async def f[*R](self): type = 1; return type",
        "try: f()\nexcept KeyError, ValueError: pass\nexcept a.b, c.d, E: pass", "type(x).y = [\n    1]",
    ],
)  # fmt: skip
def test_what_was_written_for_another_python_is_read_line_for_line(repo, code):
    (repo / "old.py").write_text(f"{code}\ndef last(): return open('x')\n")

    evidence = profile(repo, jobs=1)
    assert evidence.unread == ()
    assert [f.line for f in evidence.functions if f.qualname == "last"] == [code.count("\n") + 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbfx = 1\r\n",
        "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
        b"x = 1" + b" + 1" * 3_000 + b"\n",
        b"x = '\\ud800'\ny = 10 ** 5000\nz = " + b"9" * 4000 + b"\n",
        b"match 1:\n    case [1, *rest] if rest: pass\n    case _: pass\n",
        b"try: pass\nexcept* ValueError: pass\n",
        b"x = '" + b"z" * 3_000_000 + b"'\n",
        b"x = {\n" + b"    'key': [1, 2, ('three', None)],\n" * 50_000 + b"}\n",
        b"".join(b"def f%d(a): return f%d(a) or a.b\n" % (n, n + 1) for n in range(10_000)),
        b"def f(a):\n" + b"    a = [a, g(a)] if a.b(a) else {a: a}\n" * 5_000,
        b"class A(A): pass\nclass B(C): pass\nclass C(B): x = property(lambda s: s.x)\nB().x.y(C)\n",
    ],
)
def test_what_this_python_can_read_is_read(repo, content):
    (repo / "odd.py").write_bytes(content)

    assert reasons(repo) == {}


def test_a_loop_of_links_ends_and_a_link_out_is_not_followed(repo, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.py").write_text("x = 1\n")
    (repo / "inner").mkdir()
    (repo / "inner" / "up").symlink_to(repo, target_is_directory=True)
    (repo / "self").symlink_to(repo / "self")
    (repo / "self.py").symlink_to(repo / "self.py")
    (repo / "gone.py").symlink_to(repo / "nowhere.py")
    (repo / "elsewhere").symlink_to(outside, target_is_directory=True)
    (repo / "out.py").symlink_to(outside / "secret.py")

    found = reasons(repo)
    assert found.keys() == {"self.py", "gone.py", "out.py"}
    assert "out of the repository" in found["out.py"]


def test_what_is_no_file_is_reported(repo):
    os.mkfifo(repo / "pipe.py")
    (repo / "folder.py").mkdir()
    (repo / "endless.py").symlink_to("/dev/zero")

    assert list(reasons(repo)) == ["endless.py", "pipe.py"]


@pytest.mark.parametrize("django", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "large", "gone"])
def test_what_is_read_besides_python_may_be_no_file(repo, kind, django):
    """Templates, SQL files, what git keeps, a package named caching: nothing is waited for, and nothing is read for ever."""

    def odd(name: str) -> None:
        path = repo / name
        path.parent.mkdir(exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "large":
            path.write_text("{% " * 1_000_000)
        elif kind == "folder":
            path.mkdir()
        elif kind == "endless":
            path.symlink_to("/dev/zero")

    render = "django.shortcuts import render" if django else "flask import render_template as render"
    (repo / "views.py").write_text(
        f"import aiosql\nfrom {render}\n\nqueries = aiosql.from_path('x.sql', 'psycopg2')\n\n"
        f"def page(request):\n    return render({'request, ' * django}'page.html', {'{}' * django}), queries.get_it()\n"
        + "@app.get('/page')\ndef other():\n    return page(1)\n"
        * (not django)
    )
    for name in ("templates/page.html", "x.sql", ".git/HEAD", "caching/__init__.py", "requirements.txt"):
        odd(name)

    evidence = profile(repo, jobs=1)
    assert not [u for u in evidence.unread if "followed" in u.reason]


@pytest.mark.parametrize(
    "template",
    ["{% " * 100_000, "{{" * 150_000, "{%" + " " * 300_000, "{% x " + "'" * 300_000, "{{ a" + "|b" * 100_000 + " }}",
     "{% if " + "a.b " * 50_000 + "%}" + "{% endif %}", "{#" * 150_000, "{% comment " * 30_000, "{{ x }}\n" * 40_000],
    ids=lambda text: f"{len(text)} times {text[:6]}",
)  # fmt: skip
def test_templates_that_nobody_would_write_end(repo, template):
    (repo / "templates").mkdir()
    (repo / "templates" / "page.html").write_text(template)
    (repo / "views.py").write_text(
        "from django.shortcuts import render\n\ndef page(r): return render(r, 'page.html')\n"
    )

    assert reasons(repo) == {}


def test_a_file_that_vanishes_is_reported(repo):
    from cache_strategy.profile.reading import read_sources
    from cache_strategy.profile.walk import walk

    (repo / "soon_gone.py").write_text("x = 1\n")
    files, _ = walk(repo)
    (repo / "soon_gone.py").unlink()

    sources, unread, _ = read_sources(files, 1)
    assert [s.path for s in sources] == ["app.py"]
    assert [(u.path, "vanished" in u.reason) for u in unread] == [("soon_gone.py", True)]


def test_names_that_are_not_utf8_survive(repo):
    (repo / os.fsdecode(b"caf\xe9.py")).write_text("print two(\n")
    (repo / os.fsdecode(b"na\xefve")).mkdir()
    (repo / os.fsdecode(b"na\xefve") / "fine.py").write_text("x = 1\n")

    assert list(reasons(repo)) == ["caf\\xe9.py"]


def test_a_file_of_generated_data_is_reported_not_read(repo):
    with (repo / "data.py").open("w") as stream:
        stream.write("ROWS = [\n" + "    (1, 2, 3, 'some text that takes place'),\n" * 250_000 + "]\n")

    assert "larger than" in reasons(repo)["data.py"]


def test_folders_that_are_not_the_applications_are_left_alone(repo):
    for folder in (".git", "node_modules/x", "__pycache__", "build", ".tox/py", "lib/site-packages/x"):
        (repo / folder).mkdir(parents=True)
        (repo / folder / "bad.py").write_text("print two(\n")
    (repo / "env").mkdir()
    (repo / "env" / "pyvenv.cfg").write_text("")
    (repo / "env" / "bad.py").write_text("print two(\n")

    assert reasons(repo) == {}


def test_imports_and_bases_that_lead_to_themselves_end(repo):
    (repo / "a.py").write_text(
        "from b import *\nfrom b import x\nimport c\nclass A(c.C): pass\nx = x\ny = c.z\n"
    )
    (repo / "b.py").write_text("from a import *\nfrom a import x, A\nclass B(A): pass\n")
    (repo / "c.py").write_text(
        "from b import B\nfrom a import y\nclass C(B): pass\nclass D(D): pass\nz = y\n"
    )

    assert reasons(repo) == {}


def test_calls_that_lead_to_themselves_end(repo):
    (repo / "loops.py").write_text(
        "def one(x):\n    return two(x) + [one]\n"
        "def two(x):\n    return [one(x), two]\n"
        "class Chain:\n"
        "    def __iter__(self): return self\n"
        "    def __getattr__(self, name): return getattr(self, name)\n"
        "    @property\n    def next(self): return self.next.next\n"
        "def walk(c: Chain):\n    for x in c:\n        for y in x.next:\n            walk(y.z)\n"
        "def grow():\n    x = []\n    while x:\n        x = [x, (x, {'x': x})]\n    return x\n"
    )

    assert reasons(repo) == {}


def test_a_chain_of_calls_of_any_length_ends(repo):
    chain = "\n".join(f"def f{n}(x):\n    return f{n + 1}(x)" for n in range(2_000))
    (repo / "chain.py").write_text(chain + "\n")

    assert reasons(repo) == {}


def test_many_files_are_read_by_several_processes(repo):
    for number in range(350):
        (repo / f"m{number}.py").write_text(f"VALUE = {number}\n")
    (repo / "bad.py").write_text("print two(\n")
    progress: list[str] = []

    evidence = profile(repo, jobs=2, progress=progress.append)
    assert (evidence.files, [u.path for u in evidence.unread]) == (352, ["bad.py"])
    assert any("352 of 352" in line for line in progress)


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(CacheStrategyError, match="is no folder"):
        profile(tmp_path / "nowhere")


def test_nothing_of_the_repository_is_run(repo, tmp_path):
    mark = tmp_path / "ran"
    (repo / "conftest.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (repo / "setup.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (repo / "sitecustomize.py").write_text(f"open({str(mark)!r}, 'w')\n")

    reasons(repo)
    assert not mark.exists()


def test_the_same_repository_gives_the_same_evidence(repo):
    lines = [
        "import unknown\n",
        *(f"def f{n}(x):\n" + f"    unknown.call_{n}_{{}}()\n" * 20 for n in range(4)),
    ]
    code = "".join(line.format(*range(20)) for line in lines)
    (repo / "many.py").write_text(code + "def all_of_them(x):\n    f0(x), f1(x), f2(x), f3(x)\n")
    first, second = profile(repo, jobs=1), profile(repo, jobs=2)

    assert first.functions == second.functions
    names = sorted(f"unknown.call_{n}_{i}" for n in range(4) for i in range(20))
    assert [f.effects.unknown for f in first.functions if f.qualname == "all_of_them"] == [tuple(names[:40])]
