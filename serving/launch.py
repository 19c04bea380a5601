"""A service on this computer: Ray with token auth, its dashboard on loopback, Serve on the address that was asked."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from atelier.errors import ConfigError
from atelier.joining import keep_token_private
from serving import environment
from serving.database_url import export_password
from serving.declared import Declared, resolved
from serving.settings import ServeSettings

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.2
_ANSWERS_WITHIN_S = 10.0
"""An ingress that is asked how much it has in hand."""
_LAST_WORDS_S = 3.0
"""For telling those who wait when the time for it is up."""
_SPARE_CPUS = 2
"""Logical CPUs for Serve's own actors, beside the models'."""


def run(settings: ServeSettings, *, host: str, port: int, with_dashboard: bool = True) -> None:
    """Serves until SIGINT or SIGTERM, then lets what has begun finish.

    Args:
        with_dashboard: start Ray's dashboard, on loopback and behind Ray's token, through which `python -m serving
            apply` and `serve deploy` give other weights.

    Raises:
        ConfigError: without keys, on an address that others reach.
        KeyboardInterrupt: a signal came before the service was up.
        NotDeployed: Serve could not bring it about.
    """
    check_address(settings, host)
    sys.stdout.write(f"Starts Ray, and warms up {', '.join(model.recipe for model in settings.models)}\n")
    sys.stdout.flush()
    is_up, stopped, hurried = threading.Event(), threading.Event(), threading.Event()

    def told(_number: int, _frame: object) -> None:
        if not is_up.is_set():
            raise KeyboardInterrupt  # nobody has been told of it yet
        (hurried if stopped.is_set() else stopped).set()

    def listen() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, told)

    try:
        dashboard = start_empty(settings, host=host, port=port, with_dashboard=with_dashboard, once_ray_is_up=listen)
        _deploy(settings, dashboard)
        is_up.set()
        sys.stdout.write(f"Atelier serves at http://{host}:{port}/ (Ctrl-C ends it)\n")
        if dashboard:
            sys.stdout.write(f"Other weights: python -m serving apply FILE --dashboard {dashboard}\n")
        sys.stdout.flush()
        stopped.wait()
        sys.stdout.write(f"Lets what has begun end, for {settings.drain_s:g} s at most (Ctrl-C again ends it now)\n")
        sys.stdout.flush()
        drain(settings.drain_s, hurried)
    except KeyboardInterrupt:
        # The first models answer while others warm up: nobody was told of it, but may have asked.
        drain(settings.drain_s, hurried, is_up=False)
        raise
    finally:
        stop()


def start(settings: ServeSettings, *, host: str, port: int) -> None:
    """Starts Ray and the service, and returns when every model is warm.

    Raises:
        ConfigError: without keys, on an address that others reach.
    """
    start_empty(settings, host=host, port=port)
    _deploy(settings, "")


def start_empty(
    settings: ServeSettings,
    *,
    host: str,
    port: int,
    with_dashboard: bool = False,
    once_ray_is_up: Callable[[], None] = lambda: None,
) -> str:
    """Starts Ray with room for a service, and Serve without it; gives the dashboard's address, or `""`.

    Args:
        once_ray_is_up: called once Ray has set its own handlers of signals, before Serve starts.

    Raises:
        ConfigError: without keys, on an address that others reach; more GPUs wanted than there are; or Ray was imported
            too early to be told of tokens.
    """
    check_address(settings, host)
    if "ray" in sys.modules and environment.AUTH_MODE not in os.environ:
        raise ConfigError(
            "Ray was imported before RAY_AUTH_MODE was set, and reads it only then; set it to `token` first"
        )
    environment.set_defaults()
    os.environ.setdefault(environment.AUTH_MODE, "token")
    keep_token_private()
    export_password(settings.database)
    # Only now: Ray reads its authentication mode once, when it is imported.
    import ray
    from ray import serve

    cpus = sum(model.num_cpus * model.most_replicas for model in settings.models) + _SPARE_CPUS
    context = ray.init(
        address="local",
        num_cpus=int(cpus + 0.999),
        include_dashboard=with_dashboard,
        dashboard_host="127.0.0.1",
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    once_ray_is_up()
    check_gpus(settings, ray.cluster_resources().get("GPU", 0.0))
    _hush()
    serve.start(http_options={"host": host, "port": port})
    return f"http://{context.dashboard_url}" if with_dashboard else ""


def _deploy(settings: ServeSettings, dashboard: str) -> None:
    if dashboard:
        Declared(dashboard).deploy(settings)
        return
    from ray import serve

    from serving.app import build_app

    serve.run(build_app(resolved(settings)))


def drain(most_s: float, hurried: threading.Event, *, is_up: bool = True) -> None:
    """Lets no new work in, and returns when what has begun has ended, `most_s` have passed or somebody is in a hurry.

    Serve would end its proxy first, and with it whoever waits for an answer. Who waits still when `most_s` have passed
    is told so.

    Args:
        is_up: False where there may be no service yet, and so nothing to wait for.
    """
    import ray
    from ray import serve
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    def in_hand(method: str) -> bool:
        try:
            return any(serve.get_app_handle("default").broadcast(method).results(timeout_s=_ANSWERS_WITHIN_S))
        except (RayError, RayServeException, TimeoutError) as error:
            if is_up:
                # An ingress that is being replaced has nothing in hand, and its successor is asked next.
                _LOG.warning("an ingress could not be asked whether it is done: %s", type(error).__name__)
            return is_up

    if not ray.is_initialized():
        return
    for method, seconds in (("close", most_s), ("give_up", _LAST_WORDS_S)):
        until_s = time.monotonic() + seconds
        while not hurried.is_set() and time.monotonic() < until_s:
            if not in_hand(method):
                return
            hurried.wait(_LOOK_EVERY_S)


def stop() -> None:
    """Ends Serve and Ray, where they were started."""
    import ray
    from ray import serve

    if not ray.is_initialized():
        return
    _hush()
    # Serve's controller ends itself while it is asked to, and Ray prints that in red, as a call that failed.
    with contextlib.redirect_stdout(io.StringIO()):
        serve.shutdown()
        ray.shutdown()


def _hush() -> None:
    """Serve tells whoever looks on of its clients and their ends, and of a service that never began."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)


def check_gpus(settings: ServeSettings, there: float) -> None:
    """Refuses models that would wait for a GPU for ever.

    Args:
        there: GPUs of this computer.

    Raises:
        ConfigError: the replicas that the models begin with want more.
    """
    wanted = sum(model.num_gpus * model.first_replicas for model in settings.models)
    if wanted > there:
        by_name = ", ".join(f"{one.recipe} {one.num_gpus * one.first_replicas:g}" for one in settings.models)
        raise ConfigError(f"num_gpus: models begin with {wanted:g} GPUs ({by_name}); this computer has {there:g}")


def check_port(host: str, port: int) -> None:
    """Refuses a port that somebody listens on; asked before Ray starts, which takes long.

    Raises:
        ConfigError: it is taken, or not this user's to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a service that has just ended is none
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"{host}:{port}: {error.strerror}; end what listens there, or name another port"
            ) from error


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
