"""What it would give to let requests join a running loop between steps: `python -m benchmarks.joining` (a minute).

A step's seconds by number of rows, and whether a row that joined has the bits of one that did not, are measured on the
small HumanDiffusion that comes with Atelier. Requests that arrive at random are then put through each way of forming
batches on a clock of those seconds: thousands of loops for real would take a day, and add the machine's noise alone.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from torch import Tensor

from atelier import poses
from atelier.images import decode_labels, fit_labels
from atelier.models import registry
from atelier.models.diffusion import grids
from atelier.models.diffusion.denoisers import stack
from atelier.models.diffusion.guidance import classifier_free
from atelier.models.diffusion.samplers import ddim, path
from atelier.models.human_diffusion import HumanDiffusion
from atelier.models.human_diffusion.sampling import denoiser
from atelier.models.layers.noise import draw_normal
from benchmarks.machine import describe
from benchmarks.page import add_output_options, conclude, markdown_table

WEIGHTS, SIZE = "human_diffusion_closet", (128, 96)
LARGEST, NUM_STEPS, SCALE = 4, 20, 1.5
REQUESTS, LOADS = 4000, (0.25, 0.5, 0.75, 0.9)
_ROUNDS = 5
PROMPT = "a person with a black bob wears a red striped T-shirt with navy trousers"


class Rows:
    """Rows in one batch, each at a step of its own: guided DDIM, as `samplers.ddim` does it for rows in step."""

    def __init__(self, model: HumanDiffusion, num_rows: int) -> None:
        regions = fit_labels(decode_labels(poses.read(poses.address("standing"), "pose_map")), SIZE)
        pose_map = torch.from_numpy(regions.copy()).expand(num_rows, -1, -1)
        tokens, guidance = model.encode([PROMPT] * num_rows), classifier_free(SCALE)
        self._denoise = denoiser(model, tokens, pose_map, guidance)
        self._told = stack([self._denoise.conditions[name] for name in guidance.weights], num_rows)
        self._weights = guidance.weights
        self._model, self._schedule = model, model.schedule().ending_at(0)
        self._timesteps = grids.leading(self._schedule, NUM_STEPS)
        self._levels = path(self._schedule, self._timesteps)

    def in_step(self, x: Tensor) -> Tensor:
        """Rows `x` [B, ...] at the end of a loop that all began together: Atelier's own."""
        with torch.inference_mode():
            return ddim(self._denoise, x, self._schedule, self._timesteps)

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """What a row begins with."""
        shape = self._model.config.latent_shape(SIZE)
        return draw_normal(len(seeds), shape, [torch.Generator().manual_seed(seed) for seed in seeds])

    @torch.inference_mode()
    def step(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        """Rows `x` [B, ...] after the step of the number that each is at."""
        here, there = ([self._levels[step + more] for step in steps] for more in (0, 1))
        timesteps = torch.tensor([int(level.timestep) for level in here] * 2)
        branches = self._model.predict(x.repeat(2, 1, 1, 1), timesteps, self._told).chunk(2)
        v = torch.stack([weight * branch for weight, branch in zip(self._weights.values(), branches, strict=True)]).sum(
            0
        )
        (alpha, sigma), (next_alpha, next_sigma) = (
            (_column([level.alpha for level in levels]), _column([level.sigma for level in levels]))
            for levels in (here, there)
        )
        x0 = (alpha * x - sigma * v).clamp(-1, 1)
        return next_alpha * x0 + next_sigma * ((x - alpha * x0) / sigma)


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def step_seconds(model: HumanDiffusion) -> dict[int, float]:
    """Of the quickest of some steps, by number of rows: whatever else the machine does only adds."""
    rows = {size: Rows(model, size) for size in range(1, LARGEST + 1)}
    taken: dict[int, list[float]] = {size: [] for size in rows}
    for _ in range(_ROUNDS + 1):  # in turns, so that a busy moment is nobody's own
        for size, one in rows.items():
            x = one.noise(range(size))
            started = time.perf_counter()
            one.step(x, [3] * size)
            taken[size].append(time.perf_counter() - started)
    return {size: min(seconds[1:]) for size, seconds in taken.items()}


def bits_are_kept(model: HumanDiffusion) -> bool:
    """Whether a row that joins three steps late, in a batch of the same size, has the bits that it has otherwise."""
    rows, late = Rows(model, LARGEST), 3
    together = rows.in_step(rows.noise(range(LARGEST)))
    x, last = rows.noise([0, 9, 2, 3]), NUM_STEPS - 1
    for step in range(NUM_STEPS + late):
        if step == late:
            x = torch.stack([x[0], rows.noise([1])[0], x[2], x[3]])  # row 1 joins; what was there has left
        x = rows.step(x, [min(step, last), max(0, step - late), *[min(step, last)] * 2])
    return torch.equal(x[1], together[1])


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How batches are formed.

    Args:
        joins: between two steps, where a place is free; else when the loop before has ended.
        padded: every step is of `LARGEST` rows, so that bits don't depend on who else is there.
        largest: the most rows.
    """

    name: str
    joins: bool
    padded: bool
    largest: int = LARGEST


POLICIES = (
    Policy(name="when the device is free, padded (served by default)", joins=False, padded=True),
    Policy(name="joining, padded: the same bits", joins=True, padded=True),
    Policy(name="one at a time (what the table of sizes comes to here)", joins=False, padded=False, largest=1),
    Policy(name="joining, as many rows as there are: other bits", joins=True, padded=False),
)


def latencies(policy: Policy, arrivals_s: Sequence[float], seconds: dict[int, float]) -> list[float]:
    """Seconds that each request takes from its arrival."""
    now, arrived, taken = 0.0, 0, []
    waiting: list[float] = []
    running: list[tuple[float, int]] = []  # when it arrived, steps made
    while len(taken) < len(arrivals_s):
        while arrived < len(arrivals_s) and arrivals_s[arrived] <= now:
            waiting.append(arrivals_s[arrived])
            arrived += 1
        if not running and not waiting:
            now = arrivals_s[arrived]
            continue
        if policy.joins or not running:
            room = policy.largest - len(running)
            running += [(one, 0) for one in waiting[:room]]
            waiting = waiting[room:]
        now += seconds[LARGEST if policy.padded else len(running)]
        running = [(one, step + 1) for one, step in running]
        taken += [now - one for one, step in running if step == NUM_STEPS]
        running = [(one, step) for one, step in running if step < NUM_STEPS]
    return taken


def main() -> None:
    """Measures, and shows each way of forming batches under each load."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_output_options(parser, "joining")
    options = parser.parse_args()
    machine = describe()
    torch.set_num_threads(1)
    model = HumanDiffusion.from_pretrained(registry.folder(WEIGHTS)).requires_grad_(False)
    seconds, same = step_seconds(model), bits_are_kept(model)
    loop_s = NUM_STEPS * seconds[LARGEST]
    table = markdown_table("mean seconds, and 95th percentile", *(f"load {load:.0%}" for load in LOADS))
    figures: dict[str, dict[str, list[float]]] = {}
    for policy in POLICIES:
        shown, kept = [], {}
        for load in LOADS:
            source = random.Random(7)  # the same arrivals for all
            arrivals, now = [], 0.0
            for _ in range(REQUESTS):
                now += source.expovariate(load * LARGEST / loop_s)
                arrivals.append(now)
            took = latencies(policy, arrivals, seconds)
            mean, late = statistics.fmean(took), statistics.quantiles(took, n=20)[-1]
            kept[f"{load:g}"] = [mean, late]
            shown.append(f"{mean:.1f}, {late:.1f}")
        figures[policy.name] = kept
        table.add_row(policy.name, *shown)
    steps = ", ".join(f"{size}: {took * 1000:.0f} ms" for size, took in seconds.items())
    says = [
        f"{WEIGHTS}, {NUM_STEPS} steps of DDIM in two branches, one thread. A step by rows: {steps}. "
        f"A loop of {LARGEST} rows: {loop_s:.1f} s; load 100 % is {LARGEST} requests in that time.",
        f"A row that joins three steps late has {'the same' if same else 'OTHER'} bits, in a batch of the same size.",
    ]
    told = {"machine": machine, "step_seconds": seconds, "same_bits": same, "latencies_s": figures}
    conclude(options, "joining", told, [says[0], table, says[1]], console=Console())


if __name__ == "__main__":
    main()
