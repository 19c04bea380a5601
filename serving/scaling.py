"""How many replicas a model should have: as many as leave each so many seconds of work, by what batches have taken.

Ray Serve's own policy counts requests, which says little where one takes 0.1 s and another 20. It carries this module's
policy to its controller by value, so that nothing else of the service is imported here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

QUEUED_S = "queued_s"
"""What a replica tells: seconds until all that it has taken in would be made."""


class QueuedSeconds:
    """The policy of one model. Ray Serve adds bounds, delays, and the start from zero at the first request.

    Args:
        replica_s: seconds of queued work that a replica should have.
    """

    def __init__(self, *, replica_s: float) -> None:
        self._replica_s = replica_s

    def __call__(self, context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        by_replica = (context.aggregated_metrics or {}).get(QUEUED_S, {})
        wanted = replicas_for(
            work_s=sum(by_replica.values()),
            num_requests=context.total_num_requests,
            num_outside=context.total_queued_requests or 0.0,
            replica_s=self._replica_s,
        )
        return float(wanted), {}


def replicas_for(*, work_s: float, num_requests: float, num_outside: float, replica_s: float) -> int:
    """How many replicas some work wants.

    Args:
        work_s: seconds of what replicas have taken in, all together.
        num_requests: under way, wherever they are. num_outside: of these, those that no replica has room for: each is
            taken to be as long as those inside.
        replica_s: seconds of queued work that a replica should have.
    """
    if num_requests <= 0 and work_s <= 0:
        return 0
    inside = max(1.0, num_requests - num_outside)
    return max(1, math.ceil(work_s * (1 + num_outside / inside) / replica_s))
