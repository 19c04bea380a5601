"""A worker that is gone is told in words to whoever watches the others, by what gloo really says of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training.world import is_lost_touch

_PROGRAM = """
import sys
import torch
import torch.distributed as dist
from training.world import is_lost_touch

rank = int(sys.argv[1])
dist.init_process_group("gloo", store=dist.FileStore(sys.argv[2], 2), rank=rank, world_size=2)
dist.barrier()
print("met", flush=True)
try:
    while True:
        dist.all_reduce(torch.zeros(1))
except RuntimeError as error:
    print(is_lost_touch(error))
"""


@pytest.mark.slow
def test_a_killed_worker_is_known_as_such(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PROGRAM]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first, second = (
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stdout=subprocess.PIPE, env=environment)
        for rank in range(2)
    )
    assert first.stdout is not None and first.stdout.readline() == b"met\n"
    second.send_signal(signal.SIGKILL)
    said, _ = first.communicate(timeout=120)
    second.communicate()
    assert said == b"True\n"


def test_other_errors_are_not() -> None:
    assert not is_lost_touch(RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"))
