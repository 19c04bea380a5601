"""What the denoiser is told of a person: words by region and what the memory holds for them, computed once a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from atelier.models.human_diffusion.encoders import Encoders
from atelier.models.human_diffusion.phrases import Description
from atelier.models.human_diffusion.regions import NUM_REGIONS, REGIONS

NUM_PHRASES = NUM_REGIONS + 1
"""One a region by label id, and the person's."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Descriptions as ids, for a training step to carry in its batch."""

    ids: Int[Tensor, "batch phrases ..."]
    said: Bool[Tensor, "batch phrases"]
    """False where nothing is said of a region."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Features of the words and of the crops retrieved for them, as the encoders gave them: nothing in it is learned
    with the denoiser. Rows are independent.

    Args:
        text: of each region's phrase and, last, of the person's; unit vectors.
        said: which of them say anything.
        style: what retrieval adds to a region's words (SMR): similar crops' keys, weighted.
        remembered: regions that the memory holds something for.
        values: the retrieved crops' tokens, the most similar crop's first.
        log_weights: of each of these, the logarithm of its crop's weight; -inf where there is none.
    """

    text: Float[Tensor, "batch phrases key_width"]
    said: Bool[Tensor, "batch phrases"]
    style: Float[Tensor, "batch regions key_width"]
    remembered: Bool[Tensor, "batch regions"]
    values: Float[Tensor, "batch regions retrieved value_width"]
    log_weights: Float[Tensor, "batch regions retrieved"]

    def without(
        self, *, text: Bool[Tensor, " batch"] | bool = False, memory: Bool[Tensor, " batch"] | bool = False
    ) -> Tokens:
        """The same with the text, the memory or both dropped, in all rows or in some: classifier-free training."""
        no_text, no_memory = (
            torch.as_tensor(dropped, device=self.said.device).expand(len(self.said)) for dropped in (text, memory)
        )
        return dataclasses.replace(
            self,
            said=self.said & ~no_text[:, None],
            remembered=self.remembered & ~no_memory[:, None],
            log_weights=self.log_weights.masked_fill(no_memory[:, None, None], float("-inf")),
        )

    def to(self, device: torch.device | str) -> Tokens:
        """The same on a device."""
        return Tokens(**{field.name: getattr(self, field.name).to(device) for field in dataclasses.fields(self)})


def phrases_of(description: Description) -> list[str]:
    """Its phrases in the tokens' order: by label id, the person's last; empty where nothing is said."""
    return [*(description.phrases.get(region, "") for region in REGIONS), description.person]


def words(encoders: Encoders, descriptions: Sequence[Description]) -> Words:
    """Descriptions as ids, on the CPU."""
    phrases = [phrase for description in descriptions for phrase in phrases_of(description)]
    ids = encoders.tokenize(phrases)
    said = torch.tensor([bool(phrase) for phrase in phrases]).view(-1, NUM_PHRASES)
    return Words(ids=ids.view(len(descriptions), NUM_PHRASES, *ids.shape[1:]), said=said)


def read(encoders: Encoders, words: Words) -> Float[Tensor, "batch phrases key_width"]:
    """The phrases' keys; phrases that say nothing are not read, and are zeros."""
    device = next(encoders.parameters()).device
    ids, said = words.ids.to(device), words.said.to(device)
    num_said = int(said.sum())
    keys = encoders.read(ids[said] if num_said else ids[0, :1])  # CLIP reads no empty batch
    features = keys.new_zeros(*said.shape, keys.shape[-1])
    features[said] = keys[:num_said]
    return features
