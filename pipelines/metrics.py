"""What Prometheus may scrape of a run, through Ray's own exporter."""

from __future__ import annotations

from collections.abc import Sequence

from ray.util.metrics import Counter, Histogram

from atelier.rows import Outcome

_SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]


class RunMetrics:
    """`catalog_items_total{task,status,code}` and `catalog_stage_seconds{stage}` (seconds a row)."""

    def __init__(self) -> None:
        self._items = Counter(
            "catalog_items_total", description="Units that ended", tag_keys=("task", "status", "code")
        )
        self._seconds = Histogram(
            "catalog_stage_seconds", description="Seconds a row", boundaries=_SECONDS, tag_keys=("stage",)
        )

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes in."""
        for outcome in outcomes:
            self._items.inc(tags={"task": outcome.task, "status": outcome.status, "code": outcome.code or "none"})
            for stage, seconds in outcome.seconds.items():
                self._seconds.observe(seconds, tags={"stage": stage})
