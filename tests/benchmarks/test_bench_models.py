"""The models' ladders at a few pixels: every rung runs, and those that change no arithmetic make the same pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.evaluation.pictures import decibels
from atelier.models import registry
from atelier.models.human_diffusion import HumanDiffusion
from atelier.models.pidm import Pidm, pidm_closet
from atelier.models.truepose import TruePose
from atelier.models.viton_hd import VitonHD
from atelier.weights import read_config, write_folder
from benchmarks.models.__main__ import ON_CPU, ON_GPU
from benchmarks.models.filling import fill
from benchmarks.models.levers import ModelTrial, Rung
from benchmarks.models.systems import SYSTEMS
from benchmarks.models.trial import measure
from tests.atelier.models.human_diffusion.tiny import SIZE as TOLD_SIZE
from tests.atelier.models.human_diffusion.tiny import TINY as TOLD
from tests.atelier.models.truepose.truepose_tiny import SIZE as TRUEPOSE_SIZE
from tests.atelier.models.truepose.truepose_tiny import TINY as TRUEPOSE
from tests.training.tiny_models import SIZE as VITON_SIZE
from tests.training.tiny_models import VITON_HD

PIDM = dataclasses.replace(
    pidm_closet(), patch=1, working_size=(32, 32), width=8, multipliers=(1, 2, 2), texture_strides=(2, 4), num_groups=4
)
SIZES = {"pidm": (32, 32), "truepose": TRUEPOSE_SIZE, "human_diffusion": TOLD_SIZE, "viton_hd": VITON_SIZE}
SAME_DB = 50.0
"""Of pictures in bytes: levers up to bfloat16 add in another order, and no more."""
HALF_DB = {"viton_hd": 28.0}
"""That bfloat16 keeps: VITON-HD's layout is an argmax, and turns over where two labels are as likely."""
HALF_STEPS_DB = 35.0
"""That the diffusion systems' same steps keep."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Tiny networks with every weight drawn, what starts at zero too."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)  # spectral norms' vectors are no parameters
    for name, model in {
        "pidm": Pidm(PIDM),
        "truepose": TruePose(TRUEPOSE),
        "human_diffusion": HumanDiffusion(TOLD),
    }.items():
        fill(model)
        model.save_pretrained(folder / name)
    network = VitonHD(VITON_HD)
    fill(network)
    states = {name: child.state_dict() for name, child in network.named_children()}
    write_folder(folder / "viton_hd", VITON_HD.to_json(), states)
    return {name: str(folder / name) for name in SIZES}


@pytest.mark.slow
@pytest.mark.parametrize(
    "system",
    [pytest.param(name, marks=pytest.mark.long if name in ("pidm", "truepose") else ()) for name in SYSTEMS],
)
def test_every_rung_makes_what_the_straightforward_loop_makes(
    system: str, weights: Mapping[str, str], tmp_path: Path
) -> None:
    rungs = [rung for rung in SYSTEMS[system].rungs if rung.label != "compiled"]
    rungs = [dataclasses.replace(rung, levers=dataclasses.replace(rung.levers, compile=False)) for rung in rungs]

    def made(rung: Rung) -> np.ndarray:
        trial = ModelTrial(
            system=system, weights=weights[system], size=SIZES[system], batch_size=2, num_steps=3, repeats=1,
            levers=rung.levers, pictures=str(tmp_path / "pictures.npy"),
        )  # fmt: skip
        seconds = measure(trial)["seconds"]
        assert isinstance(seconds, list) and len(seconds) == 1
        return np.load(trial.pictures).astype(np.float64)

    first, half = made(rungs[0]), HALF_DB.get(system, HALF_STEPS_DB)
    assert first.shape == (2, *SIZES[system], 3) and first.std() > 5
    for rung in rungs[1:]:
        found = decibels(float(np.square(made(rung) - first).mean()))
        if rung.levers.mode == "quality":
            assert found >= (half if rung.levers.bfloat16 else SAME_DB), (rung.label, found)
        else:
            assert np.isfinite(found)


def test_shipped_weights_are_measured_at_their_own_size_and_no_system_is_left_out() -> None:
    assert {case.system for case in ON_CPU} == {case.system for case in ON_GPU} == set(SYSTEMS)
    for case in ON_CPU:
        if case.weights:
            assert list(case.size) == read_config(registry.folder(case.weights))["working_size"], case.title
    published = {("viton_hd", (1024, 768)), ("pidm", (256, 256)), ("pidm", (512, 352)), ("truepose", (512, 352))}
    assert {(case.system, case.size) for case in ON_GPU} == {*published, ("human_diffusion", (512, 256))}
