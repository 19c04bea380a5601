"""Compiled blocks learn what the others do. Needs a C++ compiler, and a process of its own: the tests' own checks of
shapes are in every network here, and are nothing that can be compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.loop.tiny_runs import losses_of, request_for, weights_of
from training.launch.in_process import train_in_process

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="needs a C++ compiler"),
]

ROOT = Path(__file__).parents[3]


def test_compiled_blocks_learn_the_same_but_for_rounding(tmp_path: Path, cache: Path) -> None:
    plain, compiled = (request_for("compiled_pose", tmp_path / name, cache, compile=False) for name in ("a", "b"))
    train_in_process(plain, "cpu")
    command = ["-m", "training", "run", compiled.run, "--output", compiled.output, "--cache", str(cache), "--quiet"]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "code")}
    made = subprocess.run([sys.executable, *command], cwd=ROOT, env=surroundings, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr.decode()
    assert list((tmp_path / "code").rglob("*.cpp")), "something was compiled"
    for mine, theirs in zip(losses_of(compiled), losses_of(plain), strict=True):
        assert mine["pose"] == pytest.approx(theirs["pose"], rel=1e-3)
    # A checkpoint says nothing of how it was computed: the other way goes on from it.
    assert weights_of(compiled).keys() == weights_of(plain).keys()
    further = request_for("compiled_pose", tmp_path / "b", cache, resume=True, compile=False, num_steps=3)
    assert train_in_process(further, "cpu").num_steps_done == 3
