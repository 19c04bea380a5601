"""torchrun as `--launcher torchrun` starts it: silent on what a worker has said, and gone when who started it is."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException

_LOOKS_EVERY_S = 0.1


def main() -> int:
    """Runs torchrun on this process's arguments and gives its exit status."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        run.main()
    except SignalException:
        return 1
    return 0


def _end_with(parent: int) -> None:
    """Ends the workers once the launcher is gone, killed: the next one must not find them at work in its output."""
    while os.getppid() == parent:
        time.sleep(_LOOKS_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
