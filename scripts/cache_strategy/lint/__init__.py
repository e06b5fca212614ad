"""Files to findings: the safety rules over files and folders, over one text, or over what a change brings."""

import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from cache_strategy.lint.baseline import read_baseline, without_known, write_baseline
from cache_strategy.lint.context import Context, context_of, worth_it
from cache_strategy.lint.formats import load_formats
from cache_strategy.lint.judging import Judged, judge, judge_all, judge_change, judge_in, together
from cache_strategy.lint.patch import Patch
from cache_strategy.lint.revision import Revision
from cache_strategy.lint.store import Store
from cache_strategy.lint.walk import files_below, read_bytes, shown_path
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Unread
from cache_strategy.rules import Finding

__all__ = [
    "LintResult",
    "lint",
    "lint_patch",
    "lint_text",
    "read_baseline",
    "render",
    "without_known",
    "write_baseline",
]


LEFT_OUT = (
    "CS151 to CS156 were not asked: for so large a tree their index takes as long as the rest; add --context."
)


@dataclass(frozen=True, kw_only=True)
class LintResult:
    """
    What the linter found, by path and place.

    `lines` holds the source line of each finding, as long as `findings`; `files` counts the files that were read,
    `notes` are words for people.
    """

    findings: tuple[Finding, ...]
    unread: tuple[Unread, ...]
    lines: tuple[str, ...]
    files: int
    notes: tuple[str, ...] = ()


def lint(
    paths: Sequence[Path],
    *,
    diff: str | None,
    root: Path,
    jobs: int = 1,
    kept: Path | None = None,
    others: bool | None = None,
) -> LintResult:
    """
    The findings of the files below `paths`; with `diff`, only what has come since that git revision.

    Paths of findings are relative to `root`. A file that cannot be read or parsed is in `unread`. `jobs` are processes,
    0 for one per processor; `kept` is a folder for what was found, so that the next run judges only what has changed. `others` says
    whether the rules about other files are asked; None asks them of a change, and of a project of usual size.

    Raises:
        CacheStrategyError: a path that is not there, a revision that git does not know.
    """
    root = root.resolve()
    files, unread = files_below(paths, root)
    notes = []
    if others is None:
        others = diff is not None or worth_it(files)
        if not others:
            notes.append(LEFT_OUT)
    with context_of(root, kept) if others else nullcontext() as context:
        if diff is not None:
            return _result(_since(Revision(diff, root), files, root, context), unread)
        store = Store(kept, root) if kept is not None else None
        judged = _judged(files, root, jobs, store, None)
        if context is not None:
            in_context = _judged(files, root, jobs, store, context)
            judged = {shown: together(one, in_context[shown]) for shown, one in judged.items()}
        if store is not None:
            store.save()
            notes += [store.problem] if store.problem else []
    return _result(judged.items(), unread, tuple(notes))


def _judged(
    files: Sequence[Path], root: Path, jobs: int, store: Store | None, context: Context | None
) -> dict[str, Judged]:
    """Every file judged, by itself or in its context, with what the store knows."""
    judged: dict[str, Judged] = {}
    missing: list[tuple[Path, str, int]] = []
    keys: dict[str, str] = {}
    for file in files:
        shown = shown_path(file, root)
        if store is None:
            missing.append((file, shown, _size(file)))
            continue
        try:
            data = read_bytes(file, root)
        except OSError as error:
            judged[shown] = Judged(unread=error.strerror or str(error))
            continue
        keys[shown] = store.key(data, shown, context.digest if context is not None else "")
        found = store.get(keys[shown])
        if found is None:
            missing.append((file, shown, len(data)))
        else:
            judged[shown] = found
    for (_, shown, _), one in zip(missing, judge_all(missing, root, jobs, context), strict=True):
        judged[shown] = one
        if store is not None:
            store.put(keys[shown], one)
    return judged


def lint_text(
    data: bytes,
    name: str,
    *,
    diff: str | None,
    root: Path,
    kept: Path | None = None,
    others: bool | None = None,
) -> LintResult:
    """The findings of one text that is not (yet) in the file `name`; with `diff` against that revision of the file."""
    root = root.resolve()
    with context_of(root, kept) if others else nullcontext() as context:
        if diff is not None:
            return _result(
                [(name, judge_change(Revision(diff, root).content(name), data, name, context))], []
            )
        own = judge(data, name)
        return _result([(name, together(own, judge_in(context, data, name)) if context else own)], [])


def lint_patch(
    data: bytes, *, paths: Sequence[Path], root: Path, kept: Path | None = None, others: bool | None = None
) -> LintResult:
    """What a patch (the output of git diff) brings to the files below `paths`, applied already or not."""
    root = root.resolve()
    with context_of(root, kept) if others is not False else nullcontext() as context:
        return _result(_patched(Patch(data, root), paths, root, context), [])


def _patched(
    patch: Patch, paths: Sequence[Path], root: Path, context: Context | None
) -> list[tuple[str, Judged]]:
    wanted = [Path(os.path.normpath(root / path)) for path in paths]
    judged = []
    for path in sorted(patch.files):
        file = Path(os.path.normpath(root / path))
        if not file.is_relative_to(root) or not any(
            file == one or file.is_relative_to(one) for one in wanted
        ):
            continue
        try:
            judged.append((path, judge_change(*patch.versions(path), path, context)))
        except OSError as error:
            judged.append((path, Judged(unread=error.strerror or str(error))))
    return judged


def _since(
    revision: Revision, files: Sequence[Path], root: Path, context: Context | None
) -> "Iterable[tuple[str, Judged]]":
    changed = revision.changed()
    for file in files:
        key = os.path.relpath(file, root).replace(os.sep, "/")
        if key in changed:
            shown = shown_path(file, root)
            try:
                yield shown, judge_change(*revision.versions(key, changed[key]), shown, context)
            except OSError as error:
                yield shown, Judged(unread=error.strerror or str(error))


def _result(
    judged: "Iterable[tuple[str, Judged]]", unread: Sequence[Unread], notes: tuple[str, ...] = ()
) -> LintResult:
    found: list[tuple[Finding, str]] = []
    missed = list(unread)
    read = 0
    for shown, one in judged:
        if one.unread:
            missed.append(Unread(path=shown, reason=one.unread))
            continue
        read += 1
        found.extend(zip(one.findings, one.rows, strict=True))
    found.sort(key=lambda pair: (pair[0].path, pair[0].line, pair[0].column, pair[0].rule))
    return LintResult(
        findings=tuple(finding for finding, _ in found),
        unread=tuple(sorted(missed, key=lambda item: item.path)),
        lines=tuple(row for _, row in found),
        files=read,
        notes=notes,
    )


def render(result: LintResult, format: str) -> str:
    """
    The result as text.

    Raises:
        CacheStrategyError: no such format.
    """
    formats = load_formats()
    if format not in formats:
        raise CacheStrategyError(
            f"--format {format}: no such format; there are {', '.join(sorted(formats))}."
        )
    return formats[format].render(result)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
