"""Which checkpoints stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atelier.errors import ConfigError
from training.checkpoints.info import CheckpointInfo


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The newest few, and the best few by a metric.

    Args:
        num_last: newest to keep, at least 1.
        num_best: best to keep besides.
        metric: by which they are judged; a checkpoint without it is none of the best.
        higher_is_better: whether a larger value is the better one.

    Raises:
        ConfigError: nothing would be kept, or the best of an unnamed metric.
    """

    num_last: int = 3
    num_best: int = 0
    metric: str | None = None
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if self.num_last < 1 or self.num_best < 0:
            raise ConfigError(
                f"retention: num_last must be at least 1 and num_best at least 0, are {self.num_last}, {self.num_best}"
            )
        if self.num_best and self.metric is None:
            raise ConfigError(f"retention: num_best is {self.num_best}, so metric must name what they are judged by")

    def kept(self, infos: Sequence[CheckpointInfo]) -> list[CheckpointInfo]:
        """Those of `infos` that stay, by step."""
        by_step = sorted(infos, key=lambda info: info.num_steps_done)
        stay = {info.num_steps_done for info in by_step[-self.num_last :]}
        if self.metric is not None and self.num_best:
            judged = [info for info in by_step if info.metrics.get(self.metric) is not None]
            # Of equals the later one is the better: it has seen more.
            judged.sort(key=lambda info: (self._score(info), info.num_steps_done), reverse=True)
            stay |= {info.num_steps_done for info in judged[: self.num_best]}
        return [info for info in by_step if info.num_steps_done in stay]

    def _score(self, info: CheckpointInfo) -> float:
        value = info.metrics[self.metric or ""]
        return value if self.higher_is_better else -value
