"""What the code of the example application says, found once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cache_strategy.profile import profile


@pytest.fixture(scope="session")
def evidence_of_shop():
    return profile(Path(__file__).parents[2] / "apps" / "flask_shop")
