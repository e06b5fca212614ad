"""The command line of the package."""

import sys
from typing import NoReturn

from cache_strategy.cli.terminal import run_app


def main() -> NoReturn:
    """What the launcher and the installed script call."""
    from cache_strategy.cli.verbs import app

    sys.exit(run_app(app))
