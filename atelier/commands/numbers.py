"""How many of something, as it is typed: argparse types, which refuse with exit status 2."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A whole number from 1 up."""
    return _from(1, text)


def count_from_zero(text: str) -> int:
    """A whole number from 0 up."""
    return _from(0, text)


def port(text: str) -> int:
    """A TCP port of this machine."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be a port from 1 to 65535")
    return int(text)


def port_or_any(text: str) -> int:
    """A TCP port of this machine; 0 takes any free one."""
    return 0 if text == "0" else port(text)


def _from(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be a whole number from {least} up")
    return int(text)
