"""What a name really is."""

import ast

import pytest

from cache_strategy.syntax.decorators import decorators_of
from cache_strategy.syntax.module import Unreadable, absolute, decode, module_name, parse
from cache_strategy.syntax.names import literal, qualified_name


def last_expression(text: str, name: str = "shop.views") -> str:
    module = parse(text, "shop/views.py", name)
    statement = module.tree.body[-1]
    assert isinstance(statement, ast.Expr)
    return qualified_name(statement.value, module)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import time\ntime.sleep", "time.sleep"),
        ("import os.path\nos.path.join", "os.path.join"),
        ("import numpy as np\nnp.random.rand()", "numpy.random.rand"),
        ("from flask import session as s\ns.get('x')", "flask.session.get"),
        ("from .models import User\nUser.query", "shop.models.User.query"),
        ("from ..shared.clock import now\nnow()", "..shared.clock.now"),
        ("from flask_caching import Cache\nC = Cache(app)\nC.memoize", "flask_caching.Cache.memoize"),
        ("from a import b\nc = b\nd = c\nd.e", "a.b.e"),
        ("class Local: pass\nLocal.method", "shop.views.Local.method"),
        ("open('x')", "open"),
        ("x = x\nx.y", "shop.views.x.y"),
        ("(a + b).c", ""),
    ],
)
def test_a_name_is_followed_to_what_it_stands_for(text: str, expected: str) -> None:
    assert last_expression(text) == expected


def test_a_loop_of_aliases_ends() -> None:
    assert last_expression("a = b\nb = a\na.c").endswith(".c")


def test_a_parameter_hides_an_import_of_the_same_name() -> None:
    module = parse("from flask import session\ndef f(session):\n    session.get(1)\n", "m.py", "m")
    call = next(node for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    assert qualified_name(call, module) == ""


def test_an_import_inside_a_function_is_known() -> None:
    module = parse("def f():\n    from flask import g\n    g.user\n", "m.py", "m")
    node = next(node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute))
    assert qualified_name(node, module) == "flask.g.user"


def test_qualnames_are_written_without_locals() -> None:
    module = parse("class A:\n    def b(self):\n        def c(): pass\n", "m.py")
    inner = [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef)][-1]
    assert module.qualname(inner) == "A.b.c"


def test_decorators_are_data() -> None:
    module = parse("from app import cache\n@cache.cached(timeout=60)\n@plain\ndef f(): pass\n", "m.py", "m")
    first, second = decorators_of(module.tree.body[-1], module)
    assert (first.name, first.last, first.called) == ("app.cache.cached", "cached", True)
    assert literal(first.keywords["timeout"]) == 60
    assert (second.name, second.called) == ("plain", False)


def test_the_module_name_is_the_path() -> None:
    assert module_name("shop/views.py") == ("shop.views", False)
    assert module_name("shop/__init__.py") == ("shop", True)


def test_dots_of_a_package_start_at_the_package() -> None:
    assert absolute("models", 1, "shop", True) == "shop.models"
    assert absolute(None, 2, "shop.web.views", False) == "shop"


def test_bytes_are_read_by_their_coding_line() -> None:
    assert decode("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1")).endswith("'é'\n")
    assert decode(b"\xef\xbb\xbfx = 1\r\n") == "x = 1\n"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"x = 1\0", "NUL"),
        (b"x = '\xe9'\n", "utf-8"),
        (b"# coding: klingon\n", "klingon"),
        (b"# coding: rot13\n", "rot13"),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_the_reason(data: bytes, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        decode(data)


@pytest.mark.parametrize("text", ["print 'two'", "x = " + "(" * 5000 + ")" * 5000, "def f(:"])
def test_text_that_is_no_module_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text, "m.py")
