"""The small shop, on the Redis of the tests."""

import shutil
from pathlib import Path

import pytest
from small_shop import ENTRIES, WRITE_AND_READ, Shop

from cache_strategy.emit.targets import runtime


@pytest.fixture
def shop(tmp_path: Path, redis_url: str) -> Shop:
    folder = tmp_path / "shop"
    (folder / "caching").mkdir(parents=True)
    for file in runtime.FILES.glob("*.py"):
        shutil.copy(file, folder / "caching")
    (folder / "caching" / "__init__.py").touch()
    (folder / "caching" / "entries.py").write_text(ENTRIES)
    made = Shop(folder, redis_url)
    made.watches('{"products": "id", "categories": "id"}')
    made.test_suite(WRITE_AND_READ)
    return made
