"""What an output's own records say of themselves when they are no longer what a run wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from atelier.errors import LedgerError


def damaged(address: str, wrong: str, mend: str) -> LedgerError:
    """The error of a record that cannot be used.

    Args:
        wrong: what is the matter with it, e.g. `is not JSON`.
        mend: what a person can do about it.
    """
    return LedgerError(f"{address}: {wrong}; {mend}, or take another output")


def json_object(address: str, content: bytes, mend: str) -> Mapping[str, Any]:
    """The JSON object that a record holds.

    Raises:
        LedgerError: it holds something else; names the address and what to do.
    """
    try:
        held = json.loads(content)
    except ValueError as error:
        raise damaged(address, f"is not JSON ({error})", mend) from error
    if not isinstance(held, dict):
        raise damaged(address, f"holds a JSON {type(held).__name__}, must hold an object", mend)
    return held
