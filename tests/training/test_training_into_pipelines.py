"""A run's exported weights make, through the batch plane, the very pictures that its validation showed."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
from PIL import Image

from atelier.closet.items import COLUMNS
from pipelines.exits import Exit
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.outcomes import from_table
from pipelines.run import run as run_job
from pipelines.sink import master_path
from tests.training.conftest import SIZE, alias_run, matching_run, segmentation_run
from training.export import export
from training.launch.in_process import train_in_process
from training.launch.request import TrainRequest
from training.run import TrainRun
from training.watch.settings import WatchSettings
from training.watch.validation.rows import try_on_rows
from training.watch.validation.try_on import TryOnValidation

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

VALIDATION = TryOnValidation(num_rows=3, size=SIZE, parser=None, pose=None, batch_size=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init("local", num_cpus=6, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def validated_alias() -> TrainRun:
    """Three steps, drawn after the last."""
    return dataclasses.replace(alias_run(), num_steps=3, validate_every_steps=3, validation=VALIDATION)


def write_rows(folder: Path) -> Path:
    """The rows of the validation as a catalog."""
    folder.mkdir()
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in try_on_rows(VALIDATION.num_rows, VALIDATION.seed, SIZE, True):
            for name, data in row.files.items():
                (folder / f"{row.item_id}-{name}").write_bytes(data)
            files = {name: f"{row.item_id}-{name}" for name in row.files}
            writer.writerow({"item_id": row.item_id, "task": "try_on", **files})
    return folder / "catalog.csv"


def test_the_grids_very_pictures(cluster: None, tmp_path: Path, cache: Path) -> None:
    for run in (segmentation_run(), matching_run()):
        step = run.step.build(tmp_path)
        step.export(step.networks, tmp_path / run.name / "weights", None)
    request = TrainRequest(
        run=f"{__name__}:{validated_alias.__name__}",
        output=str(tmp_path),
        cache=cache,
        watch=WatchSettings(quiet=True),
    )
    assert train_in_process(request, "cpu").is_done
    run, to = request.resolved(), tmp_path / "mine"
    exported = export(run, request.address("checkpoints"), to, runs=request.runs_folder)
    assert "changed_ssim" in (to / "README.md").read_text()

    job = CatalogJob(name="mine", recipes=(VALIDATION.recipe(to),), failure_budget=1.0)
    output = tmp_path / "pictures"
    assert run_job(job, str(write_rows(tmp_path / "catalog")), str(output)) is Exit.DONE
    shown = {path.stem: path for path in (Path(request.address("log")) / "validation" / "newest").iterdir()}
    outcomes = [outcome for batch in Ledger(str(output)).latest() for outcome in from_table(batch)]
    assert {outcome.item_id for outcome in outcomes} == set(shown) and len(shown) == 3
    for outcome in outcomes:
        assert outcome.status == "ok", outcome
        assert exported.digest in outcome.digests.values()
        with Image.open(output / master_path(outcome.picture_key)) as made, Image.open(shown[outcome.item_id]) as drawn:
            assert np.array_equal(np.asarray(made), np.asarray(drawn)), outcome.item_id
