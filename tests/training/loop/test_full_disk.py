"""A whole run on a disk that fills up: saves fail, steps and log do not; what cannot go on ends in one clear error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atelier.errors import StorageError
from tests.crash.disks import fill, small_disk
from tests.training.loop.tiny_runs import SIZE, losses_of, request_for
from training.checkpoints import CheckpointStore
from training.checkpoints.manifest import MANIFEST_NAME
from training.launch.in_process import train_in_process
from training.launch.refusal import would_come_again
from training.launch.request import TrainRequest
from training.launch.train import train
from training.supervisor import Supervisor
from training.watch.step_log import read_steps
from training.watch.validation.looks import PoseValidation
from training.wishes import Wish
from training.world import World

pytestmark = pytest.mark.slow

NUM_STEPS = 14
FULL_FROM = 5
"""The step before which the disk fills; its last checkpoint is of the step before."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as enlarge:
        enlarge("20m")
        yield tmp_path / "disk"


class Filling(Supervisor):
    """Fills the disk between two checkpoints, and frees it before a step."""

    def __init__(self, disk: Path, request: TrainRequest, free_from: int) -> None:
        super().__init__()
        self._disk, self._free_from, self._step = disk, free_from, 0
        self._before = Path(request.address("checkpoints")) / f"step-{FULL_FROM - 1:08d}" / MANIFEST_NAME
        self._filler = disk / "filler"

    def wish(self) -> Wish:
        self._step += 1
        if self._step == FULL_FROM:
            while not self._before.exists():
                time.sleep(0.01)
            self._filler = fill(self._disk)
        if self._step == self._free_from:
            self._filler.unlink()
        return super().wish()


def asked(output: Path, cache: Path, *, resume: bool = False) -> TrainRequest:
    validation = PoseValidation(size=SIZE, num_rows=1)
    settings = {"num_steps": NUM_STEPS, "validate_every_steps": 3, "validation": validation}
    return request_for("pose", output, cache, resume=resume, **settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainRequest:
    request = asked(tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.mktemp("drawn"))
    train_in_process(request, "cpu")
    return request


def steps_of(request: TrainRequest) -> list[int]:
    return [record["step"] for record in read_steps(Path(request.address("log")))]


def test_a_disk_that_is_full_for_a_while_costs_checkpoints_and_no_step(disk: Path, undisturbed: TrainRequest) -> None:
    request = asked(disk, undisturbed.cache)
    assert train(request, World.alone(), Filling(disk, request, free_from=9)).is_done
    assert steps_of(request) == list(range(1, NUM_STEPS + 1))
    assert losses_of(request) == losses_of(undisturbed)
    assert CheckpointStore(request.address("checkpoints")).at().num_steps_done == NUM_STEPS


def test_a_disk_that_stays_full_ends_the_run_by_one_error(disk: Path, undisturbed: TrainRequest) -> None:
    request = asked(disk, undisturbed.cache, resume=True)
    with pytest.raises(StorageError, match=r"3 saves in a row have failed: .*No space left.*of step 4") as raised:
        train(request, World.alone(), Filling(disk, request, free_from=NUM_STEPS))
    assert would_come_again(raised.value)
    # Nor can another worker begin there: it says so, and leaves the log as it was.
    log = (Path(request.address("log")) / "steps.jsonl").read_bytes()
    with pytest.raises(StorageError, match="No space left on device; the last whole checkpoint stays"):
        train_in_process(request, "cpu")
    assert (Path(request.address("log")) / "steps.jsonl").read_bytes() == log

    (disk / "filler").unlink()
    assert train_in_process(request, "cpu").is_done
    assert steps_of(request) == list(range(1, NUM_STEPS + 1))
    assert losses_of(request) == losses_of(undisturbed)
