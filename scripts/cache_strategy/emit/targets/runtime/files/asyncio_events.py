"""
Invalidates caches of coroutines when SQLAlchemy writes, through an AsyncSession or a Session, after the commit.

    writes = runtime.Cache(url, namespace="rooms")                  # also for plain functions
    cache = async_runtime.Cache(url, namespace="rooms")             # the same Redis and namespace
    watcher = asyncio_events.watch(writes, {"rooms": "id"}, readers=(cache,))

What a request has open is known to it in whichever tasks and threads it runs, once `watcher.begin()` was called in its
first (`fastapi_http.RequestScope` does). SQLAlchemy tells of a commit where nothing can be awaited, so an invalidation
holds the event loop for one answer of Redis, and not at all while Redis is known to be gone.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from .runtime import Cache
from .sqlalchemy_events import ConnectionState, Watcher


class AsyncWatcher(Watcher):
    """Listens for a cache and its readers, and knows what is open by request instead of by thread."""

    def __init__(self, cache: Cache, tables: Mapping[str, str | None], readers: Iterable[Any]) -> None:
        super().__init__(cache, tables, ())
        self.here: Any = HereInRequest()
        self.readers = tuple(readers)

    def start(self) -> None:
        super().start()
        for reader in self.readers:
            reader.snapshot_began = self.cache.snapshot_began
            reader.pending_tags = self.cache.blocked_tags  # with what is not yet delivered

    def begin(self) -> None:
        """A request begins: what its tasks and threads open is its own."""
        self.here.begin()

    def _bump(self, tags: set[str], hold_seconds: float = 0, release: int = 0) -> int:
        for reader in self.readers if tags else ():
            reader.link.learn(tags)
        return super()._bump(tags, hold_seconds, release)


class HereInRequest:
    """What a request has open."""

    def __init__(self) -> None:
        self._open: ContextVar[tuple[set[ConnectionState], Any] | None] = ContextVar("open", default=None)

    def begin(self) -> tuple[set[ConnectionState], Any]:
        found: tuple[set[ConnectionState], Any] = (set(), weakref.WeakSet())
        self._open.set(found)
        return found

    @property
    def connections(self) -> set[ConnectionState]:
        return (self._open.get() or self.begin())[0]

    @property
    def sessions(self) -> Any:
        return (self._open.get() or self.begin())[1]


def watch(cache: Cache, tables: Mapping[str, str | None], readers: Iterable[Any] = ()) -> AsyncWatcher:
    """
    Invalidate `cache` and `readers` at every write of these tables, from now on, through any engine of this process.

    Args:
        tables: names as the database has them, each with its primary key column, or None where no entry depends on
            single rows.
        readers: caches of coroutines with the Redis and the namespace of `cache`.
    """
    watcher = AsyncWatcher(cache, tables, readers)
    if cache.is_on:
        watcher.start()
    return watcher
