"""What a step costs is counted, and what the device could do is known or measured."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from atelier.weights import write_folder
from training.run import TrainRun
from training.steps.alias import AliasStep, AliasStepConfig
from training.steps.base import Batch, Moment, Player, StepLoss, TrainStep
from training.watch.flops import count_flops, flops_of_step
from training.watch.observer import RunFacts, StepReport
from training.watch.peaks import peak_of, published_peak
from training.watch.shares import achieved_share

CPU = torch.device("cpu")
Built = Callable[[str, Path], TrainStep]
TwoRows = Callable[[str], dict[str, Tensor]]


def test_flops_are_counted_and_the_step_is_as_it_was(built: Built, two_rows: TwoRows, tmp_path: Path) -> None:
    step = built("pose", tmp_path)
    before, state = copy.deepcopy(step.networks.state_dict()), torch.get_rng_state()
    batch = two_rows("pose")
    flops = flops_of_step(step, batch, Moment(progress=0.0, seeds=(1, 2)))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in step.networks.state_dict().items())
    assert all(parameter.grad is None for parameter in step.networks.parameters())
    half = {name: column[:1] for name, column in batch.items()}
    assert flops_of_step(step, half, Moment(progress=0.0, seeds=(1,))) == flops / 2


class _OneConvolution(TrainStep):
    def __init__(self) -> None:
        self.networks = nn.ModuleDict({"one": nn.Conv2d(3, 4, 3, padding=1)})
        self.players = (Player(name="one", networks=("one",), learning_rate=1.0),)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        return StepLoss(total=self.networks["one"](batch["x"]).sum(), terms={})

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        return write_folder(folder, {}, {"one": networks.state_dict()}, dtype=dtype)


def test_flops_of_a_convolution_are_those_of_the_formula() -> None:
    forward = 2 * (8 * 8) * 4 * 3 * 9
    counted = flops_of_step(_OneConvolution(), {"x": torch.ones(1, 3, 8, 8)}, Moment(progress=0, seeds=(0,)))
    assert counted == 2 * forward, "the pictures need no gradient"


def test_peak_of_a_cpu_is_measured_and_says_so() -> None:
    peak = peak_of(CPU, "float32")
    assert peak.flops_per_s > 1e6
    assert "measured: float32 product of 1024x1024 matrices, 1 threads" in peak.source


def test_painter_is_counted_for_each_part_of_its_run(
    built: Built, two_rows: TwoRows, tiny_runs: Mapping[str, Callable[[], TrainRun]], tmp_path: Path
) -> None:
    built("alias", tmp_path)
    config = tiny_runs["alias"]().step
    assert isinstance(config, AliasStepConfig)
    step = AliasStep(dataclasses.replace(config, half_size_until=0.5, predicted_from=0.75), tmp_path)
    flops = count_flops(step, two_rows("alias"), (1, 2), num_rows=8)
    assert [start for start, _ in flops.counts] == [0.0, 0.5, 0.75]
    small, large, predicted = (flops.at(progress) for progress in (0.2, 0.5, 0.99))
    assert 2 < large / small < 4.01, "the spline is found at full size throughout"
    assert predicted > large
    assert flops.at(0.6) == pytest.approx(
        4 * flops_of_step(step, two_rows("alias"), Moment(progress=0.6, seeds=(1, 2)))
    )


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA A10G", 70),
    ],
)
def test_devices_have_their_own_sheet(name: str, tera: float) -> None:
    peak = published_peak(name, "bfloat16")
    assert peak is not None and peak.flops_per_s == tera * 1e12
    assert peak.source == f"{name}'s data sheet, dense bfloat16"


@pytest.mark.parametrize("name", ["NVIDIA L40", "NVIDIA A1000", "NVIDIA GH200 480GB", "Tesla T4"])
def test_device_that_no_sheet_is_of_gets_none_of_a_likely_one(name: str) -> None:
    assert published_peak(name, "bfloat16") is None


def test_share_is_operations_over_time_and_peak() -> None:
    facts = RunFacts(run="r", first_step=0, num_steps=1, batch_size=1, flops_per_step=1e9)
    report = StepReport(step=1, losses={}, samples_per_s=1.0, step_s=0.5)
    peak = peak_of(CPU, "float32").flops_per_s
    assert achieved_share(facts, report) == pytest.approx(2e9 / peak)
    assert achieved_share(facts, dataclasses.replace(report, flops_per_step=5e8)) == pytest.approx(1e9 / peak)
    assert achieved_share(dataclasses.replace(facts, flops_per_step=None), report) is None
