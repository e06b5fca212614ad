"""Reads and writes `cache-strategy.yaml`, and points at the line that is wrong. The only file that knows YAML."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cache_strategy.model.contract import Contract, Entry, Invalidator
from cache_strategy.model.document import from_data, to_data
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.plan.invalidation import all_writers, writers_of
from cache_strategy.plan.ttl import KINDS, OTHER

FILE_NAME = "cache-strategy.yaml"
FINGERPRINT = re.compile(r"^# fingerprint: ([0-9a-f]{16})$", re.M)
HEADER = """\
# The cache contract of this application: what is cached, where, under which key, how stale it may be,
# and what invalidates it. Edit it and commit it: everything after `plan` obeys this file.
# `plan` never overwrites a contract that a person has edited; it writes cache-strategy.new.yaml beside it.
"""
SECTIONS = {
    "application": "Where the emitted modules go, and how they meet the application.",
    "infrastructure": "What stands around the application.",
    "writers": (
        "Every code that changes what the entries read. Each entry forgets, after the commit, what a writer of its tables\n"
        "# wrote; one that another way suits better lists its own writers under invalidated_by."
    ),
    "entries": (
        "One cache each. staleness_bound_seconds: the longest time a reader may see an old value after a committed\n"
        "# write; 0 means the next read sees the write. staleness_source stays `assumed` until a person writes `confirmed`."
    ),
    "rejected": "What must not be cached, and why.",
}
MAP, SEQUENCE, TEXT = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str"))
INLINE = ("key", "depends_on", "invalidated_by", "writers", "warming", "http", "static", "redis")


class _Inline(dict[str, Any]):
    """A mapping that is written on one line."""


class _InlineList(list[Any]):
    """A list that is written on one line."""


class _Block(str):
    """A text that is written as a literal block."""


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(_Inline, lambda d, v: d.represent_mapping(MAP, v, flow_style=True))
_Dumper.add_representer(_InlineList, lambda d, v: d.represent_sequence(SEQUENCE, v, flow_style=True))
_Dumper.add_representer(_Block, lambda d, v: d.represent_scalar(TEXT, v, style="|"))


def render(contract: Contract) -> str:
    """The contract as YAML, with a fingerprint by which an edit is recognised. Fields at their default are left out."""
    data = _without_defaults(contract)
    writers = all_writers(contract.entries)
    data["writers"] = [
        {name: value for name, value in _without_defaults(writer).items() if name != "how"}
        for writer in writers
    ]
    for entry, item in zip(contract.entries, data["entries"], strict=True):
        if entry.invalidated_by == writers_of(entry.depends_on, writers):
            del item["invalidated_by"]
    parts = [f"schema: {contract.schema}\n"]
    for name, comment in SECTIONS.items():
        if data.get(name) or name in ("entries", "infrastructure"):
            section = {name: _laid_out(data[name], name)}
            body = yaml.dump(section, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)
            more = _questions(contract) if name == "entries" else ""
            parts.append(f"\n# {comment}\n{more}{body}")
    text = "".join(parts)
    return f"{HEADER}# fingerprint: {_fingerprint(text)}\n{text}"


def _questions(contract: Contract) -> str:
    """What only a person can answer, once for each kind of data; of a contract without entries, what stands against them."""
    if not contract.entries:
        best = [f"#   {item.target}: {' '.join(item.reason.split())}" for item in contract.rejected[:3]]
        return (
            "\n".join(("# Nothing is kept. What stands against the first candidates:", *best, ""))
            if best
            else ""
        )
    groups: dict[str, list[str]] = {}
    for entry in contract.entries:
        if entry.staleness_source == "assumed":
            groups.setdefault(entry.data or OTHER.name, []).append(entry.id)
    usual = {kind.name: kind.ttl_seconds for kind in (*KINDS, OTHER)}
    asked = [
        f"#   {name}, {usual.get(name, OTHER.ttl_seconds)} is usual: {', '.join(ids)}"
        for name, ids in groups.items()
    ]
    return (
        "\n".join(
            ("# How many seconds old may an answer be? Nobody has said for these kinds of data:", *asked, "")
        )
        if asked
        else ""
    )


def is_untouched(text: str) -> bool:
    """True when `render` wrote this text and nobody has edited it since."""
    match = FINGERPRINT.search(text)
    if match is None or not text.startswith(HEADER):
        return False
    return _fingerprint(text[match.end() + 1 :]) == match[1]


def read(path: Path) -> Contract:
    """The contract in a file. Raises CacheStrategyError, which names the file, the line and what would be right."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CacheStrategyError(
            f"{path}: is not there; a contract is needed. Make it: cache-strategy plan"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CacheStrategyError(f"{path}: cannot be read ({error}); a contract is UTF-8 text.") from error
    return parse(text, path.name)


def parse(text: str, name: str = FILE_NAME) -> Contract:
    """The contract in a text; `name` stands in messages. Raises as `read`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CacheStrategyError(
            f"{name}:{line}: is not YAML ({error.problem}); see the other entries."
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise CacheStrategyError(f"{name}:1: is not YAML ({error}).".replace("\n", " ")) from error
    lines: dict[str, int] = {}
    if node is None:
        raise CacheStrategyError(
            f"{name}:1: is empty; a contract has entries. Make it again: cache-strategy plan"
        )
    data = _plain(node, "", lines, name)
    if isinstance(data, dict) and data.get("schema", 1) != 1:
        raise CacheStrategyError(
            f"{name}:{lines.get('.schema', 1)}: schema is {data['schema']!r}; this version knows 1."
        )
    try:
        contract = _with_writers(data)
        _check(contract)
    except CacheStrategyError as error:
        raise _with_line(str(error), lines, name) from None
    return contract


def _with_writers(data: Any) -> Contract:
    """The contract; an entry without a list of its own is invalidated by all writers of its tables."""
    if not isinstance(data, dict):
        return from_data(Contract, data, "")
    shared, items = data.pop("writers", []), data.get("entries")
    if isinstance(shared, list):
        shared = [{"how": "event", **item} if isinstance(item, dict) else item for item in shared]
    writers = from_data(tuple[Invalidator, ...], shared, ".writers")
    silent = []
    for item in items if isinstance(items, list) else ():
        silent.append(isinstance(item, dict) and "invalidated_by" not in item)
        if silent[-1]:
            item["invalidated_by"] = []
    contract = from_data(Contract, data, "")
    entries = tuple(
        replace(entry, invalidated_by=writers_of(entry.depends_on, writers)) if is_silent else entry
        for entry, is_silent in zip(contract.entries, silent, strict=True)
    )
    for i, writer in enumerate(writers):
        _check_inside(writer.writer.rpartition(":")[0], f".writers[{i}].writer")
        if writer.how != "event":
            raise CacheStrategyError(
                f".writers[{i}].how: is {writer.how!r}; what is not by event stands in an entry's own invalidated_by."
            )
    return replace(contract, entries=entries)


def _with_line(message: str, lines: dict[str, int], name: str) -> CacheStrategyError:
    where, _, rest = message.partition(": ")
    path = where
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["))] if path.rfind(".") >= 0 or "[" in path else ""
    field = re.sub(r"^\.", "", where) or "contract"
    return CacheStrategyError(f"{name}:{lines.get(path, 1)}: {field} {rest}")


def _plain(node: yaml.Node, where: str, lines: dict[str, int], name: str) -> Any:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in result:
                raise CacheStrategyError(f"{name}:{line}: {key} is there twice; keep one of the two.")
            lines[f"{where}.{key}"] = line
            result[key] = _plain(value_node, f"{where}.{key}", lines, name)
        return result
    if isinstance(node, yaml.SequenceNode):
        items = []
        for i, item in enumerate(node.value):
            lines[f"{where}[{i}]"] = item.start_mark.line + 1
            items.append(_plain(item, f"{where}[{i}]", lines, name))
        return items
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        line = node.start_mark.line + 1
        raise CacheStrategyError(
            f"{name}:{line}: {node.value!r} is not a value; put it in quotes."
        ) from error


def _check(contract: Contract) -> None:
    application = contract.application
    _check_inside(application.package_path, ".application.package_path")
    for i, requirements in enumerate(application.requirements):
        _check_inside(requirements, f".application.requirements[{i}]")
    seen: set[str] = set()
    for i, entry in enumerate(contract.entries):
        at = f".entries[{i}]"
        if entry.id in seen:
            raise CacheStrategyError(f"{at}.id: {entry.id!r} is there twice; every entry has its own.")
        seen.add(entry.id)
        _check_inside(entry.target.rpartition(":")[0], f"{at}.target")
        for j, invalidator in enumerate(entry.invalidated_by):
            _check_inside(invalidator.writer.rpartition(":")[0], f"{at}.invalidated_by[{j}].writer")
        problem = next(_problems(entry), "")
        if problem:
            raise CacheStrategyError(f"{at}.{problem}")


def _check_inside(path: str, at: str) -> None:
    """Every path of a contract lies in the repository; a link that leads out of it is refused where it is followed."""
    is_absolute = path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:[\\/]", path)
    if is_absolute or ".." in re.split(r"[\\/]", path):
        raise CacheStrategyError(
            f"{at}: is {path!r}, which leads outside the repository; write a path from its top, for example shop/views.py."
        )


def _problems(entry: Entry) -> Iterator[str]:
    """What is wrong with the values of an entry, each as "field: what; what would be right."."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.id):
        yield f"id: is {entry.id!r}; write lower case words joined by hyphens."
    if ":" not in entry.target:
        yield f"target: is {entry.target!r}; write path:function, for example shop/views.py:home."
    if entry.ttl_seconds < 1:
        yield f"ttl_seconds: is {entry.ttl_seconds}; write whole seconds, at least 1."
    if not entry.layers:
        yield "layers: is empty; name at least one of memory, redis, http, matview."
    if "http" in entry.layers and entry.kind != "endpoint":
        yield f"layers: http is for endpoints; {entry.target} is a {entry.kind}."
    if "statements" in entry.layers and (
        entry.kind != "endpoint" or not {"memory", "redis"} & set(entry.layers)
    ):
        yield "layers: statements stands beside memory or redis of an endpoint; leave it out here."
    if entry.window_seconds > entry.staleness_bound_seconds:
        yield (
            f"window_seconds: is {entry.window_seconds}, above the staleness bound of "
            f"{entry.staleness_bound_seconds}; a window serves values that old."
        )
    names = sorted({part.name for part in entry.key})
    for j, dependency in enumerate(entry.depends_on):
        if dependency.row and dependency.row not in names:
            known = ", ".join(names) or "no parts"
            yield f"depends_on[{j}].row: is {dependency.row!r}, which is not in the key; the key has {known}."
        if dependency.column and not dependency.row:
            yield f"depends_on[{j}].row: is missing; write which key part holds the {dependency.column} of the rows."
    for j, part in enumerate(entry.key):
        found = re.fullmatch(r"\w+\.\w+=([\w-]+)", part.expression) if part.source == "row" else None
        if part.source == "row" and (found is None or found[1] not in names):
            example = "write table.column=part, for example articles_article.slug=slug."
            yield f"key[{j}].expression: is {part.expression!r}; {example}"
    for j, invalidator in enumerate(entry.invalidated_by):
        if invalidator.how == "write-through" and not invalidator.call and names:
            example = ", ".join(f"{n}={n}" for n in names)
            yield f"invalidated_by[{j}].call: is missing; write-through needs the key at the writer, for example {example}."
    if entry.kind == "view" and not (entry.view_sql and entry.view_key):
        yield "view_sql: a view needs view_sql and view_key (the columns that make a row unique)."
    is_private = any(part.source in ("user", "session") for part in entry.key)
    if is_private and entry.http and "public" in entry.http.cache_control:
        yield "http.cache_control: says public, but the key holds the user; write private."


def _without_defaults(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        result = {}
        for f in dataclasses.fields(value):
            item = getattr(value, f.name)
            always = f.name in ("staleness_bound_seconds", "staleness_source", "policy", "maxmemory_mb")
            if always or f.default is dataclasses.MISSING or item != f.default:
                result[f.name] = _without_defaults(item)
        return result
    if isinstance(value, tuple):
        return [_without_defaults(v) for v in value]
    return to_data(value)


def _laid_out(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        inner = {k: _laid_out(v, k) for k, v in value.items()}
        return _Inline(inner) if name in INLINE else inner
    if isinstance(value, list):
        if name != "because" and all(isinstance(v, str) and len(v) < 40 for v in value):
            return _InlineList(value)
        return [_laid_out(v, name) for v in value]
    if isinstance(value, str) and "\n" in value:
        return _Block("\n".join(line.rstrip() for line in value.strip().splitlines()))
    return value


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
