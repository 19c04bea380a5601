"""One measured rung in a process of its own: `python -m benchmarks.models.trial SPEC RESULT`, both JSON files."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.models.levers import Levers, ModelTrial
from benchmarks.models.systems import SYSTEMS


def measure(trial: ModelTrial) -> dict[str, object]:
    """Seconds of every pass, and the accelerator's peak; the pictures of the last pass go to the trial's file."""
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    make = SYSTEMS[trial.system].make(trial, device)
    pictures = make()  # warm: kernels are chosen, and compiled, here
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(trial.repeats):
        _wait(device)
        began = time.perf_counter()
        pictures = make()
        _wait(device)
        seconds.append(time.perf_counter() - began)
    np.save(trial.pictures, pictures.cpu().numpy())
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return {"seconds": seconds, "peak_bytes": peak}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Reads the trial, measures, writes."""
    spec, result = map(Path, sys.argv[1:])
    fields = json.loads(spec.read_text())
    fields |= {"levers": Levers(**fields["levers"]), "size": tuple(fields["size"])}
    result.write_text(json.dumps(measure(ModelTrial(**fields))))


if __name__ == "__main__":
    main()
