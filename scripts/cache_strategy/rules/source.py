"""Python files for the linter: from bytes to text, and why a file cannot be read. The stages import it from here."""

from __future__ import annotations

from cache_strategy.syntax.module import Unreadable, decode, parse

__all__ = ["Unreadable", "decode", "parse"]
