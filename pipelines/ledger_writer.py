"""How outcomes are gathered until a segment is worth writing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from atelier.rows import Outcome
from pipelines.ledger import Ledger


class LedgerWriter:
    """Gathers outcomes into segments of at least `min_rows` or `max_age_s` of work each; the rest at the end.

    What a killed writer held is made again, or found stored under its picture key. Outcomes go in after their pictures
    are stored. Without `add` nothing looks at the clock: a caller that waits calls `flush_if_due`.

    Args:
        min_rows: outcomes that fill a segment.
        max_age_s: longest time that an outcome waits.
    """

    def __init__(self, ledger: Ledger, *, min_rows: int = 1000, max_age_s: float = 10.0) -> None:
        self._ledger, self._min_rows, self._max_age_s = ledger, min_rows, max_age_s
        self._held: list[Outcome] = []
        self._since_s = 0.0

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes in, and writes a segment where one is due."""
        if outcomes and not self._held:
            self._since_s = time.monotonic()
        self._held.extend(outcomes)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Writes what is held if it is enough or old enough."""
        if len(self._held) >= self._min_rows or (self._held and time.monotonic() - self._since_s >= self._max_age_s):
            self.flush()

    def flush(self) -> None:
        """Writes what is held; if the store refuses it stays held."""
        if self._held:
            self._ledger.append(self._held)
            self._held = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # After an error too: these units did end, and their pictures are stored.
        self.flush()
