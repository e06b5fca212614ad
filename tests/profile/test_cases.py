"""
The cases of `cases/*.txt`: code with what the profiler must say of it, on the line of the function.

A case begins with `### its title`; its code is the blog's views, `=== path` begins another file (a case that begins
with one has no blog). Lines below `---` are cases of their own: each stands in place of BODY. Behind `#:` stand
clauses, separated by `;`: a word of FACTS and what it must be in any order ("-" for nothing), after an HTTP method
where a function answers several. `#!` at the beginning of a line is about the whole repository.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest


class Subject:
    """A function of a case: what was seen of it."""

    def __init__(self, seen, qualname: str, method: str) -> None:
        self.seen, self.qualname = seen, qualname
        self.endpoints = [e for e in seen.endpoints if e.qualname == qualname and method in ("", e.method)]
        self.effects = next((f.effects for f in seen.functions if f.qualname == qualname), None)
        self.of = self.endpoints[0] if self.endpoints else self.effects
        listed = [c.against for c in seen.candidates if c.qualname == qualname]
        self.against = [*listed, *(r.reason for r in seen.rejected if r.qualname == qualname)]

    @property
    def candidate(self):
        return self.seen.candidate(self.qualname)

    def flags(self) -> list[str]:
        effects = self.effects
        found = {"loop": effects.query_in_loop, "aggregate": effects.aggregates, "join": effects.joins == 1}
        return [name for name, value in found.items() if value]

    def context(self) -> list[str]:
        assert all(c.path and c.line > 0 for c in self.effects.context)
        return [c.kind for c in self.effects.context]


def written(writers) -> list[str]:
    return [f"{table}:{w.how}" for w in writers for table in w.tables]


FACTS = {
    "reads": lambda s: s.of.reads,
    "writes": lambda s: s.of.writes,
    "context": lambda s: s.endpoints[0].context if s.endpoints else s.context(),
    "reading": lambda s: [f"{c.kind}:{c.name}" for c in s.effects.context],
    "unknown": lambda s: s.effects.unknown,
    "outside": lambda s: s.effects.outside,
    "side": lambda s: s.effects.side_effects,
    "flags": lambda s: s.flags(),
    "returns": lambda s: [s.seen.function(s.qualname).returns],
    "guards": lambda s: s.endpoints[0].guards,
    "route": lambda s: [e.id for e in s.endpoints],
    "writer": lambda s: {*written(w for w in s.seen.writers if w.qualname == s.qualname)},
    "rows": lambda s: [f"{r.table}:{r.key}" for r in s.candidate.rows],
    "layers": lambda s: s.candidate.layers,
    "personal": lambda s: ["yes" if s.candidate.per_user else "no"],
    "written-by": lambda s: [f"{w.path}:{w.qualname}:{w.how}" for w in s.candidate.writers],
    "key": lambda s: [f"{k.name}:{k.source}" for k in s.candidate.key],
    "key-from": lambda s: [k.expression for k in s.candidate.key],
    # of the whole repository
    "routes": lambda s: [e.id for e in s.seen.endpoints],
    "candidates": lambda s: [
        f"{number}:{c.qualname}"
        for number, c in enumerate((c for c in s.seen.candidates if not c.against), 1)
    ],
    "writers": lambda s: [w.qualname for w in s.seen.writers],
    "tables": lambda s: [f"{t.name}:{t.model}" for t in s.seen.tables],
    "caches": lambda s: s.seen.application.existing_caches,
    "views": lambda s: [
        f"{c.qualname}:{c.layers[0]}:{c.sql}" for c in s.seen.candidates if c.kind == "query"
    ],
    "requirements": lambda s: s.seen.application.requirements,
    "tools": lambda s: [*s.seen.frameworks, *s.seen.orms],
}
PARTS = {
    "because": lambda s: s.candidate.because,
    "rejected": lambda s: s.against if all(s.against) else (),
    "application": lambda s: [
        " ".join(f"{k}={v}" for k, v in vars(s.seen.application).items() if isinstance(v, str))
    ],
}


def check(subject: Subject, word: str, expected: str) -> None:
    if word in PARTS:
        assert any(expected in text for text in PARTS[word](subject)), PARTS[word](subject)
    elif word == "nothing":
        assert subject.effects is None
    elif word == "many":
        assert expected in subject.candidate.reads
        assert expected not in [row.table for row in subject.candidate.rows]
    else:
        found = " ".join(FACTS[word](subject))
        assert sorted(found.split()) == sorted(expected.replace(" -", "", 1).strip(" -").split())


def cases() -> Iterator[tuple[str, str]]:
    for path in sorted((Path(__file__).parent / "cases").glob("*.txt")):
        for block in ("\n" + path.read_text(encoding="utf-8")).split("\n### ")[1:]:
            title, _, text = block.partition("\n")
            code, _, lines = text.partition("\n---\n")
            if not lines:
                yield title, code
            for body, _, clauses in (line.partition("  #: ") for line in lines.splitlines() if line):
                yield f"{title}: {body}", code.replace("BODY", body.replace("\\n", "\n")) + f"\n#: {clauses}"


def functions(code: str) -> Iterator[tuple[str, str]]:
    """(qualified name, clauses) of every function with clauses; those of a table's line are of `work`."""

    def below(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            is_named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            inner = (*names, child.name) if is_named else names
            if is_named:
                yield ".".join(inner), lines[child.lineno - 1].partition("#: ")[2]
            yield from below(child, inner)

    lines = code.splitlines()
    yield from below(ast.parse(code), ())
    yield from (("work" if line[1] == ":" else "", line[3:]) for line in lines if line[:3] in ("#: ", "#! "))


@pytest.mark.parametrize("text", [pytest.param(text, id=title) for title, text in cases()])
def test_the_profiler_says_what_the_case_says(blog, profiled, text):
    views, *others = ("\n" + text).split("\n=== ")
    files = dict(part.partition("\n")[::2] for part in others)
    seen = profiled(files) if files and not views.strip() else blog(views, files)
    python = [views, *(code for path, code in files.items() if path.endswith(".py"))]
    found = [(name, c.strip()) for code in python for name, text in functions(code) for c in text.split(";")]
    for qualname, clause in found:
        if clause:
            method, clause = clause.split(" ", 1) if clause.partition(" ")[0].isupper() else ("", clause)
            word, _, expected = clause.partition(" ")
            check(Subject(seen, qualname, method), word, expected)
    assert any(clause for _, clause in found)
