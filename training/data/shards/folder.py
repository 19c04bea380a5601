"""Which folders shards may be written into: their own, and never one that holds other files."""

from __future__ import annotations

import re

from atelier import storage
from atelier.errors import ConfigError

_OURS = re.compile(r"index\.json|left_out\.jsonl|shard-\d+\.arrow|(parts|held_out|features-[^/]+)/.*|\..*", re.DOTALL)
"""Of paths below a folder of shards; what begins with a dot is of no data set."""


def refuse_strangers(folder: str) -> None:
    """Looks at all that lies in a folder before anything is written there.

    Shards in the folder of a data set would hide it: whoever names it for data then gets the shards.

    Args:
        folder: a path or `s3://` prefix, absent and empty ones too.

    Raises:
        ConfigError: it holds what no earlier preparation has written.
    """
    folder = storage.resolve(folder)
    for entry in storage.list(folder):
        inside = entry.address.removeprefix(f"{folder.rstrip('/')}/")
        # Some stores keep an object of no bytes for a folder.
        if not inside.endswith("/") and inside and not _OURS.fullmatch(inside):
            raise ConfigError(
                f"--output {folder}: holds {inside}, which is no part of prepared data; must be a new or empty folder, "
                "or one that earlier data was prepared into"
            )
