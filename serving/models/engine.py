"""A recipe, ready in this process, entered after `fetch`: rows are read and encoded one by one, made in batches."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from atelier.errors import ConfigError, RowError
from atelier.images import Frame, encode_picture
from atelier.recipe import Recipe
from atelier.stages.base import ERROR_COLUMNS, Batch, RowStage, Stage, StageConfig
from atelier.stages.chain import StageChain, column, new_batch
from atelier.stages.encode import Encode, EncodeStage, framed
from atelier.stages.watch import Watch
from serving.models import batch_sizes
from serving.models.asked import Ask, Sample

_PREVIEW_QUALITY = 70
"""Of JPEG: two or three kilobytes a picture."""


class Engine:
    """The stages of a recipe in three parts, so that files are read and written while the device computes.

    The device's part always sees `recipe.batch_size` rows, as in the batch plane, so that its bits are the batch
    plane's; unless `sizes` is set to others that were measured. `read` and `encode` may be called from any thread,
    `make` from one at a time.

    Args:
        recipe: ends with `encode`; what comes before it is run as it stands.
        device: where tensors live. num_threads: torch's, in the thread that makes.
        beside: an engine on the same device and of the same weights, as they lie there now: stages of the same settings
            are its own.

    Raises:
        ConfigError: a recipe that doesn't end with `encode`.
        WeightsError: weights that are absent or don't fit.
    """

    def __init__(
        self, recipe: Recipe, *, device: str = "cpu", num_threads: int = 1, beside: Engine | None = None
    ) -> None:
        last = recipe.stages[-1]
        if not isinstance(last, Encode):
            raise ConfigError(f"recipe {recipe.name}: ends with {last.name!r}; a served recipe must end with 'encode'")
        self.recipe = recipe
        self.fingerprint, self.digests = recipe.fingerprint(), dict(recipe.digests())
        self._num_threads, self._encoding = num_threads, last
        on = torch.device(device)
        self._built: dict[StageConfig, Stage] = {}
        for config in recipe.after("fetch").stages[:-1]:
            shared = None if beside is None else beside._built.get(config)
            self._built[config] = shared or config.build(on)
        built = list(self._built.values())
        count = next((i for i, stage in enumerate(built) if not isinstance(stage, RowStage)), len(built))
        self._reading = StageChain(built[:count], batch_size=1)
        self._stages = built[count:]
        self.sizes = batch_sizes.told(recipe.batch_size)
        self._wanted = _read_by(built[count:])
        self._encoder = lru_cache(maxsize=16)(self._build_encoder)
        self._threads_set = threading.local()

    def read(self, ask: Ask, seed: int) -> Batch:
        """One row of the device's part, its files decoded.

        Raises:
            RowError: a file that cannot be used.
        """
        recipe = self.recipe
        # The prompt is an input of the recipe too, but no file.
        given = {name: ask.inputs.get(name, b"") for name in (*recipe.inputs, *recipe.optional) if name != "prompt"}
        columns: dict[str, Any] = {
            "item_id": ["online"],
            "variant": np.zeros(1, np.int32),
            "task": [recipe.task],
            "seed": np.asarray([seed], np.int64),
            "prompt": [ask.prompt],
            **{f"{name}_bytes": column([data]) for name, data in given.items()},
        }
        done = self._reading.run(new_batch(columns), keep=self._wanted)
        _raise_fault(done, 0)
        return done

    def make(self, rows: Sequence[Batch], watch: Watch | None = None) -> list[Batch | RowError]:
        """The device's part over at most `sizes.largest` rows that were read: each with its `image`, or its error.

        Raises:
            SamplingStopped: the watch said so.
        """
        if not hasattr(self._threads_set, "done"):
            # OpenMP keeps the number by thread; pixels repeat bit for bit only at an equal one.
            torch.set_num_threads(self._num_threads)
            self._threads_set.done = True
        batch = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        chain = StageChain(self._stages, batch_size=self.sizes.size_for(len(rows)))
        done = chain.run(batch, keep=("image", "frame", "notes"), watch=watch)
        done["batch_rows"] = np.full(len(rows), chain.batch_size, np.int32)
        return [_row_or_error(done, row) for row in range(len(rows))]

    def encode(self, row: Batch, ask: Ask) -> Sample:
        """The finished file of one row, as the ask wants it.

        Raises:
            ConfigError: a quality that the format has not.
        """
        chain = StageChain([self._encoder(ask.format, ask.quality, ask.size)], batch_size=1)
        done = chain.run(row)
        _raise_fault(done, 0)
        height, width = framed(row["image"][0], Frame.from_vector(row["frame"][0]), ask.size).shape[:2]
        scores = {name.removeprefix("score_"): float(row[name][0]) for name in row if name.startswith("score_")}
        notes = tuple(filter(None, str(row["notes"][0]).splitlines())) if "notes" in row else ()
        return Sample(
            seed=int(row["seed"][0]),
            picture=done["picture"][0],
            sha256=done["picture_sha256"][0],
            shape=(height, width),
            batch_shape=(int(row["batch_rows"][0]), *self.recipe.size),
            scores=scores,
            notes=notes,
        )

    def preview(self, row: Batch, picture: np.ndarray) -> bytes:
        """A JPEG file out of a small picture (uint8 RGB [h, w, 3]) of a row that was read, its padding cut off."""
        frame, scale = Frame.from_vector(row["frame"][0]), picture.shape[0] / self.recipe.size[0]
        sides = {side: round(getattr(frame, side) * scale) for side in ("top", "left", "height", "width")}
        shown = framed(picture, dataclasses.replace(frame, **sides), "working")
        return encode_picture(shown, source_type=self._encoding.source_type, quality=_PREVIEW_QUALITY)

    def seconds(self, row: Batch) -> Mapping[str, float]:
        """Seconds that each stage took for a row that was made."""
        return {name.removeprefix("seconds_"): float(row[name][0]) for name in row if name.startswith("seconds_")}

    def _build_encoder(self, format: Any, quality: Any, size: Any) -> EncodeStage:
        config = dataclasses.replace(self._encoding, format=format, quality=quality, size=size)
        return config.build(torch.device("cpu"))


def _read_by(stages: Sequence[Stage]) -> tuple[str, ...]:
    names = [name for stage in stages for name in (*stage.reads, *stage.optional)]
    return tuple(dict.fromkeys((*names, "image", "frame", "notes")))


def _row_or_error(batch: Batch, row: int) -> Batch | RowError:
    try:
        _raise_fault(batch, row)
    except RowError as error:
        return error
    return {name: values[row : row + 1] for name, values in batch.items()}


def _raise_fault(batch: Batch, row: int) -> None:
    code, stage, detail, rejected = (batch[name][row] for name in ERROR_COLUMNS)
    if code:
        error = RowError(str(code), str(detail), rejected=bool(rejected))
        error.add_note(str(stage))
        raise error
