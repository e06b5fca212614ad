"""The edge: what goes to the terminal, and how an error becomes one line and an exit code."""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
import typer.exceptions

from cache_strategy.model.errors import CacheStrategyError

TYPERS_INTERRUPT = 130
"""The exit code that typer makes of a Ctrl-C; ours are 0, 1 and 2."""


def print_json(data: Any) -> None:
    """A noun's data on stdout, and nothing else."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        data = _printable_data(data)
    sys.stdout.write(json.dumps(data) + "\n")


def printable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 become backslash escapes."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, from somebody's JSON
        return name.encode("utf-8", "backslashreplace").decode()


def _printable_data(data: Any) -> Any:
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, list):
        return [_printable_data(item) for item in data]
    if isinstance(data, dict):
        return {_printable_data(name): _printable_data(value) for name, value in data.items()}
    return data


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Says what is going on, on a terminal, once a second has passed."""
    after = float(os.environ.get("CACHE_STRATEGY_PROGRESS_AFTER_SECONDS") or 1)
    began, last = time.monotonic(), [0.0]
    shown = [False]

    def say(text: str) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - began > after and now - last[0] > 0.1:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            last[0], shown[0] = now, True

    try:
        yield say
    finally:
        if shown[0]:
            sys.stderr.write("\r\x1b[K")


def _sentence(error: Exception) -> str:
    """The words of a usage error, on one line, ending in a full stop."""
    words = getattr(error, "format_message", lambda: str(error))()
    line = " ".join(str(words).split())
    return line if line.endswith((".", "?", "!")) else line + "."


def run_app(load: Callable[[], Callable[..., Any]]) -> int:
    """Loads and runs the command line; the exit code. Every error becomes one line on stderr."""
    _print_any_name()
    try:
        code = load()(standalone_mode=False, prog_name="cache-strategy")
        sys.stdout.flush()
    except CacheStrategyError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except typer.Exit as done:
        code = done.exit_code
    except typer.exceptions.TyperException as error:
        is_help = type(error).__name__ == "NoArgsIsHelpError"
        print(
            error if is_help else f"cache-strategy: {_sentence(error)} See: cache-strategy --help",
            file=sys.stderr,
        )
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if os.environ.get("CACHE_STRATEGY_TRACEBACK"):
            raise
        text = " ".join(str(error).split())
        print(
            f"cache-strategy: failed inside ({type(error).__name__}: {text}); this is a mistake of ours. "
            "Run again with CACHE_STRATEGY_TRACEBACK=1 and report what it prints.",
            file=sys.stderr,
        )
        code = 2
    if code == TYPERS_INTERRUPT:
        code = _interrupted()
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    print("Interrupted; every file is whole.", file=sys.stderr)
    return 1


def _print_any_name() -> None:
    """A file name that is not UTF-8 is printed with its bytes escaped, where Python would raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
