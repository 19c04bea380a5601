"""The achieved share of the device's peak: model FLOPs utilisation (Chowdhery et al. 2022, PaLM, appendix B)."""

from __future__ import annotations

import torch

from training.watch.observer import RunFacts, StepReport
from training.watch.peaks import Peak, peak_of

_MUCH = 1.5
"""Times as long in a large matrix product, from which on a run's precision is the wrong one for its processor."""


def peak_for(facts: RunFacts) -> Peak:
    """The peak that a run's device has in the run's precision."""
    return peak_of(torch.device(facts.device), facts.precision)


def slowed_by_precision(facts: RunFacts) -> float | None:
    """How many times as long as in float32 the run's device takes in the run's own precision; None where that is not
    much more: a processor without instructions for bfloat16 computes it piece by piece.
    """
    if facts.device != "cpu" or facts.precision == "float32":
        return None
    times = peak_of(torch.device(facts.device), "float32").flops_per_s / peak_for(facts).flops_per_s
    return times if times > _MUCH else None


def achieved_share(facts: RunFacts, report: StepReport) -> float | None:
    """Counted operations a second of one worker over its device's peak, 0..1; None where nothing was counted."""
    flops = facts.flops_per_step if report.flops_per_step is None else report.flops_per_step
    if flops is None or report.step_s <= 0:
        return None
    return flops / report.step_s / peak_for(facts).flops_per_s
