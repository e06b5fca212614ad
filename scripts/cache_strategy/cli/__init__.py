"""The command line of the package."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from cache_strategy.cli.terminal import run_app


def main() -> NoReturn:
    """What the launcher and the installed script call."""
    sys.exit(run_app(_verbs))


def _verbs() -> Callable[..., Any]:
    from cache_strategy.cli.verbs import app

    return app
