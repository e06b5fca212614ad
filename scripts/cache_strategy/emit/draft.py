"""The repository as it will be: edits and new files are collected here, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

from cache_strategy.model.change import Change, Withheld
from cache_strategy.model.errors import CacheStrategyError


class Draft:
    """
    Files as they are and as they shall be.

    `edit` and `write` work on the text as earlier edits left it. `withhold` keeps an entry out, with the reason.
    """

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.withheld: list[Withheld] = []
        self.limits: dict[str, tuple[str, ...]] = {}
        self._before: dict[str, str | None] = {}
        self._after: dict[str, str] = {}
        self._why: dict[str, str] = {}
        self._entries: dict[str, list[str]] = {}

    def text(self, path: str) -> str | None:
        """The file as it shall be, None where there is none."""
        if path in self._after:
            return self._after[path]
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
        self._after[path] = text
        self._why.setdefault(path, why)
        self._note(path, entries)

    def edit(self, path: str, change: Callable[[str], str], why: str, entries: tuple[str, ...] = ()) -> None:
        """
        An edit of a file that must be there.

        Raises:
            CacheStrategyError: no such file, or the edit finds no place.
        """
        source = self.text(path)
        if source is None:
            raise CacheStrategyError(f"{path}: is not there any more; profile again and make a new contract.")
        edited = change(source)
        if edited != source:
            self._after[path] = edited
            self._why.setdefault(path, why)
            self._note(path, entries)

    def _note(self, path: str, entries: tuple[str, ...]) -> None:
        known = self._entries.setdefault(path, [])
        known.extend(e for e in entries if e not in known)

    def withhold(self, entry: str, reason: str) -> None:
        """Keeps an entry out of the patch."""
        self.withheld.append(Withheld(entry=entry, reason=reason))

    def snapshot(self) -> tuple[dict[str, str], dict[str, str], dict[str, list[str]]]:
        """What `restore` takes, so that an entry that cannot be wired leaves no trace."""
        return dict(self._after), dict(self._why), {k: list(v) for k, v in self._entries.items()}

    def restore(self, state: tuple[dict[str, str], dict[str, str], dict[str, list[str]]]) -> None:
        """Back to a snapshot."""
        self._after, self._why, self._entries = state

    def changes(self) -> tuple[Change, ...]:
        """Every file that differs, in path order."""
        return tuple(
            Change(
                path=path,
                before=self._before[path],
                after=after,
                why=self._why[path],
                entries=tuple(self._entries.get(path, ())),
            )
            for path, after in sorted(self._after.items())
            if after != self._before[path]
        )
