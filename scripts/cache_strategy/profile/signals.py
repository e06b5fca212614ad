"""What functions look like to somebody who decides where a cache belongs: their words, their shape, who mentions them."""

import re
from collections.abc import Iterator

from cache_strategy.profile.program import FunctionInfo, Program
from cache_strategy.profile.source_text import last_name

# Names and short strings as `marshal` writes them: a kind, a length, the text.
_TEXT = re.compile(rb"[zZ\xfa\xda](.)([A-Za-z_]\w*)", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TELLING = {
    "reads": frozenset(
        """objects filter filter_by query execute select scalar scalars fetchall fetchone get_or_404 get_object_or_404
        exclude select_related prefetch_related order_by values_list find_one lookup aggregate annotate count exists""".split()
    ),
    "waits": frozenset(
        "requests urlopen httpx aiohttp urllib boto3 session client open read_text loads".split()
    ),
    "writes": frozenset(
        """save create update delete add commit bulk_create update_or_create insert send send_mail delay apply_async publish
        write flush put post patch unlink""".split()
    ),
}
_IDENTIFYING = re.compile(
    r"(^|_)(id|ids|pk|slug|name|key|hash|code|uuid|label|type|text|content|path|url|domain|title|version|lang|locale|"
    r"language|number|value|model|currency|email)s?$"
)
_OBJECTS = frozenset(
    "form instance obj data payload body db conn cursor callback func parser app logger event sender".split()
)
# A name that more functions than these have says nothing about which of them is meant.
_MOST_MEANT = 3
_DEEPEST = 4
_MOST_ABOVE = 60


class Signals:
    """The signals of every function of production code."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.functions = list(program.production_functions())
        self.words = {f.index: _words_in(f.body) for f in self.functions}
        self.named: dict[str, list[int]] = {}
        for function in self.functions:
            self.named.setdefault(function.name, []).append(function.index)
        self.above: dict[int, set[int]] = {f.index: set() for f in self.functions}
        self.below: dict[int, set[int]] = {f.index: set() for f in self.functions}
        for function in self.functions:
            for word in self.words[function.index]:
                meant = self.named.get(word, ())
                for index in meant if len(meant) <= _MOST_MEANT else ():
                    if index != function.index:
                        self.below[function.index].add(index)
                        self.above[index].add(function.index)

    def of(self, function: FunctionInfo) -> set[str]:
        """The signals of a function: "name:count", "in body:aggregate", "shape:method" and so on."""
        module = self.program.modules[function.module]
        names = _split(function.name)
        found = {f"n:{word}" for word in names} | {f"f:{word}" for word in names[:1]}
        found |= {f"p:{word}" for word in re.split(r"[/._]", module.path)}
        found |= {f"i:{word}" for word in self.words[function.index]}
        found |= {f"d:{last_name(node)}" for node in function.decorators}
        if function.owner >= 0:
            owner = self.program.classes[function.owner]
            found |= {f"c:{word}" for word in _split(owner.name)} | {
                f"b:{last_name(base)}" for base in owner.bases
            }
        found |= {f"s:{word}" for word in self._shape(function)}
        return {signal for signal in found if "cache" not in signal and "memo" not in signal}

    def _shape(self, function: FunctionInfo) -> Iterator[str]:
        words = self.words[function.index]
        parameters = [p[0] for p in function.parameters if p[0] not in ("self", "cls")]
        yield from (f"given {name}" for name in parameters)
        yield f"arguments {min(len(parameters), 4)}"
        if parameters and all(map(_IDENTIFYING.search, parameters)):
            yield "identified"
        if _OBJECTS.intersection(parameters):
            yield "given an object"
        yield f"size {min(len(function.body).bit_length(), 13)}"
        for name, holds in (
            ("method", function.owner >= 0), ("nested", function.outer >= 0), ("async", function.is_async),
            ("generator", function.is_generator), ("returns", "return" in words), ("calls", "call" in words),
            ("private", function.name[0] == "_"), ("annotated", function.returns is not None),
            ("starred", any(p[3] in (1, 3) for p in function.parameters)),
        ):  # fmt: skip
            if holds:
                yield name
        index = function.index
        yield f"mentioned {_bucket(len(self.above[index]))}"
        yield f"mentioned below {_bucket(len(self._reached(index)))}"
        yield f"mentioned in files {_bucket(len({self.program.functions[i].module for i in self.above[index]}))}"
        yield f"same name {_bucket(len(self.named[function.name]))}"
        called = set().union(*(self.words[i] for i in self.below[index]))
        for name, telling in _TELLING.items():
            if telling & (words | called):
                yield f"{name} {'itself' if telling & words else 'below'}"
        if (_TELLING["reads"] | _TELLING["waits"]) & (words | called) and not _TELLING["writes"] & words:
            yield "only reads"

    def _reached(self, start: int) -> set[int]:
        seen, edge = {start}, {start}
        for _ in range(_DEEPEST):
            edge = set().union(*(self.above[i] for i in edge)) - seen
            seen |= edge
            if not edge or len(seen) > _MOST_ABOVE:
                break
        return seen - {start}


def _words_in(body: bytes) -> frozenset[str]:
    return frozenset(text[: length[0]].decode("ascii", "replace") for length, text in _TEXT.findall(body))


def _split(name: str) -> list[str]:
    return [word.lower() for word in _CAMEL.sub("_", name).split("_") if word]


def _bucket(count: int) -> str:
    """A number by its order: 0, 1, 2, 4, 8, 16, 32."""
    return str(1 << min(count.bit_length() - 1, 5)) if count else "0"
