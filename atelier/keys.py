"""The three names of a picture's work: planned by tokens, stored by contents, encoded by rendition.

- `plan_key` is known before any download; the planner skips a unit whose key the ledger holds.
- `picture_key` has the inputs' content digests in place of tokens; it names the object, so the same bytes uploaded
  again make nothing.
- `rendition_key` adds how the picture is encoded, so another JPEG quality never samples again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_LENGTH = 32
"""Hex digits of a key: 128 bits, no collision among any number of pictures that can be made."""


def digest(value: Any) -> str:
    """Hex digest of a plain value by its canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def plan_key(*, fingerprint: str, prompt: str, seed: int, tokens: Mapping[str, str]) -> str:
    """The key that decides, without downloading, whether a unit is done.

    Args:
        fingerprint: `Recipe.fingerprint()`, which holds settings and weight digests.
        tokens: version token by input name.
    """
    return digest(["plan", fingerprint, prompt, seed, dict(tokens)])


def picture_key(*, fingerprint: str, prompt: str, seed: int, input_sha256: Mapping[str, str]) -> str:
    """The key of the picture itself, from the contents of its inputs."""
    return digest(["picture", fingerprint, prompt, seed, dict(input_sha256)])


def rendition_key(*, picture: str, rendition: str) -> str:
    """The key of one encoding of a picture.

    Args:
        picture: its `picture_key`.
        rendition: `Recipe.rendition()`.
    """
    return digest(["rendition", picture, rendition])
