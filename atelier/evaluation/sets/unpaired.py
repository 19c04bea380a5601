"""Sets without partners, task by task: the pictures of one task are at no meaningful distance from another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from atelier.errors import MismatchError
from atelier.evaluation.sets.job import Job
from atelier.evaluation.sets.listing import PictureSet
from atelier.evaluation.sets.sides import Excluded
from atelier.evaluation.sets.tasks import called, is_of, of_task, several_recipes


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """The two sets of each task.

    Args:
        tasks: made and true set by task, in alphabetical order: `task`, or `task:recipe` where several made it; one of
            them is "" where no table says.
        excluded: true pictures of tasks that were not made.
    """

    tasks: Mapping[str, tuple[PictureSet, PictureSet]]
    excluded: Sequence[Excluded] = ()

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job's two sets, task by task.

        Raises:
            ConfigError: the job's task is none of the sets'.
            MismatchError: a set of several tasks beside one that does not tell, or a task without true pictures.
        """
        made, truth = of_task(PictureSet.of(job.made), PictureSet.of(job.truth), job.task, paired=False)
        several = several_recipes(made)
        names = {name: called(*made.told(name), several) for name in made.pictures}
        tasks = sorted(set(names.values()))
        true_tasks = sorted({truth.told(name)[0] for name in truth.pictures})
        if tasks == [""] or true_tasks == [""]:
            _refuse_pooling((made, tasks, truth), (truth, true_tasks, made))
            return cls(tasks={tasks[0]: (made, truth)})
        found: dict[str, tuple[PictureSet, PictureSet]] = {}
        for task in tasks:
            theirs = truth.where(lambda name, task=task: is_of(truth.told(name), task))
            if not theirs.pictures:
                raise MismatchError(
                    f"{truth.address}: holds no true picture of the task {task or 'that is not told'}; --task NAME "
                    f"judges one of {', '.join(filter(None, tasks))} alone"
                )
            found[task] = (made.where(lambda name, task=task: names.get(name) == task), theirs)
        judged = {name for _, theirs in found.values() for name in theirs.pictures}
        rest: dict[str, list[str]] = {}
        for name in truth.pictures:
            if name not in judged:
                rest.setdefault(truth.told(name)[0], []).append(name)
        reason = "no picture of its task was made"
        excluded = [Excluded(reason=reason, task=task, names=tuple(left)) for task, left in sorted(rest.items())]
        return cls(tasks=found, excluded=excluded)


def _refuse_pooling(*sides: tuple[PictureSet, Sequence[str], PictureSet]) -> None:
    """Raises where a set is of several tasks and nothing says which pictures of the other are which.

    Args:
        sides: a set, its tasks, and the other set.
    """
    for those, tasks, other in sides:
        if len(tasks) > 1:
            raise MismatchError(
                f"{those.address}: holds pictures of several tasks, and {other.address} does not tell of which its own "
                f"are; --task NAME takes one of {', '.join(filter(None, tasks))}"
            )
