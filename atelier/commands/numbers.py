"""How many of something, as it is typed: argparse types, which refuse with exit status 2."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A whole number from 1 up."""
    return _from(1, text)


def count_from_zero(text: str) -> int:
    """A whole number from 0 up."""
    return _from(0, text)


def _from(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be a whole number from {least} up")
    return int(text)
