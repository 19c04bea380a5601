"""The Ray that a run uses: the one it stands in, the one at `RAY_ADDRESS`, else one of its own on this computer."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import ray.data
import torch

from atelier.errors import AtelierError
from atelier.joining import joining, keep_token_private, stderr_held_back
from pipelines.job import CatalogJob
from pipelines.placement import READING_CPUS, Machine, Placement, place
from pipelines.plan import Partition

_FEWEST_LOCAL_CPUS = 4
"""Logical CPUs of a local Ray; with two, Ray Data's tasks and the pools' workers wait for each other for ever."""


@contextmanager
def connected(
    job: CatalogJob, partitions: Sequence[Partition], opened: Callable[[str], None] = lambda url: None
) -> Iterator[tuple[list[Placement], Machine]]:
    """Ray ready for a job: a placement that fits for each partition, and what there is to place on.

    A Ray that was started here ends here.

    A cluster's nodes need this very code: from the image, or from the `working_dir` of `ray job submit`.

    Args:
        opened: hears where the dashboard is, if the job wants one and Ray is started here.

    Raises:
        ConfigError: a partition's pools don't fit, found before anything starts where Ray would be local; or the
            cluster can't be joined.
        AtelierError: a local Ray did not start in time.
    """
    if ray.is_initialized():
        machine = _cluster()
        yield _placements(job, partitions, machine), machine
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's C++ side writes to the driver's stderr what every actor pool of Ray Data brings about and nobody can mend.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    _quiet_ray_data()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address := os.environ.get("RAY_ADDRESS"):
        with joining(address):
            ray.init(**quiet)
        machine = _cluster()
        placements = _placements(job, partitions, machine)
    else:
        here = _this_computer(job)
        placements = [place(part.recipe, job, here, num_units=part.num_units) for part in partitions]
        cpus = job.num_cpus or max(_FEWEST_LOCAL_CPUS, *(placement.num_cpus for placement in placements))
        machine = Machine(num_cpus=cpus, num_gpus=here.num_gpus)
        for placement in placements:
            placement.check(machine)
        with stderr_held_back():
            context = _started(num_cpus=cpus, include_dashboard=job.dashboard, **quiet)
        if job.dashboard:
            opened(f"http://{context.dashboard_url}/")
    try:
        yield placements, machine
    finally:
        ray.shutdown()


def _started(**how: Any) -> Any:
    """A Ray of this computer, for this process alone."""
    keep_token_private()
    try:
        return ray.init(address="local", **how)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        load, cores = os.getloadavg()[0], os.cpu_count()
        raise AtelierError(
            f"Ray did not start here within its own 30 s; {load:.1f} processes wait for {cores} cores: "
            "try again when this computer is less busy, or name a cluster by RAY_ADDRESS"
        ) from error


def _quiet_ray_data() -> None:
    """Keeps what Ray Data says in its session's file; what of it matters to a person, the outcomes say.

    Its own handler for the console alone: one that somebody else put there stays as it is.
    """
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler) and type(handler).__module__.startswith("ray."):
            handler.setLevel(logging.CRITICAL)


def _placements(job: CatalogJob, partitions: Sequence[Partition], there: Machine) -> list[Placement]:
    placements = [place(part.recipe, job, there, num_units=part.num_units) for part in partitions]
    for placement in placements:
        placement.check(there)
    return placements


def _cluster() -> Machine:
    resources = ray.cluster_resources()
    return Machine(num_cpus=int(resources.get("CPU", 0)), num_gpus=int(resources.get("GPU", 0)))


def _this_computer(job: CatalogJob) -> Machine:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(num_cpus=job.num_cpus or cores + READING_CPUS, num_gpus=torch.cuda.device_count())
