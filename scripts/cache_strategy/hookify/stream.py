"""Transcript files as one stream of sessions, with the count of what was met."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cache_strategy.hookify.records import SessionReader
from cache_strategy.hookify.transcripts import Session
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import Unread

_LINE_LIMIT = 64 * 1024 * 1024
_BLOCK = 1024 * 1024
_KEPT = "They are in ~/.claude/projects."


class Transcripts:
    """
    A stream over transcript files, and the count of what it met.

    Records that resumed sessions share count once. One pass only: `sessions` may be called once. A line longer
    than `line_limit` bytes is passed over and counted as bad.
    """

    def __init__(
        self,
        files: Iterable[Path],
        progress: Callable[[str], None] | None = None,
        *,
        line_limit: int = _LINE_LIMIT,
    ) -> None:
        self.files = tuple(files)
        self.line_limit = line_limit
        self.transcripts = self.records = self.tool_calls = self.prompts = 0
        self.duplicates = self.bad_lines = self.bytes = 0
        self.unread: list[Unread] = []
        self._progress = progress
        self._seen: set[int] = set()

    def sessions(self) -> Iterator[Session]:
        """
        One session per readable file, in the order of the files.

        Raises:
            CacheStrategyError: at the end, when not one of the files was a transcript.
        """
        for number, path in enumerate(self.files, 1):
            if self._progress is not None:
                self._progress(f"{number}/{len(self.files)} {path.name}, {self.bytes // 1_000_000} MB read")
            session = self._read(path)
            if session is not None:
                self.transcripts += 1
                self.tool_calls += len(session.own_calls)
                self.prompts += len(session.prompts)
                yield session
        if not self.transcripts:
            raise CacheStrategyError(self._nothing_read())

    def _nothing_read(self) -> str:
        if not self.unread:
            return f"No transcript was named; name .jsonl files or a folder. {_KEPT}"
        first, more = self.unread[0], len(self.unread) - 1
        others = f" ({more} more files are none either)" if more else ""
        return f"{first.path}: {first.reason}{others}; a Claude Code transcript (.jsonl) is needed. {_KEPT}"

    def _read(self, path: Path) -> Session | None:
        reader = SessionReader(str(path), self)
        number = 0
        try:
            with path.open("rb", buffering=_BLOCK) as stream:
                while line := stream.readline(self.line_limit):
                    number += 1
                    self.bytes += len(line)
                    if len(line) == self.line_limit and not line.endswith(b"\n"):
                        self.bad_lines += 1
                        while (rest := stream.readline(self.line_limit)) and not rest.endswith(b"\n"):
                            self.bytes += len(rest)
                        continue
                    reader.take(line, number)
        except OSError as error:
            self.unread.append(Unread(path=str(path), reason=f"cannot be read ({error.strerror})"))
            return None
        if not reader.recognised:
            reason = "is not a Claude Code transcript" if number else "is empty"
            self.unread.append(Unread(path=str(path), reason=reason))
            return None
        return reader.finish()

    def is_new(self, *marks: object) -> bool:
        """True where none of a record's marks was seen before; a mark that is empty says nothing."""
        found = {hash(mark) for mark in marks if mark}
        if found & self._seen:
            self.duplicates += 1
            return False
        self._seen |= found
        return True
