"""What turns words and crops into vectors of one space: the small encoders, or CLIP's, behind one signature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from atelier.models.human_diffusion import lexicon
from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.crops import Crop, CropMask
from atelier.models.human_diffusion.networks_crops import CropEncoder
from atelier.models.human_diffusion.networks_text import NgramTextEncoder
from atelier.models.human_diffusion.phrases import words_of

Keys = Float[Tensor, "items key_width"]
"""Unit vectors of the space that words and crops share."""
Values = Float[Tensor, "items num_values value_width"]
"""What a crop is remembered by, as tokens."""


class Encoders(nn.Module, ABC):
    """Words and crops as unit vectors of one space, and crops as tokens."""

    @abstractmethod
    def tokenize(self, phrases: Sequence[str]) -> Int[Tensor, "phrases ..."]:
        """Ids of each phrase, on the CPU, all of one shape."""

    @abstractmethod
    def read(self, ids: Int[Tensor, "phrases ..."]) -> Keys:
        """Phrases' keys, from `tokenize`'s ids."""

    @abstractmethod
    def see(self, crops: Crop, masks: CropMask) -> tuple[Keys, Values]:
        """Crops' keys and values."""

    def unseen(self, phrase: str) -> tuple[str, ...]:
        """The words of a phrase that training never showed, as far as the weights tell."""
        return ()


class SmallEncoders(Encoders):
    """The closet model's own: hashed character n-grams for words, a short convolutional network for crops."""

    def __init__(self, config: HumanDiffusionConfig) -> None:
        super().__init__()
        self.known_words = frozenset(config.known_words)
        self.words = NgramTextEncoder(config)
        self.crops = CropEncoder(config)

    def tokenize(self, phrases: Sequence[str]) -> Int[Tensor, "phrases ..."]:
        return self.words.tokenize(phrases)

    def read(self, ids: Int[Tensor, "phrases ..."]) -> Keys:
        return self.words(ids)

    def see(self, crops: Crop, masks: CropMask) -> tuple[Keys, Values]:
        return self.crops(crops, masks)

    def unseen(self, phrase: str) -> tuple[str, ...]:
        if not self.known_words:
            return ()
        words = [word for word in words_of(phrase) if not lexicon.is_quoted(word)]
        return tuple(word for word in words if word.lower() not in self.known_words | lexicon.FILLERS)
