"""What observers were told, as flat named numbers: one naming for every place that draws curves."""

from __future__ import annotations

from training.watch.observer import RunFacts, StepReport, ValidationReport
from training.watch.shares import achieved_share


def step_numbers(facts: RunFacts, report: StepReport) -> dict[str, float]:
    """`loss/<player>/<term>`, `learning_rate/<player>`, `gradient_norm/<player>`, `speed/…` and `memory/…`."""
    numbers = {
        f"loss/{player}/{term}": value for player, terms in report.losses.items() for term, value in terms.items()
    }
    numbers |= {f"learning_rate/{player}": value for player, value in report.learning_rates.items()}
    numbers |= {f"gradient_norm/{player}": value for player, value in report.gradient_norms.items()}
    numbers |= {
        "speed/samples_per_s": report.samples_per_s,
        "speed/step_s": report.step_s,
        "speed/waited_for_data_s": report.waited_s,
        "memory/resident_gib": report.memory.resident_bytes / 2**30,
    }
    if report.memory.accelerator_peak_bytes:
        numbers["memory/accelerator_peak_gib"] = report.memory.accelerator_peak_bytes / 2**30
    if (share := achieved_share(facts, report)) is not None:
        numbers["speed/share_of_peak"] = share
    return numbers


def validation_numbers(report: ValidationReport) -> dict[str, float]:
    """`validation/<metric>`, and the seconds it took."""
    numbers = {f"validation/{name}": value for name, value in report.metrics.items()}
    return numbers | {"validation/seconds": report.seconds}
