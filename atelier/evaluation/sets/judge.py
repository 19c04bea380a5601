"""The evaluation itself: two or three sets in, one record out, a few pictures in memory at a time."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from atelier.errors import ConfigError, MismatchError
from atelier.evaluation.sets.ahead import ahead
from atelier.evaluation.sets.instruments import Instruments
from atelier.evaluation.sets.job import Job
from atelier.evaluation.sets.listing import PictureSet
from atelier.evaluation.sets.pairing import Pair
from atelier.evaluation.sets.reading import Problems, ReadPair, ReadPicture, read_pair, read_picture
from atelier.evaluation.sets.record import ByTask, Evaluation, PairScores, SetFacts
from atelier.evaluation.sets.sides import Excluded, Sides
from atelier.evaluation.sets.tasks import of_task
from atelier.evaluation.sets.unpaired import Unpaired

Row = TypeVar("Row")
Progress = Callable[[str, int, int], None]
"""Told of a set's name, how many of its pictures are judged, and how many there are."""


def evaluate(job: Job, progress: Progress = lambda name, done, total: None) -> Evaluation:
    """Judges a job's sets as one, whole or not at all.

    Raises:
        MismatchError: sets that do not fit each other: missing partners, other sizes, unreadable pictures, too few;
            lists their names. Nothing is scored then.
        WeightsError, ConfigError: weights that do not fit the protocol.
        StorageError: pictures that cannot be fetched.
    """
    with _exactly(job):
        if job.paired:
            return _paired(job, Sides.of(job), progress)
        made, truth = PictureSet.of(job.made), PictureSet.of(job.truth)
        return _unpaired(job, of_task(made, truth, job.task, paired=False), progress)


def evaluate_by_task(job: Job, progress: Progress = lambda name, done, total: None) -> ByTask:
    """Judges the pictures of each task apart, as they are of other sizes and other worth; sets without tasks as one.

    Raises:
        As `evaluate`.
    """
    with _exactly(job):
        evaluations: dict[str, Evaluation] = {}
        if not job.paired:
            unpaired = Unpaired.of(job)
            for task, both in unpaired.tasks.items():
                with _naming(task, unpaired.tasks):
                    evaluations[task] = _unpaired(job, both, progress)
            return ByTask(evaluations, excluded=unpaired.excluded)
        sides = Sides.of(job)
        tasks = sides.by_task()
        for task, sides_of_one in tasks.items():
            with _naming(task, tasks):
                evaluations[task] = _paired(job, sides_of_one, progress)
        return ByTask(evaluations, excluded=[one for one in sides.excluded if one.task not in tasks])


@contextmanager
def _naming(task: str, tasks: Collection[str]) -> Iterator[None]:
    """Says of which of several tasks the sets are that cannot be judged."""
    try:
        yield
    except MismatchError as error:
        if len(tasks) == 1:
            raise
        others = ", ".join(one or "no task" for one in tasks)
        where = f"task {task or 'that is not told'}, of {others} (--task NAME judges one alone)"
        raise MismatchError(f"{where}: {error.reason}", error.names) from error


@contextmanager
def _exactly(job: Job) -> Iterator[None]:
    _refuse_absent(job.device)
    # TensorFloat-32 would move the third decimal of a distance between one device and another.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def _refuse_absent(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError:  # torch's own message lists the types of twenty makers
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device: is {name!r}, must be cpu, cuda or cuda:N")
    num_there = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= num_there:
        cuda = f"cpu or cuda:0 to cuda:{num_there - 1}" if num_there else "cpu"
        raise ConfigError(f"device: is {name!r}, and there is no such device; must be {cuda}")


def _paired(job: Job, sides: Sides, progress: Progress) -> Evaluation:
    made, truth, pairs = sides.made, sides.truth, sides.pairs
    training = PictureSet.of(job.training) if job.training is not None else None
    real = ("truth", len(pairs)) if training is None else ("training", len(training.pictures))
    instruments = Instruments.of(job, {"made": len(pairs), real[0]: real[1]})
    size = _size(job, pairs[0].name, pairs[0].made)
    job = dataclasses.replace(job, protocol=job.protocol.at(size))
    problems = Problems(size)
    facts = {"made": SetFacts(made.address), "truth": SetFacts(truth.address)}
    scores: list[PairScores] = []

    def read(pair: Pair) -> ReadPair:
        return read_pair(pair, protocol=job.protocol, size=size, scored=not problems)

    for batch in _batches(ahead(read, pairs, num_threads=job.num_threads), job.batch_size):
        for row in batch:
            for name, picture in (("made", row.made), ("truth", row.truth)):
                facts[name].note(picture.name, picture.sha256)
                problems.note(facts[name].address, picture)
        if not problems:
            scores += _scores(batch, instruments, real_truth=training is None)
        progress("pairs", len(scores), len(pairs))
    problems.refuse()
    if training is not None and instruments.distances is not None:
        facts["training"] = _collect(job, training, instruments, size, progress, name="training")
    return _evaluation(job, size, facts, instruments, scores, sides.excluded)


def _unpaired(job: Job, both: tuple[PictureSet, PictureSet], progress: Progress) -> Evaluation:
    made, truth = both
    instruments = Instruments.of(job, {"made": len(made.pictures), "truth": len(truth.pictures)})
    size = _size(job, *next(iter(made.pictures.items())))
    job = dataclasses.replace(job, protocol=job.protocol.at(size))
    facts = {
        "made": _collect(job, made, instruments, size, progress, name="made"),
        "truth": _collect(job, truth, instruments, size, progress, name="truth"),
    }
    return _evaluation(job, size, facts, instruments, [])


def _scores(batch: Sequence[ReadPair], instruments: Instruments, *, real_truth: bool) -> list[PairScores]:
    made = np.stack([row.made.picture for row in batch])
    truth = np.stack([row.truth.picture for row in batch])
    lpips: Sequence[float | None] = [None] * len(batch)
    if instruments.lpips is not None:
        lpips = instruments.lpips.distances(made, truth)
    if instruments.distances is not None:
        instruments.distances.add(made, real=False)
        if real_truth:
            instruments.distances.add(truth, real=True)
    return [
        PairScores(made=row.pair.name, true=row.pair.true_name, ssim=row.ssim, psnr=row.psnr, lpips=distance)
        for row, distance in zip(batch, lpips, strict=True)
    ]


def _collect(
    job: Job,
    pictures: PictureSet,
    instruments: Instruments,
    size: tuple[int, int],
    progress: Progress,
    *,
    name: str,
) -> SetFacts:
    """Takes a whole set into the distances."""
    facts, problems = SetFacts(pictures.address), Problems(size)
    real = name != "made"
    resize = job.protocol.truth_resize if real else None

    def read(item: tuple[str, str]) -> ReadPicture:
        return read_picture(*item, size=size, resize=resize)

    for batch in _batches(ahead(read, pictures.pictures.items(), num_threads=job.num_threads), job.batch_size):
        for row in batch:
            facts.note(row.name, row.sha256)
            problems.note(pictures.address, row)
        if not problems and instruments.distances is not None:
            instruments.distances.add(np.stack([row.picture for row in batch]), real=real)
        progress(name, len(facts.contents), len(pictures.pictures))
    problems.refuse()
    return facts


def _size(job: Job, name: str, address: str) -> tuple[int, int]:
    """What all pictures must be: the protocol's size, or that of the first made one."""
    size = job.protocol.size
    if size is None:
        first = read_picture(name, address, size=None)
        if first.problem:
            raise MismatchError(f"{job.made}: a picture cannot be read", [first.problem])
        size = (first.picture.shape[0], first.picture.shape[1])
    if job.paired and min(size) < job.protocol.ssim.window:
        least = job.protocol.ssim.window
        raise MismatchError(f"{job.made}: pictures are {size[0]}x{size[1]}, must be at least {least} pixels a side")
    return size


def _evaluation(
    job: Job,
    size: tuple[int, int],
    facts: dict[str, SetFacts],
    instruments: Instruments,
    scores: list[PairScores],
    excluded: Sequence[Excluded] = (),
) -> Evaluation:
    return Evaluation(
        paired=job.paired,
        protocol=job.protocol,
        size=size,
        sets=facts,
        pairs=tuple(scores),
        distances=instruments.distances.scores() if instruments.distances is not None else {},
        weights=instruments.weights(),
        left_out=instruments.left_out,
        excluded=excluded,
        task=job.task,
        device=torch.device(job.device).type,
    )


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
