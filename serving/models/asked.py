"""What crosses between the ingress and a model's replica: what is asked, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from atelier.images import PictureFormat

Fault = Literal["rejected", "failed", "overloaded", "late"]
"""Whose matter a refusal is: the request's, the model's, the load's, or its deadline's."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Pictures of one task to make from the same inputs, one a seed.

    Args:
        inputs: the files' bytes by input name, only those given.
        timeout_s: seconds that the caller still waits; what has not been launched by then is not made, and a loop that
            makes nothing for anybody else stops.
        is_patient: what has been launched is made, however long it takes: nobody waits at the other end of a line.
        with_partials: whoever follows it is shown what is coming, a few times.
        quality: 1..100, the format's default where None.
        mode: of sampling, one of the model's `ModelCard.modes`; None is the model's own.
        size: `working` leaves the pixels as they were made; `original` scales them to the person picture's size.
    """

    inputs: Mapping[str, bytes]
    seeds: tuple[int, ...]
    prompt: str = ""
    format: PictureFormat = "jpeg"
    quality: int | None = None
    mode: str | None = None
    size: Literal["working", "original"] = "working"
    timeout_s: float = 60.0
    is_patient: bool = False
    with_partials: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the batch has come that makes some of an ask's samples.

    Args:
        step: steps that its loop has made; num_steps: that it will have made at its end; both 0 when the batch begins,
            and for as long as it has no loop.
        samples: numbers of the ask's samples that it makes, from 0.
        queued_s: seconds that they waited for the device. step_s: that a step has taken on average.
        partials: what is coming, by sample: small JPEG files as estimated at this step or, where nobody took this
            progress in time, at an earlier one; empty at most steps, and where nobody asked.
    """

    step: int
    num_steps: int
    samples: tuple[int, ...]
    queued_s: float
    step_s: float
    partials: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One picture.

    Args:
        picture: the file's bytes, marked as what it is.
        shape: (H, W) of the file's picture.
        batch_shape: [B, H, W] it was made at; bits repeat only at an equal shape.
        scores: by name, what may have gone wrong; 0 is best.
        notes: sentences about the picture, each `code: sentence`.
    """

    seed: int
    picture: bytes
    sha256: str
    shape: tuple[int, int]
    batch_shape: tuple[int, int, int]
    scores: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why there is no picture.

    Args:
        code: stable, snake_case: a `RowError`'s, or `overloaded`, `deadline_exceeded`, `internal_error`.
        detail: a sentence for the person who asked.
        stage: where in the recipe; `""` where none is to blame.
        retry_after_s: when another try makes sense, computed from what is waiting; 0 where it makes none.
    """

    fault: Fault
    code: str
    detail: str
    stage: str = ""
    retry_after_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of an `Ask`: all its pictures, or the first reason why not.

    Args:
        samples: in the seeds' order; empty where there is a refusal.
        mode: of sampling, that they were made in; "" where the model has none.
        fingerprint, digests: of the recipe in that mode and its weights, as the batch plane records them.
        seconds: `total` of this ask, its wait included; by stage's name, what a row took.
    """

    recipe: str
    samples: tuple[Sample, ...] = ()
    refusal: Refusal | None = None
    mode: str = ""
    fingerprint: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model says of itself.

    Args:
        inputs, optional: input names that a request must and may give.
        size: working size (H, W) in pixels.
        batch_size: the most rows that its stages see at once; batch_seconds: of a batch by size, as measured at its
            start, empty where the size was told.
        modes: of sampling, that an ask may name, the dearest first; empty where it has none. mode: that of an ask which
            names none, and of `fingerprint`.
        weights: what it was told, by the recipe's own names: shipped names, folders, a mode. digests: sha256 by name.
        licences: by weight name, from the weights' card; `not stated` where there is none.
        waiting: pictures that wait at this moment. running: those being made that somebody waits for.
        is_asleep: no replica runs; the next request waits for one to start. is_starting: none has answered yet since
            the service began. away: why no replica can be asked now; "" where one can, or none is wanted.
        refused: why the weights that it was last told to take up are not those it has; "" where they are.
    """

    recipe: str
    task: str
    size: tuple[int, int]
    inputs: tuple[str, ...]
    optional: tuple[str, ...]
    batch_size: int
    modes: tuple[str, ...]
    mode: str
    fingerprint: str
    weights: Mapping[str, str]
    digests: Mapping[str, str]
    licences: Mapping[str, str]
    waiting: int = 0
    running: int = 0
    batch_seconds: Mapping[int, float] = field(default_factory=dict)
    refused: str = ""
    is_asleep: bool = False
    is_starting: bool = False
    away: str = ""
