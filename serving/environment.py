"""What Ray is to find in its environment for a service: to be set before it starts, and so before its processes do."""

from __future__ import annotations

import os
from collections.abc import Mapping

PROXY_CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
AUTH_MODE = "RAY_AUTH_MODE"

ENVIRONMENT: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    PROXY_CALLBACK: "serving.proxy:middlewares",
    # A busy machine takes longer than Serve's 5 s to start a process: it would kill its proxy for that.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "40",
    # How old what the autoscaler goes by may be, and part of what a first request waits for; 10 is Serve's own.
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    # In milliseconds, those of `serving.metrics`: Serve's own begin at 1 and have none between 5 s and a minute.
    "RAY_SERVE_REQUEST_LATENCY_BUCKETS_MS": "10,30,100,300,500,1000,2000,5000,10000,20000,30000,60000,120000",
    # Asked directly, a replica answers some 3 ms sooner than through the queue of an actor's calls.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # gRPC's own 4 MiB is less than a request with its pictures; what a request may have is limited before.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": "2147483647",
    # Behind HAProxy an ingress that stops stays for a balancer outside to notice; HAProxy itself hears of it at once.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
    # Ray's own 15 puts a request behind everything else that the computer does: 26 s instead of 2 beside a training.
    "RAY_worker_niceness": "0",
}
"""Where the caller has not said otherwise. On a cluster they belong into the environment of `ray start`."""


def set_defaults() -> None:
    """Sets what is not set yet, `RAY_AUTH_MODE` left out: Ray reads that once, when it is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
