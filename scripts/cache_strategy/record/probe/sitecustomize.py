"""
Starts the probe in every Python process of a recorded command.

The interpreter imports `sitecustomize` by itself; `run_recorded` puts this folder first on PYTHONPATH. A
`sitecustomize` that the environment already had runs as before. Standard library only, Python 3.8 and later.
"""

# ruff: noqa: PTH100, PTH118, PTH120

import os
import sys


def _start_probe(folder: str) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    name = "_cache_strategy_probe"
    if name in sys.modules:
        return
    spec = spec_from_file_location(
        name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    module.start()


def _run_the_next_one() -> None:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_FOLDER = os.path.dirname(os.path.abspath(__file__))
# The folder's other modules must not be importable by their short names in the user's process.
sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != _FOLDER]
try:
    _start_probe(_FOLDER)
except Exception as problem:
    sys.stderr.write(
        f"cache-strategy record: the probe did not start ({problem}); this process is not recorded.\n"
    )
_run_the_next_one()
