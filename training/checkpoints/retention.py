"""Which checkpoints stay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from atelier.errors import ConfigError
from training.checkpoints.info import CheckpointInfo

_LOWER_IS_BETTER = ("ciede2000", "lpips", "fid", "kid", "drift", "misaligned", "failed")
"""How the names of those metrics end that a larger value of is worse."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The newest few, and the best few by a metric.

    Args:
        num_last: newest to keep, at least 1.
        num_best: best to keep besides.
        metric: by which they are judged; a checkpoint without it is none of the best.
        higher_is_better: whether a larger value is the better one; None tells it by the metric's name.

    Raises:
        ConfigError: nothing would be kept, or the best of an unnamed metric.
    """

    num_last: int = 3
    num_best: int = 0
    metric: str | None = None
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        if self.num_last < 1 or self.num_best < 0:
            raise ConfigError(
                f"retention: num_last must be at least 1 and num_best at least 0, are {self.num_last}, {self.num_best}"
            )
        if self.num_best and self.metric is None:
            raise ConfigError(f"retention: num_best is {self.num_best}, so metric must name what they are judged by")

    def refuse_unknown(self, metrics: Collection[str]) -> None:
        """Holds the metric against those that a validation gives.

        Raises:
            ConfigError: it is none of them, so that no checkpoint would ever be one of the best.
        """
        if self.num_best and self.metric not in metrics:
            raise ConfigError(f"keep: metric: is {self.metric!r}, must be one of the validation's: {sorted(metrics)}")

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
        name = self.metric or ""
        is_higher = self.higher_is_better
        if is_higher is None:
            is_higher = not name.endswith(_LOWER_IS_BETTER)
        return info.metrics[name] if is_higher else -info.metrics[name]
