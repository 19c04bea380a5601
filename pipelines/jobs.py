"""The jobs by name: Python functions; a variant of one is a function that changes two fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from atelier import recipes
from atelier.errors import ConfigError
from pipelines.job import CatalogJob

_SHIPPED_WORDS = "human_diffusion_closet"


def closet(
    *,
    viton_hd: str = "viton_hd_closet",
    truepose: str = "truepose_closet",
    pidm: str = "pidm_closet",
    human_diffusion: str = _SHIPPED_WORDS,
    memory: str = "",
    parser: str = "parser_closet",
    pose: str = "pose_closet",
) -> CatalogJob:
    """Every task by the small weights that come with Atelier; try-on at 256x192, the others at 128x96.

    Args:
        viton_hd, truepose, pidm, human_diffusion: shipped names, or folders that `python -m training export` wrote; a
            system without weights, as in `--weights pidm=`, is not in the job. Rows in another pose that name no
            `model` are TruePose's.
        memory: HumanDiffusion's, built with those very weights. The shipped one goes with the shipped weights; others
            without one are told of by words alone.
        parser, pose: shipped names or folders of others, for rows that bring no parse or keypoints.
    """
    made = []
    if viton_hd:
        made.append(recipes.viton_hd_closet(weights=viton_hd, parser=parser, pose=pose))
    if truepose:
        made.append(recipes.truepose_closet(weights=truepose, parser=parser, pose=pose))
    if pidm:
        made.append(recipes.pidm_closet(weights=pidm, parser=parser, pose=pose))
    if human_diffusion == _SHIPPED_WORDS and not memory:
        made.append(recipes.human_diffusion_closet())
    elif human_diffusion:
        made.append(recipes.human_diffusion_closet(weights=human_diffusion, memory=memory or None))
    if not made:
        raise ConfigError("job 'closet': makes nothing; must have --weights of a system")
    return CatalogJob(name="closet", recipes=tuple(made))


def published(
    *,
    viton_hd: str = "",
    pidm: str = "",
    truepose: str = "",
    human_diffusion: str = "",
    memory: str = "",
    clip: str = "",
    vae: str = "",
    parser: str = "",
    pose: str = "",
) -> CatalogJob:
    """The tasks whose weights are given, at the papers' sizes.

    Args:
        viton_hd, pidm: folders that `python -m atelier convert` wrote.
        truepose, human_diffusion: folders of your own training, since nobody has published any.
        memory, clip, vae: of HumanDiffusion and TruePose, where their folders do not hold them.
        parser, pose: shipped names or folders, for rows that bring no parse or keypoints; only sentences need neither.

    Raises:
        ConfigError: weights of no system, or no parser or pose for one that shows a person's picture to them.
    """
    made = []
    seen = {"viton_hd": viton_hd, "pidm": pidm, "truepose": truepose}
    lacking = [name for name, given in {"parser": parser, "pose": pose}.items() if not given]
    if lacking and any(seen.values()):
        systems = ", ".join(name for name, given in seen.items() if given)
        wanted = " ".join(f"--weights {name}=FOLDER" for name in lacking)
        raise ConfigError(
            f"job 'published': {systems} must have {wanted}, to read what rows do not bring; shipped names work too"
        )
    if viton_hd:
        made.append(recipes.viton_hd(weights=viton_hd, parser=parser, pose=pose))
    if pidm:
        made.append(recipes.pidm(weights=pidm, parser=parser, pose=pose))
    if truepose:
        made.append(recipes.truepose(weights=truepose, clip=clip or None, parser=parser, pose=pose))
    if human_diffusion:
        told = recipes.human_diffusion(
            weights=human_diffusion, memory=memory or None, clip=clip or None, vae=vae or None
        )
        made.append(told)
    if not made:
        raise ConfigError("job 'published': makes nothing; give --weights of a system, e.g. viton_hd=FOLDER")
    return CatalogJob(name="published", recipes=tuple(made))


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
    if unknown := sorted(set(weights) - set(taken)):
        raise ConfigError(f"job {name!r}: takes no weights {', '.join(unknown)}; it takes {', '.join(taken)}")
    job = JOBS[name](**weights)
    for recipe in job.recipes:
        recipe.check()
    return job
