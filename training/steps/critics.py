"""What the critics of a two-player step share."""

from __future__ import annotations

from torch import Tensor

Scores = list[list[Tensor]]
"""What a `MultiscaleDiscriminator` gives: layer outputs per scale, scores last."""


def split_scores(scores: Scores) -> tuple[Scores, Scores]:
    """The outputs on the first and on the second half of a batch: made and true pictures are judged in one pass."""
    halves = [[output.chunk(2) for output in scale] for scale in scores]
    return [[first for first, _ in scale] for scale in halves], [[second for _, second in scale] for scale in halves]
