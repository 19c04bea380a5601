"""The achieved share of the device's peak: model FLOPs utilisation (Chowdhery et al. 2022, PaLM, appendix B)."""

from __future__ import annotations

import torch

from training.watch.observer import RunFacts, StepReport
from training.watch.peaks import Peak, peak_of


def peak_for(facts: RunFacts) -> Peak:
    """The peak that a run's device has in the run's precision."""
    return peak_of(torch.device(facts.device), facts.precision)


def achieved_share(facts: RunFacts, report: StepReport) -> float | None:
    """Counted operations a second of one worker over its device's peak, 0..1; None where nothing was counted."""
    flops = facts.flops_per_step if report.flops_per_step is None else report.flops_per_step
    if flops is None or report.step_s <= 0:
        return None
    return flops / report.step_s / peak_for(facts).flops_per_s
