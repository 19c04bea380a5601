"""A run's exported weights make, through the batch plane's own job, the very pictures that its validation showed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
from PIL import Image

from atelier import recipes
from atelier.closet.catalog import write_catalog
from pipelines import jobs
from pipelines.exits import Exit
from pipelines.ledger import Ledger
from pipelines.outcomes import from_table
from pipelines.run import run as run_job
from pipelines.sink import master_path
from tests.training.conftest import alias_run, matching_run, segmentation_run
from tests.training.watch.test_watch_pose_transfer import MODEL, SIZE
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.pose_transfer import PoseTransferColumns
from training.export import export
from training.launch.in_process import train_in_process
from training.launch.request import TrainRequest
from training.run import TrainRun
from training.runs.closet import viton_hd_alias_closet
from training.runs.pidm import pidm_closet_whole
from training.steps.pidm import PidmStepConfig
from training.watch.settings import WatchSettings

pytestmark = pytest.mark.slow

NUM_ROWS = 2
NONE = dict.fromkeys(("viton_hd", "truepose", "pidm", "human_diffusion"), "")
"""The job's systems, left out."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init("local", num_cpus=6, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def alias() -> TrainRun:
    """Three steps, drawn after the last by the validation of the run whose network it is tiny of."""
    return _validated(alias_run(), viton_hd_alias_closet())


def pidm() -> TrainRun:
    """The same of the small PIDM."""
    run = TrainRun(
        name="pidm",
        data=DataConfig(
            closet=ClosetConfig(kind="pose_transfer", num_samples=2, size=SIZE), columns=PoseTransferColumns()
        ),
        step=PidmStepConfig(model=MODEL),
        batch_size=2,
        num_steps=3,
        precision="float32",
    )
    return _validated(run, pidm_closet_whole())


def _validated(run: TrainRun, whose: TrainRun) -> TrainRun:
    assert whose.validation is not None
    validation = dataclasses.replace(whose.validation, num_rows=NUM_ROWS)
    return dataclasses.replace(run, num_steps=3, validate_every_steps=3, validation=validation)


@pytest.mark.parametrize(
    ("trained", "system", "task", "size"),
    [
        (alias, "viton_hd", "try_on", (256, 192)),
        pytest.param(pidm, "pidm", "pose_transfer:pidm", recipes.CLOSET_SIZE, marks=pytest.mark.long),
    ],
)
def test_the_grids_very_pictures(
    cluster: None,
    trained: Callable[[], TrainRun],
    system: str,
    task: str,
    size: tuple[int, int],
    tmp_path: Path,
    cache: Path,
) -> None:
    for run in (segmentation_run(), matching_run()) if system == "viton_hd" else ():
        step = run.step.build(tmp_path)
        step.export(step.networks, tmp_path / run.name / "weights", None)
    request = TrainRequest(
        run=f"{__name__}:{trained.__name__}",
        output=str(tmp_path),
        cache=cache,
        watch=WatchSettings(quiet=True),
    )
    assert train_in_process(request, "cpu").is_done
    run, to = request.resolved(), tmp_path / "mine"
    exported = export(run, request.address("checkpoints"), to, runs=request.runs_folder)
    assert "_ssim" in (to / "README.md").read_text()

    # As `python -m pipelines run closet --weights SYSTEM=mine --catalog … --output …` does it.
    job = dataclasses.replace(jobs.named("closet", **(NONE | {system: str(to)})), failure_budget=1.0)
    catalog = write_catalog(str(tmp_path / "catalog"), items=NUM_ROWS, seed=0, size=size, tasks=(task,))
    output = tmp_path / "pictures"
    assert run_job(job, catalog, str(output)) is Exit.DONE
    shown = {path.stem: path for path in (Path(request.address("log")) / "validation" / "newest").iterdir()}
    outcomes = [outcome for batch in Ledger(str(output)).latest() for outcome in from_table(batch)]
    assert {outcome.item_id for outcome in outcomes} == set(shown) and len(shown) == NUM_ROWS
    for outcome in outcomes:
        assert outcome.status == "ok", outcome
        assert exported.digest in outcome.digests.values()
        with Image.open(output / master_path(outcome.picture_key)) as made, Image.open(shown[outcome.item_id]) as drawn:
            assert np.array_equal(np.asarray(made), np.asarray(drawn)), outcome.item_id
