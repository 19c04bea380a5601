"""A person and a pose become that person in that pose: PIDM and TruePose."""

from __future__ import annotations

from atelier.models import registry
from atelier.models.pidm.config import PidmConfig
from atelier.models.truepose.config import TruePoseConfig
from atelier.recipe import Recipe
from atelier.recipes.tasks import POSE_TRANSFER
from atelier.stages.decode_source import DecodeSource
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch
from atelier.stages.parse import Parse
from atelier.stages.pidm import SynthesizePidm
from atelier.stages.pose_map import PoseMap
from atelier.stages.target import Target
from atelier.stages.truepose import SynthesizeTruePose

CLOSET_SIZE = (128, 96)
"""Working size of the small recipes, whatever their weights see."""

_UNSQUEEZED = {(256, 256): (256, 176)}
"""The size of pictures that PIDM's released weights see squeezed to a square."""


def pidm_closet(
    *,
    weights: str = "pidm_closet",
    parser: str = "parser_closet",
    pose: str = "pose_closet",
    mode: str = "balanced",
) -> Recipe:
    """People in another pose at 128x96 with the small weights that come with Atelier, trained on drawn people.

    Args:
        weights: the shipped name, or a folder that `python -m training export pidm_closet` wrote; weights of a run at
            64x48 see pictures and poses at that size.
        parser, pose: shipped names or folders of others, e.g. BlazePose for photographs.
        mode: of sampling: `quality`, `balanced` or `fast`.
    """
    return pose_transfer_by_pidm(
        name="pidm_closet",
        size=CLOSET_SIZE,
        network_size=PidmConfig.from_folder(registry.folder(weights)).working_size,
        weights=weights,
        parser=parser,
        pose=pose,
        mode=mode,
        batch_size=4,
    )


def pidm(
    *,
    weights: str,
    parser: str | None,
    pose: str | None,
    mode: str = "quality",
) -> Recipe:
    """People in another pose as published, with a folder of converted weights.

    The size is what the weights were trained for: 256x176 by the released ones, whose pictures are squeezed to a square
    and back; by others, as of 512x352, their own, at which they see pictures as they are.

    Args:
        weights: what `python -m atelier convert pidm` or `python -m training export` wrote.
        parser: refuses pictures without a person; None takes every picture.
        pose: for rows that give their pose as a picture; None where all give keypoints or names.
        mode: of sampling; `quality` is the released fifty steps of DDIM.
    """
    trained_for = PidmConfig.from_folder(registry.folder(weights)).working_size
    return pose_transfer_by_pidm(
        name="pidm",
        size=_UNSQUEEZED.get(trained_for, trained_for),
        network_size=trained_for,
        weights=weights,
        parser=parser,
        pose=pose,
        mode=mode,
        batch_size=4,
    )


def pose_transfer_by_pidm(
    *,
    name: str,
    size: tuple[int, int],
    network_size: tuple[int, int] | None = None,
    weights: str,
    parser: str | None,
    pose: str | None,
    mode: str,
    batch_size: int,
) -> Recipe:
    """A person and a pose become that person in that pose, by PIDM.

    Args:
        size: working size (H, W).
        network_size: what the network sees; None, or the same, is the working size.
        weights, mode: see `SynthesizePidm`.
        parser: refuses pictures without a person, and tells of those without a face; PIDM itself needs no parse.
        pose: finds the joints where the pose is a picture; None where none is.
    """
    inputs, optional = ("person", "pose"), () if parser is None else ("parse",)
    network_size = None if network_size == size else network_size
    return Recipe(
        name=name,
        task=POSE_TRANSFER,
        model="pidm",
        size=size,
        inputs=inputs,
        optional=optional,
        batch_size=batch_size,
        stages=(
            Fetch(required=inputs, optional=optional),
            DecodeSource(size=size),
            *(() if parser is None else (Parse(size=size, weights=parser, check_given=True),)),
            Target(weights=pose),
            PoseMap(size=size, drawn_size=network_size),
            SynthesizePidm(size=size, network_size=network_size, weights=weights, mode=mode),
            Encode(),
        ),
    )


def truepose_closet(
    *,
    weights: str = "truepose_closet",
    parser: str = "parser_closet",
    pose: str = "pose_closet",
    mode: str = "balanced",
) -> Recipe:
    """People in another pose at 128x96 with the small weights that come with Atelier, trained on drawn people.

    Args:
        weights: the shipped name, or a folder that `python -m training export truepose_closet` wrote.
        parser, pose: shipped names or folders of others, e.g. BlazePose for photographs.
        mode: of sampling: `quality`, `balanced` or `fast`.
    """
    return pose_transfer_by_truepose(
        name="truepose_closet", size=CLOSET_SIZE, weights=weights, parser=parser, pose=pose, mode=mode, batch_size=4
    )


def truepose(
    *,
    weights: str,
    clip: str | None = None,
    parser: str | None,
    pose: str | None,
    mode: str = "quality",
) -> Recipe:
    """People in another pose on Stable Diffusion's latents, at the size that the weights were trained for: 512x352 by
    the run `truepose_512`. For weights of your own training.

    Args:
        weights: what `python -m training export` or `TruePose.save_pretrained` wrote.
        clip: folder of the CLIP that they were trained on, where it does not lie in the weights' own.
        parser: of sources that do not bring their parse, and refuses those without a person; None where every row
            brings its parse.
        pose: for rows that give their pose as a picture; None where all give keypoints or names.
        mode: of sampling.
    """
    size = TruePoseConfig.from_folder(registry.folder(weights)).working_size
    return pose_transfer_by_truepose(
        name="truepose", size=size, weights=weights, clip=clip, parser=parser, pose=pose, mode=mode, batch_size=4
    )


def pose_transfer_by_truepose(
    *,
    name: str,
    size: tuple[int, int],
    weights: str,
    clip: str | None = None,
    parser: str | None,
    pose: str | None,
    mode: str,
    batch_size: int,
) -> Recipe:
    """A person and a pose become that person in that pose, by TruePose.

    Args:
        size: working size (H, W).
        weights, clip, mode: see `SynthesizeTruePose`.
        parser: reads the source: which of it is face, and which garment.
        pose: finds the joints where the pose is a picture; None where none is.
    """
    inputs, optional = ("person", "pose"), ("parse",)
    return Recipe(
        name=name,
        task=POSE_TRANSFER,
        model="truepose",
        size=size,
        inputs=inputs,
        optional=optional,
        batch_size=batch_size,
        stages=(
            Fetch(required=inputs, optional=optional),
            DecodeSource(size=size),
            Parse(size=size, weights=parser, check_given=parser is not None),
            Target(weights=pose),
            SynthesizeTruePose(size=size, weights=weights, clip=clip, mode=mode),
            Encode(),
        ),
    )
