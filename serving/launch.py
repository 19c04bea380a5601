"""A service on this computer: Ray with token auth, no dashboard, and Serve on the address that was asked."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import sys
import threading
import time

from atelier.errors import ConfigError
from serving.settings import ServeSettings

_LOG = logging.getLogger(__name__)
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serving.proxy:middlewares",
    # A busy machine takes longer than Serve's 5 s to start a process: it would kill its proxy for that.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "40",
    # How old what the autoscaler goes by may be, and part of what a first request waits for; 10 is Serve's own.
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    # Ray's own 15 puts a request behind everything else that the computer does: 26 s instead of 2 beside a training.
    "RAY_worker_niceness": "0",
}
"""Of Ray, where the caller has not said otherwise."""
_LOOK_EVERY_S = 0.2
_SPARE_CPUS = 2
"""Logical CPUs for Serve's own actors, beside the models'."""


def run(settings: ServeSettings, *, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM, then lets what has begun finish.

    Raises:
        ConfigError: without keys, on an address that others reach.
    """
    check_address(settings, host)
    start(settings, host=host, port=port)
    stopped, hurried = threading.Event(), threading.Event()

    def told(_number: int, _frame: object) -> None:
        (hurried if stopped.is_set() else stopped).set()

    for number in (signal.SIGINT, signal.SIGTERM):  # after Ray has set its own
        signal.signal(number, told)
    try:
        sys.stdout.write(f"Atelier serves at http://{host}:{port}/ (Ctrl-C ends it)\n")
        sys.stdout.flush()
        stopped.wait()
        sys.stdout.write(f"Lets what has begun end, for {settings.drain_s:g} s at most (Ctrl-C again ends it now)\n")
        sys.stdout.flush()
        drain(settings.drain_s, hurried)
    finally:
        stop()


def start(settings: ServeSettings, *, host: str, port: int) -> None:
    """Starts Ray and the service, and returns when every model is warm.

    Raises:
        ConfigError: without keys, on an address that others reach.
    """
    start_empty(settings, host=host, port=port)
    from ray import serve

    from serving.app import build_app

    serve.run(build_app(settings))


def start_empty(settings: ServeSettings, *, host: str, port: int) -> None:
    """Starts Ray with room for a service, and Serve without it.

    Raises:
        ConfigError: without keys, on an address that others reach; or Ray was imported too early to be told of tokens.
    """
    check_address(settings, host)
    if "ray" in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        raise ConfigError(
            "Ray was imported before RAY_AUTH_MODE was set, and reads it only then; set it to `token` first"
        )
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Only now: Ray reads its authentication mode once, when it is imported.
    import ray
    from ray import serve

    cpus = sum(model.num_cpus * model.most_replicas for model in settings.models) + _SPARE_CPUS
    ray.init(
        address="local",
        num_cpus=int(cpus + 0.999),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    serve.start(http_options={"host": host, "port": port})


def drain(most_s: float, hurried: threading.Event) -> None:
    """Lets no new work in, and returns when what has begun has ended, `most_s` have passed or somebody is in a hurry.

    Serve would end its proxy first, and with it whoever waits for an answer.
    """
    from ray import serve
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    until_s = time.monotonic() + most_s
    handle = serve.get_app_handle("default")
    while not hurried.is_set() and (left_s := until_s - time.monotonic()) > 0:
        try:
            if not any(handle.broadcast("close").results(timeout_s=left_s)):
                return
        except (RayError, RayServeException, TimeoutError) as error:
            # An ingress that is being replaced has nothing in hand, and its successor is asked next.
            _LOG.warning("an ingress could not be asked whether it is done: %s", type(error).__name__)
        hurried.wait(_LOOK_EVERY_S)


def stop() -> None:
    """Ends Serve and Ray."""
    import ray
    from ray import serve

    serve.shutdown()
    ray.shutdown()


def check_address(settings: ServeSettings, host: str) -> None:
    """Refuses to let everybody in from everywhere.

    Raises:
        ConfigError: without keys, on an address that others reach.
    """
    if not settings.anonymous:
        return
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise ConfigError(f"host is {host!r}; without keys it must be this machine's own, e.g. 127.0.0.1")
