"""Outcomes out of a finished batch, with all that the rows of a partition have in common."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from atelier.errors import ConfigError
from atelier.images import PictureFormat, SourceType
from atelier.recipe import Recipe
from atelier.rows import INPUTS, Outcome
from atelier.stages.base import Batch, num_rows
from atelier.stages.encode import Encode
from pipelines.sink import NOTHING, picture_path


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What every outcome of one recipe in one run says alike."""

    run_id: str
    recipe: str
    fingerprint: str
    rendition: str
    format: PictureFormat
    source_type: SourceType
    digests: Mapping[str, str]
    versions: Mapping[str, str]
    inputs: tuple[str, ...]
    batch_size: int
    size: tuple[int, int]

    @classmethod
    def of(cls, recipe: Recipe, run_id: str) -> Facts:
        """The facts of a recipe as it stands: its weights are digested once, here."""
        return cls(
            run_id=run_id,
            recipe=recipe.name,
            fingerprint=recipe.fingerprint(),
            rendition=recipe.rendition(),
            format=encoding(recipe).format,
            source_type=encoding(recipe).source_type,
            digests=dict(recipe.digests()),
            versions=software_versions(),
            inputs=tuple(name for name in (*recipe.inputs, *recipe.optional) if name in INPUTS),
            batch_size=recipe.batch_size,
            size=recipe.size,
        )

    def given(self, batch: Mapping[str, Any], row: int, part: str) -> dict[str, str]:
        """One part (`address`, `sha256`) of the inputs that a row has, by input name."""
        columns = {name: batch[f"{name}_{part}"] for name in self.inputs if f"{name}_{part}" in batch}
        return {name: values[row] for name, values in columns.items() if values[row]}

    def outcome(self, unit: Mapping[str, Any], **how: Any) -> Outcome:
        """An outcome of a unit (a row as `UNIT_SCHEMA` has it) with these facts."""
        return Outcome(
            item_id=unit["item_id"],
            variant=int(unit["variant"]),
            task=unit["task"],
            seed=int(unit["seed"]),
            prompt=unit["prompt"],
            plan_key=unit["plan_key"],
            recipe=self.recipe,
            fingerprint=self.fingerprint,
            digests=self.digests,
            versions=self.versions,
            run_id=self.run_id,
            finished_at_s=time.time(),
            **how,
        )


def encoding(recipe: Recipe) -> Encode:
    """How a recipe's pictures are encoded.

    Raises:
        ConfigError: a recipe that makes no files has nothing for the batch plane to store.
    """
    for stage in recipe.stages:
        if isinstance(stage, Encode):
            return stage
    raise ConfigError(f"recipe {recipe.name}: has no encode stage; its stages are {list(recipe.stage_names)}")


def software_versions() -> dict[str, str]:
    """The versions that a picture may depend on; "" where a library is not installed."""
    names = (
        "atelier",
        "torch",
        "diffusers",
        "transformers",
        "ai-edge-litert",
        "scikit-image",
        "numpy",
        "pillow",
        "ray",
    )
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def outcomes_of(batch: Batch, facts: Facts) -> list[Outcome]:
    """The outcome of each row of a batch that went through the last pool."""
    stages = [name for name in batch if name.startswith("seconds_")]
    unit_columns = ("item_id", "variant", "task", "seed", "prompt", "plan_key")
    outcomes = []
    for row in range(num_rows(batch)):
        code = batch["error_code"][row]
        ended: dict[str, Any] = {"status": "ok", "made": bool(batch["stored"][row] == NOTHING)}
        if code:
            ended = {
                "status": "rejected" if batch["error_rejected"][row] else "failed",
                "stage": batch["error_stage"][row],
                "code": code,
                "detail": batch["error_detail"][row],
            }
        outcomes.append(
            facts.outcome(
                {name: batch[name][row] for name in unit_columns},
                **ended,
                picture_key=batch["picture_key"][row],
                rendition_key=batch["rendition_key"][row],
                picture="" if code else picture_path(batch["rendition_key"][row], facts.format),
                inputs=facts.given(batch, row, "address"),
                input_sha256=facts.given(batch, row, "sha256"),
                batch_shape=(facts.batch_size, *facts.size),
                seconds={name.removeprefix("seconds_"): float(batch[name][row]) for name in stages},
                scores=dict(batch["said"][row].scores) if not code else {},
                notes=batch["said"][row].notes if not code else (),
            )
        )
    return outcomes


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a working directory on a cluster, not an installation
        return ""
