"""Reading files of a repository that may hold anything: pipes, devices, links to them, more than anybody wrote."""

import os
import stat
from pathlib import Path


def data_of(path: Path, most: int) -> bytes:
    """
    The content of a regular file; nothing else is waited for.

    Raises:
        OSError: it is no regular file, has more than `most` bytes, or cannot be read.
    """
    # without O_NONBLOCK opening a pipe waits for who writes into it
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "is not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(0, f"is larger than {most // 1024 // 1024} MiB")
    return data


def text_of(path: Path, most: int = 1024 * 1024) -> str:
    return data_of(path, most).decode("utf-8", "replace")
