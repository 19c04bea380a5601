"""Texts of a command line that stand for something: argparse types, which refuse with exit status 2."""

from __future__ import annotations

import argparse


def given(text: str) -> str:
    """A text that says something, as it was typed."""
    # An unset variable of a shell: as an address it would be the folder in which the command is typed.
    if not text:
        raise argparse.ArgumentTypeError("is '', must not be empty")
    return text
