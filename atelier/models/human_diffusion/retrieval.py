"""SMR, stylized memory retrieval: what a catalog's crops look like where they fit a region's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.human_diffusion.regions import NUM_REGIONS


@runtime_checkable
class StyleMemory(Protocol):
    """A memory of crops, as `atelier.memory` reads it from its folder."""

    @property
    def encoders_digest(self) -> str:
        """Of the encoders that made its vectors."""
        ...

    @property
    def image_keys(self) -> Float[Tensor, "rows key_width"]:
        """Of the crops' pictures."""
        ...

    @property
    def values(self) -> Float[Tensor, "rows num_values value_width"]:
        """The crops' tokens."""
        ...

    def search(
        self,
        queries: Float[Tensor, "queries key_width"],
        regions: Sequence[int],
        top_k: int,
        *,
        image_share: float,
        excluded: Sequence[str] | None,
    ) -> tuple[Int[Tensor, "queries top_k"], Float[Tensor, "queries top_k"]]:
        """(rows, similarities), falling; row -1 where a region has fewer; `excluded` is one item id a query."""
        ...


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """By region; see `Tokens` for what each is."""

    style: Float[Tensor, "batch regions key_width"]
    remembered: Bool[Tensor, "batch regions"]
    values: Float[Tensor, "batch regions retrieved value_width"]
    log_weights: Float[Tensor, "batch regions retrieved"]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How a memory is asked.

    Args:
        top_k: crops a region.
        temperature: of the softmax over their similarities.
        image_share: of the picture's key in a similarity; the rest is the words' key.
    """

    top_k: int
    temperature: float
    image_share: float

    def __call__(
        self,
        memory: StyleMemory,
        text: Float[Tensor, "batch regions key_width"],
        said: Bool[Tensor, "batch regions"],
        excluded: Sequence[str] | None = None,
    ) -> Retrieved:
        """What the memory holds for each region that something is said of.

        Args:
            text: the regions' phrases, unit vectors.
            excluded: an item id a row, whose own crops are not retrieved: in training the answer would be among them.

        Raises:
            ConfigError: `excluded` is not one id a row.
        """
        if excluded is not None and len(excluded) != len(text):
            raise ConfigError(f"excluded: {len(excluded)} item ids for a batch of {len(text)}; give one a row")
        where = said.nonzero()
        places = where.tolist()
        rows, scores = memory.search(
            text[said],
            [region for _, region in places],
            self.top_k,
            image_share=self.image_share,
            excluded=None if excluded is None else [excluded[int(row)] for row, _ in places],
        )
        rows, scores = rows.to(text.device), scores.to(text)
        found = rows >= 0
        log_weights = F.log_softmax((scores / self.temperature).masked_fill(~found, float("-inf")), dim=1)
        log_weights = log_weights.masked_fill(~found, float("-inf"))  # a softmax over nothing is no number
        taken = rows.clamp(min=0).to(memory.values.device)
        keys, values = memory.image_keys[taken].to(text), memory.values[taken].to(text)
        num_values = values.shape[2]
        retrieved = nothing(text, self.top_k * num_values, values.shape[3])
        retrieved.style[said] = (log_weights.exp()[:, :, None] * keys).sum(1)
        retrieved.remembered[said] = found.any(1)
        retrieved.values[said] = (values * found[:, :, None, None]).flatten(1, 2)
        retrieved.log_weights[said] = log_weights.repeat_interleave(num_values, 1)
        return retrieved


def nothing(text: Float[Tensor, "batch regions key_width"], num_retrieved: int, value_width: int) -> Retrieved:
    """What is retrieved without a memory."""
    batch = len(text)
    return Retrieved(
        style=torch.zeros_like(text),
        remembered=torch.zeros(batch, NUM_REGIONS, dtype=torch.bool, device=text.device),
        values=text.new_zeros(batch, NUM_REGIONS, num_retrieved, value_width),
        log_weights=text.new_full((batch, NUM_REGIONS, num_retrieved), float("-inf")),
    )
