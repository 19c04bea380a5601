"""An evaluation and what it says: scores, and all that has to be known to repeat them."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from atelier.evaluation.sets.listing import digest
from atelier.evaluation.sets.protocol import Protocol
from atelier.evaluation.sets.sides import Excluded

SCHEMA, BY_TASK_SCHEMA = "atelier.evaluation/2", "atelier.evaluation_by_task/1"
"""Of `eval.json`; its JSON Schema lies beside this module as `eval.schema.json`."""
_LIBRARIES = ("numpy", "pillow", "scikit-image", "scipy", "torch")
_NUM_WORST = 5


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """What one pair scores; `lpips` is None without its weights."""

    made: str
    true: str
    ssim: float
    psnr: float
    lpips: float | None


@dataclass(frozen=True)
class SetFacts:
    """A set's address and its files' sha256 by name, filled as they are read."""

    address: str
    contents: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, sha256: str) -> None:
        """Counts a picture in; one that is the partner of several counts once."""
        self.contents[name] = sha256


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that an evaluation found, and all that has to be known to repeat it.

    Args:
        size: (height, width) of the pictures as they were judged.
        distances: FID and KID, or the same on other features under other names.
        weights: name and sha256 by use.
        left_out: scores that are missing, with the reason.
        excluded: items that are not judged, with the reason.
        task: to which the sets were cut, where one was asked for.
    """

    paired: bool
    protocol: Protocol
    size: tuple[int, int]
    sets: Mapping[str, SetFacts]
    pairs: Sequence[PairScores]
    distances: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]
    device: str
    excluded: Sequence[Excluded] = ()
    task: str | None = None

    def scores(self) -> dict[str, Any]:
        """Means over pairs with their deviation and worst pairs, and the distances."""
        scores: dict[str, Any] = {}
        for name, best, of in _PAIR_SCORES:
            values = {pair.made: value for pair in self.pairs if (value := of(pair)) is not None}
            if values:
                scores[name] = _summary(values, best)
        return scores | dict(self.distances)

    def notes(self) -> list[str]:
        """What keeps these numbers from being held against published ones, or from meaning much."""
        notes = [f"pictures of the task {self.task} alone"] if self.task is not None else []
        published = {"made": self.protocol.num_pairs, "training": self.protocol.num_training}
        notes += [
            f"{name}: {len(self.sets[name].contents)} pictures, the published evaluation has {count}"
            for name, count in published.items()
            if count is not None and name in self.sets and len(self.sets[name].contents) != count
        ]
        num_features = self.weights.get("features", {}).get("num_features", 0)
        few = [name for name, facts in self.sets.items() if len(facts.contents) <= num_features]
        if few:
            notes.append(
                f"{' and '.join(few)}: no more pictures than the {num_features} features, so the Fréchet distance "
                "rests on covariances without full rank; hold it only against sets of the same size"
            )
        return notes

    def to_json(self) -> dict[str, Any]:
        """Plain values by the schema; no time, no machine: equal pictures give equal bytes."""
        return {
            "schema": SCHEMA,
            "mode": "paired" if self.paired else "unpaired",
            "protocol": self.protocol.to_json(),
            "size": list(self.size),
            "sets": {
                name: {
                    "address": facts.address,
                    "num_pictures": len(facts.contents),
                    "sha256": digest(facts.contents.items()),
                }
                for name, facts in self.sets.items()
            },
            "num_pairs": len(self.pairs),
            "scores": self.scores(),
            "weights": self.weights,
            "left_out": self.left_out,
            "excluded": [one.to_json() for one in self.excluded],
            "notes": self.notes(),
            "device": self.device,
            "versions": self.versions(),
        }

    def versions(self) -> dict[str, str]:
        """Of Python and the libraries that a score depends on."""
        libraries = (*_LIBRARIES, "torchmetrics") if self.distances else _LIBRARIES
        return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


@dataclass(frozen=True)
class ByTask:
    """The evaluations of several tasks, by task; of pictures that belong to none there is one, under "".

    Args:
        excluded: items that are not judged and whose task has no pairs, with the reason.
    """

    evaluations: Mapping[str, Evaluation]
    excluded: Sequence[Excluded] = ()

    @property
    def only(self) -> Evaluation | None:
        """The one evaluation, where there is one that says all."""
        [first, *others] = self.evaluations.values()
        return dataclasses.replace(first, excluded=(*first.excluded, *self.excluded)) if not others else None

    def to_json(self) -> dict[str, Any]:
        """Plain values by the schema: the record of the only evaluation, or one a task."""
        if (only := self.only) is not None:
            return only.to_json()
        return {
            "schema": BY_TASK_SCHEMA,
            "excluded": [one.to_json() for one in self.excluded],
            "tasks": {task: one.to_json() for task, one in self.evaluations.items()},
        }


_PAIR_SCORES: Sequence[tuple[str, Callable[[Any], Any], Callable[[PairScores], float | None]]] = (
    ("ssim", max, lambda pair: pair.ssim),
    ("psnr", max, lambda pair: pair.psnr),
    ("lpips", min, lambda pair: pair.lpips),
)


def _summary(values: Mapping[str, float], best: Callable[[Any], Any]) -> dict[str, Any]:
    numbers = np.array(list(values.values()), np.float64)
    worst = sorted(values.items(), key=lambda item: (item[1] if best is max else -item[1], item[0]))[:_NUM_WORST]
    return {
        "mean": float(numbers.mean()),
        "std": float(numbers.std()),
        "worst": [{"made": name, "value": value} for name, value in worst],
    }
