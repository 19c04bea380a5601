"""The watchdog, in processes that it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.watchdog import EXIT_STATUS

PROGRAM = """
import ctypes, time
from pipelines import watchdog
watchdog._GRACE_S = 0.2
dog = watchdog.Watchdog(0.3, lambda stack: print("hangs:", "<string>" in stack, flush=True))
with dog.over():
    pass
time.sleep(0.6)
print("alive", flush=True)
with dog.over():
    {hang}
"""


@pytest.mark.parametrize(
    ("hang", "status", "said"),
    [
        ("time.sleep(60)", EXIT_STATUS, "alive\nhangs: True\n"),
        ("ctypes.PyDLL(None).sleep(60)", 1, "alive\n"),  # holds the interpreter's lock: only native code gets through
    ],
)
def test_work_that_hangs_ends_its_process_and_other_work_does_not(hang: str, status: int, said: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(hang=hang)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (status, said), done.stderr
