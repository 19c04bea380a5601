"""A catalog job: which recipes make which tasks, and how the run around them behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from atelier.errors import ConfigError
from atelier.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class CatalogJob:
    """Everything a run needs besides the catalog and where the pictures go.

    Args:
        name: by which `python -m pipelines run NAME` finds it.
        recipes: in order; of several that make one task, a row's `model` chooses, and the first is taken where it names
            none. A row whose task none of them makes is rejected at `plan`.
        seed: mixed into every unit's seed that the catalog doesn't give.
        placement: `fused` (at most three pools) or `split` (a pool for each accelerator stage).
        num_accelerators: device shares to spread the accelerator pools over; 0 runs them on CPUs.
        workers: processes of a pool, by its name (its stages joined by `+`), where placement's own choice doesn't suit.
        num_cpus: logical CPUs for a local Ray; None takes what placement needs.
        dashboard: a local Ray has its dashboard, which this computer alone can open.
        failure_budget: largest share of units that may end rejected or failed before the exit status is 3.
        rows_per_block: units in a Ray Data block, rounded up to whole batches.
        keep_masters: store the lossless picture too, so that another rendition never samples again.
        max_worker_deaths: how often one block may kill its worker before its rows are tried alone, then given up.
        deadline_s: longest time that a batch may take in one pool; then its worker is stopped, its rows tried alone.
    """

    name: str
    recipes: tuple[Recipe, ...]
    seed: int = 0
    placement: Literal["fused", "split"] = "fused"
    num_accelerators: int = 0
    workers: Mapping[str, int] = field(default_factory=dict)
    num_cpus: int | None = None
    dashboard: bool = False
    failure_budget: float = 0.05
    rows_per_block: int = 16
    keep_masters: bool = True
    max_worker_deaths: int = 2
    deadline_s: float = 900.0

    def __post_init__(self) -> None:
        for what in ("name", "model"):
            kinds = [(recipe.task, recipe.model) if what == "model" else recipe.name for recipe in self.recipes]
            if twice := sorted({str(kind) for kind in kinds if kinds.count(kind) > 1}):
                raise ConfigError(f"job {self.name}: recipes of the same {what}: {', '.join(twice)}")
        if not 0 <= self.failure_budget <= 1:
            raise ConfigError(f"job {self.name}: failure_budget is {self.failure_budget}, must be from 0 to 1")

    def recipe_for(self, task: str, model: str = "") -> Recipe | None:
        """The recipe that makes a task by a model, by whichever comes first for `""`; None where there is none."""
        makes = (recipe for recipe in self.recipes if recipe.task == task)
        return next((recipe for recipe in makes if model in ("", recipe.model)), None)

    def models_for(self, task: str) -> list[str]:
        """The models that make a task, first the one that is taken where a row names none."""
        return [recipe.model for recipe in self.recipes if recipe.task == task]
