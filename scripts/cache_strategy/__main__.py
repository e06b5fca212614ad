"""`python -m cache_strategy`: the same as the launcher, for an environment that is already prepared."""

from cache_strategy.cli import main

if __name__ == "__main__":
    main()
