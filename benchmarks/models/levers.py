"""The levers that are added one after the other, and a trial with some of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Levers:
    """How a model is run; all off is the straightforward loop: eager, float32, every branch by itself, nothing kept.

    Args:
        folded: spectral norm divided out at load.
        features_once: what knows neither noise nor time is computed once a sampling run, not at every step.
        one_batch: all branches of a step in one pass.
        fused_attention: torch's fused kernels in place of products and a softmax.
        mode: of sampling; `quality` has the sampler and the steps of the straightforward loop.
    """

    folded: bool = False
    features_once: bool = False
    one_batch: bool = False
    fused_attention: bool = False
    channels_last: bool = False
    bfloat16: bool = False
    compile: bool = False
    mode: str = "quality"


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A step of a ladder: the levers that are on, and the word for the newest."""

    label: str
    levers: Levers


def ladder(*steps: tuple[str, dict[str, Any]]) -> tuple[Rung, ...]:
    """Rungs that each keep what those before them switched on; the first is the straightforward loop."""
    levers = Levers()
    rungs = [Rung(label="straightforward", levers=levers)]
    for label, changes in steps:
        levers = replace(levers, **changes)
        rungs.append(Rung(label=label, levers=levers))
    return tuple(rungs)


@dataclass(frozen=True, kw_only=True)
class ModelTrial:
    """One rung of one case, to be measured in a process of its own.

    Args:
        system: by which `benchmarks.models.systems` knows it.
        weights: a shipped name or a folder; "" fills the published network by a rule, since its weights can't be had.
        size: (H, W). num_steps: of `quality`, where a case shortens it; 0 keeps the mode's.
        repeats: passes that are measured, after one that is not.
        pictures: where the pictures of the last pass go (.npy).
    """

    system: str
    weights: str
    size: tuple[int, int]
    batch_size: int
    pictures: str
    levers: Levers = field(default_factory=Levers)
    num_steps: int = 0
    repeats: int = 2
