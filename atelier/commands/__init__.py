"""The commands of `python -m atelier`, one module each.

A command's module has `add_arguments(parser)` and `run(arguments) -> exit status`, and is imported only when asked for.
"""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "closet": "Draw a catalog, a data set or a contact sheet of the synthetic wardrobe.",
    "convert": "Turn published checkpoint files into a folder of safetensors.",
    "poses": "List the poses that rows may name, or draw them on a sheet.",
    "memory": "Build a stylized memory: what a catalog's crops look like, found by words.",
    "evaluate": "Judge weights on held-out people and garments, or made pictures against true ones.",
}
