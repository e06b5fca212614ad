"""
The emitted cache beside others, in the peers' harness: plain functions and coroutines.

    cache-strategy emit --runtime DIR/optimize_cache.py
    cache-strategy emit --runtime DIR/optimize_async_cache.py --async
    PEERBENCH_EXTRA=optimize=bench.peer_adapter:OptimizeSync,optimize-async=bench.peer_adapter:OptimizeAsync
    PYTHONPATH=.:DIR python -m peerbench.run --only optimize,optimize-async,cachetools,naive
"""

import importlib
import inspect
from typing import ClassVar

from peerbench.base import Adapter


class OptimizeSync(Adapter):
    mode = "sync"
    layers = "L1+L2"
    has_tags = True
    config = "window 1 s with announcements; every caller gets a copy"
    module = "optimize_cache"
    options: ClassVar = {"window_seconds": 1}

    def start(self):
        timeout = self.env.socket_timeout or 0.25
        self.cache = importlib.import_module(self.module).Cache(
            self.env.url, "bench", budget_ms=timeout * 1000
        )

    def stop(self):
        self.cache.close()

    def cached(self, fn, ttl, tag=None):
        entry = self.cache.entry(fn.__qualname__, ttl_seconds=ttl, tags=(tag,) if tag else (), **self.options)
        cached = entry(fn)
        cached.entry = entry
        return cached

    def invalidate(self, cached_fn, *args, **kwargs):
        call = inspect.signature(cached_fn).bind(*args, **kwargs)
        return cached_fn.entry.invalidate(**call.arguments)

    def invalidate_tag(self, cached_fn, tag):
        return self.cache.invalidate(tag)

    def l1_entries(self, cached_fn):
        return len(self.cache.memory.records)


class OptimizeShared(OptimizeSync):
    config = "window 1 s with announcements; callers share the value"
    options: ClassVar = {"window_seconds": 1, "shared": True}


class OptimizeRedis(OptimizeSync):
    layers = "L2"
    config = "every call asks Redis"
    options: ClassVar = {"layers": ("redis",)}


class OptimizeAsync(OptimizeSync):
    mode = "async"
    module = "optimize_async_cache"

    async def start(self):
        super().start()

    async def stop(self):
        super().stop()

    async def invalidate(self, cached_fn, *args, **kwargs):
        await super().invalidate(cached_fn, *args, **kwargs)

    async def invalidate_tag(self, cached_fn, tag):
        await super().invalidate_tag(cached_fn, tag)


class OptimizeAsyncRedis(OptimizeAsync):
    layers = "L2"
    config = OptimizeRedis.config
    options = OptimizeRedis.options
