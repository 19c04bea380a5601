"""`python -m training evaluate`: made pictures against true ones, by a stated protocol."""

from __future__ import annotations

from atelier.commands.pictures import add_arguments, run

__all__ = ["add_arguments", "run"]
