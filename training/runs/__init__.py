"""The runs by name: each a function that gives the whole of its settings. A variant changes two fields of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atelier.errors import ConfigError
from training.run import TrainRun
from training.runs.closet import (
    viton_hd_alias_closet,
    viton_hd_matching_closet,
    viton_hd_segmentation_closet,
)
from training.runs.human_diffusion import (
    human_diffusion_512,
    human_diffusion_closet,
    human_diffusion_closet_coarse,
    human_diffusion_closet_settled,
    human_diffusion_closet_whole,
    human_diffusion_closet_without_mca,
    human_diffusion_closet_without_smr,
    human_diffusion_encoders_closet,
)
from training.runs.perception import (
    parser_closet,
    parser_closet_negatives,
    parser_demo,
    pose_closet,
    pose_closet_negatives,
)
from training.runs.pidm import (
    pidm_256,
    pidm_closet,
    pidm_closet_whole,
    pidm_closet_without_guidance,
    pidm_closet_without_textures,
)
from training.runs.truepose import (
    truepose_512,
    truepose_autoencoder_closet,
    truepose_closet,
    truepose_closet_coarse,
    truepose_closet_still,
    truepose_closet_whole,
    truepose_closet_without_caa,
    truepose_closet_without_hpfa,
    truepose_decoder_closet,
)
from training.runs.viton_hd import viton_hd_alias, viton_hd_matching, viton_hd_segmentation

RUNS: Mapping[str, Callable[[], TrainRun]] = {
    run.__name__: run
    for run in (
        viton_hd_segmentation,
        viton_hd_matching,
        viton_hd_alias,
        viton_hd_segmentation_closet,
        viton_hd_matching_closet,
        viton_hd_alias_closet,
        parser_closet,
        parser_closet_negatives,
        parser_demo,
        pose_closet,
        pose_closet_negatives,
        pidm_closet_whole,
        pidm_closet,
        pidm_closet_without_textures,
        pidm_closet_without_guidance,
        pidm_256,
        human_diffusion_encoders_closet,
        human_diffusion_closet_coarse,
        human_diffusion_closet,
        human_diffusion_closet_settled,
        human_diffusion_closet_whole,
        human_diffusion_closet_without_smr,
        human_diffusion_closet_without_mca,
        human_diffusion_512,
        truepose_autoencoder_closet,
        truepose_decoder_closet,
        truepose_closet_coarse,
        truepose_closet,
        truepose_closet_still,
        truepose_closet_whole,
        truepose_closet_without_hpfa,
        truepose_closet_without_caa,
        truepose_512,
    )
}


def named(name: str) -> TrainRun:
    """The run of a name.

    Raises:
        ConfigError: no such run.
    """
    return function_of(name)()


def function_of(name: str) -> Callable[[], TrainRun]:
    """What gives the run of a name, and says what it is.

    Raises:
        ConfigError: no such run; lists those there are.
    """
    if name not in RUNS:
        raise ConfigError(f"run {name!r}: there is none of that name; there are {sorted(RUNS)}")
    return RUNS[name]
