"""A person, the map of their regions and a sentence about them, as HumanDiffusion is trained on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.networks_text import ngram_ids
from atelier.models.human_diffusion.phrases import parse
from atelier.models.human_diffusion.tokens import phrases_of
from training.data.dataset import Columns, Sample

_QUOTES = '"“'
_LETTERS = 320
"""Of a phrase: CLIP reads 77 tokens, which are fewer words."""


@dataclass(frozen=True, kw_only=True)
class DescribedColumns(Columns):
    """`person` uint8 RGB, `pose_map` uint8 label ids, `words`, `said` bool [25] and `item`.

    `words` are ids of the small text encoder, int16 [25, words, grams]; for CLIP, whose tokenizer is a file of the
    user's own that the step has, they are the phrases' letters: UTF-8, uint8 [25, 320], zeros behind. `item` is the
    item id as a number, so that a memory can pass over it.

    Args:
        model: whose text encoder the words are for.
        mirror: show every other sample as a mirror would, but for those with a printed word.
        halvings: of both sides, of picture and map: what is to be learned first is learned on small pictures.
    """

    model: HumanDiffusionConfig
    mirror: bool = True
    halvings: int = 0

    reads = ("person", "parse", "caption", "item_id")

    @property
    def changes(self) -> tuple[str, ...]:
        return ("person", "parse") if self.mirror else ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        person, pose_map, caption = sample["person"], sample["parse"], str(sample["caption"])
        turned = rng.random() < 0.5
        if self.mirror and turned and not any(quote in caption for quote in _QUOTES):
            person, pose_map = person[:, ::-1], pose_map[:, ::-1]
        for _ in range(self.halvings):
            person, pose_map = _halved(person), pose_map[::2, ::2]
        phrases = phrases_of(parse(caption))
        return {
            "person": np.ascontiguousarray(person),
            "pose_map": np.ascontiguousarray(pose_map),
            "words": letters(phrases) if self.model.encoder == "clip" else self._ids(phrases),
            "said": np.array([bool(phrase) for phrase in phrases]),
            "item": np.array(item_number(str(sample["item_id"])), dtype=np.int64),
        }

    def _ids(self, phrases: Sequence[str]) -> np.ndarray:
        ids = ngram_ids(phrases, max_words=self.model.max_words, num_buckets=self.model.num_buckets)
        return ids.numpy().astype(np.int16)


def letters(phrases: Sequence[str]) -> np.ndarray:
    """Phrases as UTF-8, uint8 [phrases, 320], cut at a whole letter and filled up with zeros."""
    rows = np.zeros((len(phrases), _LETTERS), np.uint8)
    for row, phrase in zip(rows, phrases, strict=True):
        told = np.frombuffer(phrase.encode()[:_LETTERS].decode(errors="ignore").encode(), np.uint8)
        row[: len(told)] = told
    return rows


def phrases_from(letters: np.ndarray) -> list[str]:
    """The phrases that `letters` wrote, uint8 [..., 320] row by row."""
    return [bytes(row).rstrip(b"\0").decode() for row in letters.reshape(-1, letters.shape[-1])]


def _halved(person: np.ndarray) -> np.ndarray:
    """The mean of each 2x2 pixels."""
    height, width = person.shape[0] // 2, person.shape[1] // 2
    mean = person[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
    return np.rint(mean).astype(np.uint8)


def item_number(item_id: str) -> int:
    """An item id as a number in [0, 2**63)."""
    return int.from_bytes(hashlib.sha256(item_id.encode()).digest()[:8], "big") >> 1
