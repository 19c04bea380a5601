"""A small text encoder that is open to words it never saw: hashed character n-grams and a short transformer."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from atelier.models.human_diffusion import lexicon
from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.phrases import words_of

_GRAMS = (3, 4, 5)
_MAX_GRAMS = 24
"""Of a word; a longer word's further n-grams are left out."""
_NUM_HEADS = 4
_NUM_LAYERS = 2


class NgramTextEncoder(nn.Module):
    """Phrases as unit vectors: a word is the mean of its n-grams' vectors, a phrase what attention makes of its words.

    A word that training never showed shares n-grams with those that it did (`greenish`, `green`), and any combination
    of words is a sequence like any other.
    """

    def __init__(self, config: HumanDiffusionConfig) -> None:
        super().__init__()
        self.max_words, self.num_buckets = config.max_words, config.num_buckets
        width = config.text_width
        self.grams = nn.Embedding(config.num_buckets + 1, width, padding_idx=0)
        self.places = nn.Parameter(torch.randn(config.max_words + 1, width) * 0.02)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(_NUM_LAYERS))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, config.key_width)

    def tokenize(self, phrases: Sequence[str]) -> Int[Tensor, "phrases words grams"]:
        """As `ngram_ids`."""
        return ngram_ids(phrases, max_words=self.max_words, num_buckets=self.num_buckets)

    def forward(self, ids: Int[Tensor, "phrases words grams"]) -> Float[Tensor, "phrases key_width"]:
        """Unit vectors; a phrase without words has one too."""
        there = ids > 0
        words = self.grams(ids).sum(2) / there.sum(2, keepdim=True).clamp(min=1)
        # The first place belongs to the phrase itself, so that none is empty and attention gives no NaN.
        tokens = F.pad(words, (0, 0, 1, 0)) + self.places
        attended = F.pad(there.any(2), (1, 0), value=True)[:, None, None, :]
        for layer in self.layers:
            tokens = layer(tokens, attended)
        return F.normalize(self.project(self.norm(tokens[:, 0])), dim=-1)


class _Layer(nn.Module):
    """Self-attention and a two-layer perceptron, each on normalised tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.to_qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, attended: Tensor) -> Tensor:
        rows, places, width = tokens.shape
        parts = self.to_qkv(self.norms[0](tokens)).view(rows, places, 3, _NUM_HEADS, width // _NUM_HEADS)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=attended)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(rows, places, width))
        return tokens + self.perceptron(self.norms[1](tokens))


def ngram_ids(phrases: Sequence[str], *, max_words: int, num_buckets: int) -> Int[Tensor, "phrases words grams"]:
    """Bucket ids of each word's n-grams, 0 where there is none; empty words ("the", "with") are left out."""
    ids = torch.zeros(len(phrases), max_words, _MAX_GRAMS, dtype=torch.int64)
    for row, phrase in enumerate(phrases):
        words = [word for word in map(str.lower, words_of(phrase)) if word not in lexicon.FILLERS]
        for place, word in enumerate(words[:max_words]):
            buckets = [1 + zlib.crc32(gram.encode()) % num_buckets for gram in _grams(word)[:_MAX_GRAMS]]
            ids[row, place, : len(buckets)] = torch.tensor(buckets)
    return ids


def _grams(word: str) -> list[str]:
    """The word itself, then its character n-grams with its ends marked."""
    marked = f"<{word}>"
    return [marked, *(marked[i : i + size] for size in _GRAMS for i in range(len(marked) - size + 1))]
