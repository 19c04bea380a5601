"""From addresses to samples by the very stages of inference, in one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atelier.errors import CatalogError
from atelier.recipe import Recipe
from atelier.stages.base import Batch
from atelier.stages.chain import new_batch
from training.data.dataset import Sample
from training.data.sources.source import LeftOut, Maker, Row


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """A recipe's stages up to where training enters, and which of their columns make up a sample.

    Args:
        recipe: e.g. `recipe.before("agnostic")`; its first stage fetches what a row's `<input>_address` names.
        keep: columns, in the sample's order.
        names: of a column in the sample, where that is another.
        device: that the stages' networks run on.
    """

    recipe: Recipe
    keep: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    def identity(self) -> Mapping[str, Any]:
        """What the stages make, weights included."""
        return {"fingerprint": self.recipe.fingerprint(), "keep": list(self.keep)}

    def build(self) -> Maker:
        """The stages, ready.

        Raises:
            WeightsError: a stage's weights are not there or do not fit.
        """
        chain = self.recipe.build(torch.device(self.device))

        def make(rows: Sequence[Row]) -> Iterator[tuple[str, Sample] | LeftOut]:
            for start in range(0, len(rows), self.recipe.batch_size):
                some = rows[start : start + self.recipe.batch_size]
                done = chain.run(self._batch(some), keep=self.keep)
                yield from (self._outcome(done, number, row["id"]) for number, row in enumerate(some))

        return make

    def _batch(self, rows: Sequence[Row]) -> Batch:
        names = [name for name in rows[0] if name != "id"]
        return new_batch(
            {
                "item_id": [row["id"] for row in rows],
                "variant": [0] * len(rows),
                "task": [self.recipe.task] * len(rows),
                "seed": [0] * len(rows),
                **{name: [_value(row[name]) for row in rows] for name in names},
            }
        )

    def _outcome(self, batch: Batch, number: int, row_id: str) -> tuple[str, Sample] | LeftOut:
        if not (code := batch["error_code"][number]):
            return row_id, {self.names.get(name, name): _array(batch[name][number]) for name in self.keep}
        stage, detail = batch["error_stage"][number], batch["error_detail"][number]
        if not batch["error_rejected"][number]:
            # Not the row's fault: another try may read it, and a data set must not depend on when it was prepared.
            raise CatalogError(f"sample {row_id}: {stage}: {code}: {detail}; try again")
        return LeftOut(id=row_id, stage=stage, code=code, detail=detail)


def _value(value: Any) -> Any:
    return np.asarray(value, np.float32) if isinstance(value, list) else value


def _array(value: Any) -> np.ndarray:
    return np.array(value, dtype=np.str_) if isinstance(value, str) else np.array(value)
