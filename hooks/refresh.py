"""Makes the index of a project, in the background: `refresh.py PROJECT DATA`. Says nothing; the hook does without what is not there."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(project: str, data: str) -> None:
    if hasattr(os, "nice"):
        os.nice(10)
    sys.path.insert(0, os.path.join(ROOT, "scripts"))
    from cache_strategy.rules.index.build import refresh
    from cache_strategy.rules.session import sweep

    refresh(project, data)
    sweep(data)


if __name__ == "__main__":
    main(*sys.argv[1:3])
