"""Two workers write one checkpoint, replicated or sharded, and any other number of them takes it up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.checkpoints.tiny import Tiny, tiny_info
from training.checkpoints import CheckpointStore


@pytest.mark.long
def test_two_workers_and_then_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.checkpoints.pair", str(tmp_path)]
    workers = [subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True) for rank in range(2)]
    try:
        said = [worker.communicate(timeout=120)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert "step-00000005: is passed over and removed" in said[0]

    replicated, taken_up = load_file(tmp_path / "replicated.safetensors"), load_file(tmp_path / "taken_up.safetensors")
    assert replicated.keys() == taken_up.keys()
    assert all(torch.equal(tensor, taken_up[name]) for name, tensor in replicated.items())
    for name in ("replicated", "sharded"):
        alone, whole = Tiny(seed=1), load_file(tmp_path / f"{name}.safetensors")
        assert CheckpointStore(str(tmp_path / name)).resume(alone.state, tiny_info()) is not None
        loaded = alone.state.tensors()
        assert loaded.keys() == whole.keys()
        different = [key for key, tensor in whole.items() if not torch.equal(tensor, loaded[key])]
        # Each worker has running statistics of its own; the first one's are kept, and the test's copy is the first's.
        assert not different, different
