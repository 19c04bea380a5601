"""What each lever gives each model: `python -m benchmarks.models` (about half an hour on two idle cores).

The first rung of a ladder is the straightforward loop: eager, float32, every branch of guidance by itself, nothing
kept from one step to the next. Each further rung keeps all before it and adds one lever. PSNR and SSIM are of a rung's
pictures against the first rung's, from the same noise. Where a case has shipped weights the pictures are real ones;
published networks, whose weights can't be had, are filled by a rule, which says how far a lever moves numbers, and
nothing of pictures.

Each rung is a process of its own. On a CPU the published networks are run at a reduced size; with a GPU at full size
and in batches of 1 to 32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from atelier.evaluation.pictures import decibels, ssim_map
from benchmarks.footprint import start, watch
from benchmarks.machine import describe
from benchmarks.models.levers import ModelTrial, Rung
from benchmarks.models.systems import SYSTEMS
from benchmarks.page import add_output_options, conclude, markdown_table


@dataclass(frozen=True, kw_only=True)
class Case:
    """A system at a size; see `ModelTrial`."""

    system: str
    size: tuple[int, int]
    batch_size: int
    weights: str = ""
    num_steps: int = 0

    @property
    def title(self) -> str:
        """For a table's head."""
        weights = self.weights or "published network, filled by rule"
        steps = f", {self.num_steps} steps" if self.num_steps else ""
        return f"{self.system}, {weights}, {self.size[0]}x{self.size[1]}, batch {self.batch_size}{steps}"


ON_CPU = (
    Case(system="viton_hd", weights="viton_hd_closet", size=(256, 192), batch_size=4),
    Case(system="viton_hd", size=(512, 384), batch_size=1),
    Case(system="pidm", weights="pidm_closet", size=(128, 96), batch_size=4),
    Case(system="pidm", size=(64, 64), batch_size=1, num_steps=10),
    Case(system="truepose", weights="truepose_closet", size=(128, 96), batch_size=4),
    Case(system="human_diffusion", weights="human_diffusion_closet", size=(128, 96), batch_size=4),
)
ON_GPU = tuple(
    Case(system=system, size=size, batch_size=batch_size)
    for system, size in (
        ("viton_hd", (1024, 768)),
        ("pidm", (256, 256)),
        ("pidm", (512, 352)),
        ("truepose", (512, 352)),
        ("human_diffusion", (512, 256)),
    )
    for batch_size in (1, 4, 16, 32)
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A rung that was run: seconds a picture, peak memory, share of the machine that others took, its pictures."""

    case: Case
    rung: Rung
    seconds: float
    peak_bytes: int
    others: float
    pictures: np.ndarray


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default="", help="names with commas between them; all by default")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="on a CPU too, where it takes minutes a rung")
    add_output_options(parser, "models")
    options = parser.parse_args()
    chosen = set(options.systems.split(",")) if options.systems else set(SYSTEMS)
    if strangers := sorted(chosen - set(SYSTEMS)):
        parser.error(f"--systems: {strangers} are none of {sorted(SYSTEMS)}")
    on_gpu = torch.cuda.is_available()
    cases = [case for case in (ON_GPU if on_gpu else ON_CPU) if case.system in chosen]
    console, machine = Console(), describe()
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            for rung in _rungs(case, with_compile=on_gpu or options.compile):
                console.print(f"{case.title}: {rung.label}", style="dim", highlight=False)
                measured.append(_run(case, rung, Path(folder), options.repeats))
    tables: list[Table | str] = []
    for case in cases:
        tables += [f"**{case.title}**", _table([one for one in measured if one.case == case])]
    device = torch.cuda.get_device_name() if on_gpu else "the CPU"
    tables.append(f"On {device}. {_notes(measured)}")
    figures = {"machine": machine, "device": device, "rungs": [_plain(one) for one in measured]}
    conclude(options, "models", figures, tables, console=console)


def _rungs(case: Case, *, with_compile: bool) -> list[Rung]:
    rungs = [rung for rung in SYSTEMS[case.system].rungs if with_compile or rung.label != "compiled"]
    return [replace(rung, levers=replace(rung.levers, compile=rung.levers.compile and with_compile)) for rung in rungs]


def _run(case: Case, rung: Rung, folder: Path, repeats: int) -> Measured:
    spec, result, said = (folder / name for name in ("trial.json", "measured.json", "said.txt"))
    pictures = folder / "pictures.npy"
    trial = ModelTrial(**asdict(case), levers=rung.levers, pictures=str(pictures), repeats=repeats)
    spec.write_text(json.dumps(asdict(trial)))
    with said.open("wb") as out:
        command = [sys.executable, "-m", "benchmarks.models.trial", str(spec), str(result)]
        process = start(command, out)
        footprint = watch(process)
    if process.returncode:
        raise RuntimeError(f"{case.title}: {rung.label} failed:\n{said.read_text(errors='replace')[-4000:]}")
    found = json.loads(result.read_text())
    return Measured(
        case=case,
        rung=rung,
        seconds=statistics.median(found["seconds"]) / case.batch_size,
        peak_bytes=found["peak_bytes"] or footprint.peak_bytes,
        others=footprint.others,
        pictures=np.load(pictures),
    )


def _table(measured: Sequence[Measured]) -> Table:
    table = markdown_table("levers, each with all before it", "s a picture", "gain", "PSNR dB", "SSIM", "peak MiB")
    first = measured[0]
    for one in measured:
        likeness = ("", "") if one is first or not _comparable(one) else _likeness(one.pictures, first.pictures)
        table.add_row(
            one.rung.label,
            f"{one.seconds:.3g}",
            f"{first.seconds / one.seconds:.2f}x",
            *likeness,
            f"{one.peak_bytes / 2**20:,.0f}",
        )
    return table


def _likeness(pictures: np.ndarray, first: np.ndarray) -> tuple[str, str]:
    """PSNR over all pixels, and SSIM over all pictures."""
    squared_error = float(np.square(pictures.astype(np.float64) - first).mean())
    similarity = [float(ssim_map(*pair).mean()) for pair in zip(pictures, first, strict=True)]
    return f"{decibels(squared_error):.1f}", f"{statistics.mean(similarity):.3f}"


def _comparable(one: Measured) -> bool:
    """Whether likeness says something: another sampler on weights without a meaning ends anywhere."""
    return bool(one.case.weights) or one.rung.levers.mode == "quality"


def _notes(measured: Sequence[Measured]) -> str:
    others = [one.others for one in measured]
    return (
        f"Others took {min(others):.0%} to {max(others):.0%} of the machine's CPU meanwhile, "
        f"{statistics.median(others):.0%} in the median."
    )


def _plain(one: Measured) -> dict[str, object]:
    return {
        "case": one.case.title,
        "rung": one.rung.label,
        "seconds_a_picture": one.seconds,
        "peak_bytes": one.peak_bytes,
        "others": one.others,
    }


if __name__ == "__main__":
    main()
