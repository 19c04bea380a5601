"""What is held against what, task by task, and what is left out of it with a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from atelier.errors import MismatchError
from atelier.evaluation.sets.job import Job
from atelier.evaluation.sets.listing import PictureSet
from atelier.evaluation.sets.pairing import Pair, pair_by_file, pair_by_name
from atelier.evaluation.sets.tasks import UNTOLD, called, is_of, of_task, refuse_unknown, several_recipes

_NUM_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """Items that are not judged for one and the same reason.

    Args:
        task: as in `Sides.by_task`; "" where nothing says.
    """

    reason: str
    task: str
    names: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values: how many there are, and the first of them."""
        return {"reason": self.reason, "num_items": len(self.names), "items": list(self.names[:_NUM_NAMED])}


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Two sets whose pictures are partners, but for what is left out."""

    made: PictureSet
    truth: PictureSet
    pairs: Sequence[Pair]
    excluded: Sequence[Excluded] = ()

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job's two sets, paired.

        Left out is what nothing can be said of: items of the true set that the made one's ledger has as rejected, and
        made pictures whose row in the true set's table names no true one.

        Raises:
            ConfigError: the job's task is none of the sets'.
            MismatchError: other pictures without a partner, or units that failed; lists their names.
        """
        made, truth = PictureSet.of(job.made), PictureSet.of(job.truth)
        if job.pairs is not None:
            # The file may list pairs of all tasks.
            pairs = pair_by_file(job.pairs, made, truth)
            return cls(made=made, truth=truth, pairs=pairs if job.task is None else _of(job.task, pairs, made, truth))
        made, truth = of_task(made, truth, job.task, paired=True)
        if failed := [
            name for name in truth.pictures if name in made.missing and made.missing[name].status == "failed"
        ]:
            raise MismatchError(
                f"{made.address}: {len(failed)} units of the true pictures failed there; run the job again, which "
                "tries them anew, or name the pairs in a pairs file",
                failed,
            )
        several = several_recipes(made)
        reasons: dict[tuple[str, str], list[str]] = {}
        listed = {**dict.fromkeys(truth.pictures), **dict.fromkeys(truth.missing)}
        for name in sorted(listed):
            if name in made.missing:
                missing = made.missing[name]
                key = (missing.reason, called(missing.task, missing.recipe, several))
            elif name in truth.missing and name in made.pictures:
                key = (
                    "no true picture is named",
                    called(*made.tasks.get(name, (truth.missing[name].task, "")), several),
                )
            else:
                continue
            reasons.setdefault(key, []).append(name)
        left_out = {name for names in reasons.values() for name in names}
        made, truth = made.without(left_out), truth.without(left_out)
        if not made.pictures or not truth.pictures:
            raise MismatchError(f"{made.address}: every picture of {truth.address} was rejected there or has no truth")
        excluded = [Excluded(reason=reason, task=task, names=tuple(names)) for (reason, task), names in reasons.items()]
        pairs = pair_by_name(made, truth, job.protocol.pairing)
        return cls(made=made, truth=truth, pairs=pairs, excluded=tuple(sorted(excluded, key=lambda one: one.reason)))

    def by_task(self) -> Mapping[str, Sides]:
        """The pairs of each task, in the tasks' alphabetical order: `task`, or `task:recipe` where several made it.

        What is left out goes with its task, where pairs of that are judged. One of the tasks is "" where no table says.
        """
        several = several_recipes(self.made)
        found: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            found.setdefault(called(*_told(pair, self.made, self.truth), several), []).append(pair)
        return {
            task: dataclasses.replace(
                self, pairs=pairs, excluded=tuple(one for one in self.excluded if one.task == task)
            )
            for task, pairs in sorted(found.items())
        }


def _told(pair: Pair, made: PictureSet, truth: PictureSet) -> tuple[str, str]:
    return made.tasks.get(pair.name) or truth.tasks.get(pair.true_name) or UNTOLD


def _of(task: str, pairs: Sequence[Pair], made: PictureSet, truth: PictureSet) -> list[Pair]:
    refuse_unknown(made, truth, task)
    kept = [pair for pair in pairs if is_of(_told(pair, made, truth), task)]
    if not kept:
        raise MismatchError(f"none of the {len(pairs)} pairs listed is of the task {task}")
    return kept
