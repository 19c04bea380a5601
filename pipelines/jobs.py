"""The jobs by name: Python functions; a variant of one is a function that changes two fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from atelier import recipes
from atelier.errors import ConfigError
from pipelines.job import CatalogJob


def closet(
    *, viton_hd: str = "viton_hd_closet", parser: str = "parser_closet", pose: str = "pose_closet"
) -> CatalogJob:
    """Every task, made by the small weights that come with Atelier, or by one's own in their place.

    Args:
        viton_hd: shipped name, or a folder that `python -m training export` wrote.
        parser, pose: shipped names or folders of others, for rows that bring no parse or keypoints.
    """
    return CatalogJob(name="closet", recipes=(recipes.viton_hd_closet(weights=viton_hd, parser=parser, pose=pose),))


def published(*, viton_hd: str, parser: str, pose: str) -> CatalogJob:
    """Every task, made by published weights.

    Args:
        viton_hd: folder that `python -m atelier convert viton_hd` wrote.
        parser, pose: shipped names or folders, for rows that bring no parse or keypoints.
    """
    return CatalogJob(
        name="published",
        recipes=(recipes.viton_hd(weights=viton_hd, parser=parser, pose=pose),),
    )


JOBS: Mapping[str, Callable[..., CatalogJob]] = {"closet": closet, "published": published}


def named(name: str, **weights: str) -> CatalogJob:
    """The job of a name.

    Args:
        weights: what the job's function takes.

    Raises:
        ConfigError: no such job, weights that it doesn't take or lacks, or weights of another model.
        WeightsError: a name or folder without weights.
    """
    if name not in JOBS:
        raise ConfigError(f"job {name!r}: there is none of that name; there are {sorted(JOBS)}")
    taken = inspect.signature(JOBS[name]).parameters
    needed = {one for one, parameter in taken.items() if parameter.default is inspect.Parameter.empty}
    if not needed <= set(weights) <= set(taken):
        wanted = " ".join(f"--weights {one}=FOLDER" if one in needed else f"[--weights {one}=FOLDER]" for one in taken)
        raise ConfigError(f"job {name!r}: was given the weights {sorted(weights)}; must be given {wanted or 'none'}")
    job = JOBS[name](**weights)
    for recipe in job.recipes:
        recipe.check()
    return job
