"""What the exit status of a command says."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of `python -m pipelines`."""

    DONE = 0
    """All units are accounted for, and within the failure budget."""
    STOPPED = 1
    """An error ended the run; what had ended before is in the ledger."""
    WRONG_USAGE = 2
    BUDGET_EXCEEDED = 3
    """More units rejected or failed than the job's budget allows; `validate`: there are bad rows."""
    INTERRUPTED = 130
