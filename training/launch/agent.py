"""torchrun as `--launcher torchrun` starts it: one that a worker has ended says nothing, since the worker said why."""

from __future__ import annotations

import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException


def main() -> int:
    """Runs torchrun on this process's arguments and gives its exit status."""
    try:
        run.main()
    except SignalException:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
