"""The repository as it will be: edits and new files are collected here, and nothing is written."""

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cache_strategy.model.change import Change, Withheld
from cache_strategy.model.errors import CacheStrategyError


@dataclass(frozen=True)
class _Pending:
    """A file as it shall be, why, and for which entries."""

    text: str
    why: str
    entries: tuple[str, ...]


class Draft:
    """Files as they are and as they shall be; `edit` and `write` work on the text as earlier edits left it."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.withheld: list[Withheld] = []
        self.limits: dict[str, tuple[str, ...]] = {}
        self._before: dict[str, str | None] = {}
        self._after: dict[str, _Pending] = {}

    def text(self, path: str) -> str | None:
        """The file as it shall be, None where there is none."""
        if path in self._after:
            return self._after[path].text
        if path not in self._before:
            self._before[path] = self._read(path)
        return self._before[path]

    def _read(self, path: str) -> str | None:
        file = self.repo / path
        if not file.resolve().is_relative_to(self.repo.resolve()):
            raise CacheStrategyError(
                f"{path}: leads outside the repository; paths of a contract lie inside it."
            )
        try:
            with file.open(encoding="utf-8", newline="") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CacheStrategyError(f"{path}: cannot be read ({error}); emit edits UTF-8 files.") from error

    def write(self, path: str, text: str, why: str, entries: tuple[str, ...] = ()) -> None:
        """A whole file, new or ours from an earlier run."""
        self.text(path)
        known = self._after.get(path, _Pending(text, why, ()))
        more = tuple(e for e in entries if e not in known.entries)
        self._after[path] = _Pending(text, known.why, known.entries + more)

    def edit(self, path: str, change: Callable[[str], str], why: str, entries: tuple[str, ...] = ()) -> None:
        """
        An edit of a file that must be there.

        Raises:
            CacheStrategyError: no such file, the edit finds no place, or what it makes is no Python.
        """
        source = self.text(path)
        if source is None:
            raise CacheStrategyError(f"{path}: is not there any more; profile again and make a new contract.")
        edited = change(source)
        if edited != source:
            if path.endswith(".py"):
                _parse(path, edited)
            self.write(path, edited, why, entries)

    def withhold(self, entry: str, reason: str) -> None:
        """Keeps an entry out of the patch."""
        self.withheld.append(Withheld(entry=entry, reason=reason))

    def snapshot(self) -> dict[str, _Pending]:
        """What `restore` takes, so that an entry that cannot be wired leaves no trace."""
        return dict(self._after)

    def restore(self, state: dict[str, _Pending]) -> None:
        """Back to a snapshot."""
        self._after = state

    def changes(self) -> tuple[Change, ...]:
        """Every file that differs, in path order."""
        return tuple(
            Change(path=path, before=self._before[path], after=new.text, why=new.why, entries=new.entries)
            for path, new in sorted(self._after.items())
            if new.text != self._before[path]
        )


def _parse(path: str, text: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CacheStrategyError(
            f"{path}: would not be valid Python after the edit ({error}); edit it by hand."
        ) from error
