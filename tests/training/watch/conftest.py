"""Steps with fresh weights and real rows for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from training.run import TrainRun
from training.steps.base import TrainStep

Built = Callable[[str, Path], TrainStep]


@pytest.fixture
def built(tiny_runs: Mapping[str, Callable[[], TrainRun]]) -> Built:
    """A run's step with fresh weights; the painter's earlier networks are fresh as well."""

    def build(name: str, folder: Path) -> TrainStep:
        if name == "alias":
            for earlier in ("segmentation", "matching"):
                step = tiny_runs[earlier]().step.build(folder)
                step.export(step.networks, folder / earlier / "weights", None)
        torch.manual_seed(0)
        return tiny_runs[name]().step.build(folder)

    return build


@pytest.fixture
def two_rows(tiny_runs: Mapping[str, Callable[[], TrainRun]], cache: Path) -> Callable[[str], dict[str, torch.Tensor]]:
    """Two rows of a run's data, as its step reads them."""

    def load(name: str) -> dict[str, torch.Tensor]:
        run = tiny_runs[name]()
        dataset = run.data.open(None, cache)
        samples = [run.data.columns(dataset[index], np.random.default_rng(index)) for index in range(2)]
        return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}

    return load
