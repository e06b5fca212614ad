"""
The hook's entry: `python3 -I -S guard.py`, the event on standard input.

Everything is in `judge`, because Python compiles the file that it is given on every call and keeps what it imports.
"""

import sys

# Isolated, Python leaves out the folder of its own script.
sys.path.insert(0, __file__[: -len("guard.py")] or ".")

if __name__ == "__main__":
    import judge

    judge.run()
