"""How far preparing has come, told to the log: the first shards of much data take minutes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator

from training.data.preparing.part import PartRecord
from training.data.preparing.plan import Preparation

_EVERY_S = 10.0
_LOG = logging.getLogger(__name__)


def told(preparation: Preparation, records: Iterable[PartRecord], *, num_rows_before: int) -> Iterator[PartRecord]:
    """The records as they come, with a line at the start, now and then, and at the end.

    Args:
        num_rows_before: rows of the parts that an earlier try made.
    """
    started = said = time.monotonic()
    done = left_out = 0
    todo = preparation.num_listed - num_rows_before
    _LOG.info("preparing %d rows into %s; %d were there", todo, preparation.output, num_rows_before)
    if passed_over := preparation.source.passed_over():
        _LOG.info("passed over: %s", passed_over)
    for record in records:
        done += record.num_listed
        left_out += len(record.left_out)
        if (now := time.monotonic()) - said >= _EVERY_S or done == todo:
            rate = done / max(now - started, 1e-3)
            _LOG.info(
                "%d of %d rows are done, %d of them left out; %.1f rows/s, %.0f s to go",
                *(done, todo, left_out, rate, (todo - done) / rate),
            )
            said = now
        yield record
