"""The recipes by name: how each task's pictures are made. A variant is a function that changes two fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atelier.errors import ConfigError
from atelier.models import registry
from atelier.models.pidm.config import PidmConfig
from atelier.models.viton_hd import InferenceOptions
from atelier.recipe import Recipe
from atelier.stages.agnostic import Agnostic
from atelier.stages.decode import Decode
from atelier.stages.decode_regions import DecodeRegions
from atelier.stages.decode_source import DecodeSource
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch
from atelier.stages.human_diffusion import SynthesizeHumanDiffusion
from atelier.stages.inspect import Inspect
from atelier.stages.layout import Layout
from atelier.stages.parse import Parse
from atelier.stages.pidm import SynthesizePidm
from atelier.stages.pose import Pose
from atelier.stages.pose_map import PoseMap
from atelier.stages.synthesize import Synthesize
from atelier.stages.target import Target
from atelier.stages.truepose import SynthesizeTruePose
from atelier.stages.warp import Warp

TRY_ON, POSE_TRANSFER, TEXT_TO_PERSON = "try_on", "pose_transfer", "text_to_person"
"""The tasks, by the words that catalogs have for them."""


def viton_hd_closet(
    *, weights: str = "viton_hd_closet", parser: str = "parser_closet", pose: str = "pose_closet"
) -> Recipe:
    """Try-on at 256x192 with the small weights that come with Atelier, trained on drawn people.

    Args:
        weights: the shipped name, or a folder that `python -m training export viton_hd_alias_closet` wrote.
        parser, pose: shipped names or folders of others, e.g. BlazePose for photographs.
    """
    return try_on(
        name="viton_hd_closet",
        size=(256, 192),
        weights=weights,
        parser=parser,
        pose=pose,
        repaint=True,
        check_parse=True,
        batch_size=4,
    )


def viton_hd(*, weights: str, parser: str | None, pose: str | None, options: InferenceOptions | None = None) -> Recipe:
    """Try-on at 1024x768 as published, with folders of converted weights.

    Args:
        weights: what `python -m atelier convert viton_hd` wrote.
        parser, pose: for rows that don't bring their own parse or keypoints; None where every row does.
        options: how VITON-HD is run.
    """
    return try_on(
        name="viton_hd",
        size=(1024, 768),
        weights=weights,
        parser=parser,
        pose=pose,
        options=options,
        repaint=False,
        batch_size=4,
    )


def try_on(
    *,
    name: str,
    size: tuple[int, int],
    weights: str,
    parser: str | None,
    pose: str | None,
    options: InferenceOptions | None = None,
    repaint: bool,
    check_parse: bool = False,
    batch_size: int,
) -> Recipe:
    """A person and a flat garment become that person in that garment, by VITON-HD.

    Args:
        size: working size (H, W).
        weights, parser, pose: shipped names or folders; parser and pose may be None where every row brings its own.
        check_parse: let the parser look at rows that bring their own parse too, see `Parse.check_given`.
        repaint: lay the person's own pixels back where nothing was to change (ours); False is exactly the paper's.
    """
    inputs, optional = ("person", "garment"), ("garment_mask", "parse", "keypoints")
    options = options or InferenceOptions()
    return Recipe(
        name=name,
        task=TRY_ON,
        model="viton_hd",
        size=size,
        inputs=inputs,
        optional=optional,
        batch_size=batch_size,
        stages=(
            Fetch(required=inputs, optional=optional),
            Decode(size=size),
            Parse(size=size, weights=parser, check_given=check_parse),
            Pose(weights=pose),
            Agnostic(size=size),
            Layout(size=size, weights=weights, options=options),
            Warp(size=size, weights=weights, options=options),
            Synthesize(size=size, weights=weights, options=options, repaint=repaint),
            Inspect(size=size, weights=weights, options=options),
            Encode(),
        ),
    )


def pidm_closet(
    *,
    weights: str = "pidm_closet",
    parser: str = "parser_closet",
    pose: str = "pose_closet",
    mode: str = "balanced",
) -> Recipe:
    """People in another pose at 128x96 with the small weights that come with Atelier, trained on drawn people.

    Args:
        weights: the shipped name, or a folder that `python -m training export pidm_closet` wrote; weights of the coarse
            run see pictures and poses at their own 64x48.
        parser, pose: shipped names or folders of others, e.g. BlazePose for photographs.
        mode: of sampling: `quality`, `balanced` or `fast`.
    """
    trained_for = PidmConfig.from_folder(registry.folder(weights)).working_size
    size = (128, 96)
    return pose_transfer_by_pidm(
        name="pidm_closet",
        size=size,
        network_size=None if trained_for == size else trained_for,
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
    size: tuple[int, int] = (256, 176),
    mode: str = "quality",
) -> Recipe:
    """People in another pose as published, with a folder of converted weights.

    Args:
        weights: what `python -m atelier convert pidm` wrote.
        parser: refuses pictures without a person; None takes every picture.
        pose: for rows that give their pose as a picture; None where all give keypoints or names.
        size: (256, 176) for the released weights, whose pictures are squeezed to a square and back; (512, 352) for
            weights of that size, which see them as they are.
        mode: of sampling; `quality` is the released fifty steps of DDIM.
    """
    return pose_transfer_by_pidm(
        name="pidm",
        size=size,
        network_size=(256, 256) if size == (256, 176) else None,
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
        network_size, weights, mode: see `SynthesizePidm`.
        parser: refuses pictures without a person, and tells of those without a face; PIDM itself needs no parse.
        pose: finds the joints where the pose is a picture; None where none is.
    """
    inputs, optional = ("person", "pose"), () if parser is None else ("parse",)
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
        name="truepose_closet", size=(128, 96), weights=weights, parser=parser, pose=pose, mode=mode, batch_size=4
    )


def truepose(
    *,
    weights: str,
    clip: str | None = None,
    parser: str | None,
    pose: str | None,
    size: tuple[int, int] = (512, 352),
    mode: str = "quality",
) -> Recipe:
    """People in another pose on Stable Diffusion's latents; for weights of your own training.

    Args:
        weights: what `python -m training export` or `TruePose.save_pretrained` wrote.
        clip: folder of the CLIP that they were trained on, where it does not lie in the weights' own.
        parser: of sources that do not bring their parse; None where every row does.
        pose: for rows that give their pose as a picture; None where all give keypoints or names.
        mode: of sampling.
    """
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


def human_diffusion_closet(
    *,
    weights: str = "human_diffusion_closet",
    memory: str | None = "human_diffusion_memory_closet",
    mode: str = "balanced",
) -> Recipe:
    """People out of sentences at 128x96 with the small weights that come with Atelier, trained on drawn people.

    Args:
        weights: the shipped name, or a folder that `python -m training export human_diffusion_closet` wrote.
        memory: the shipped name, or a folder of `python -m atelier memory build` with these weights' encoders; None
            tells of words alone.
        mode: of sampling: `quality`, `balanced` or `fast`.
    """
    return text_to_person(
        name="human_diffusion_closet", size=(128, 96), weights=weights, memory=memory, mode=mode, batch_size=4
    )


def human_diffusion(
    *, weights: str, memory: str | None, clip: str | None = None, vae: str | None = None, mode: str = "quality"
) -> Recipe:
    """People out of sentences at 512x256, on an autoencoder's latents; for weights of your own training.

    Args:
        weights: what `HumanDiffusion.save_pretrained` wrote.
        memory: what `python -m atelier memory build` made with these weights; None tells of words alone.
        clip, vae: folders of the CLIP and the autoencoder, where they do not lie in the weights' own.
        mode: of sampling.
    """
    return text_to_person(
        name="human_diffusion",
        size=(512, 256),
        weights=weights,
        memory=memory,
        clip=clip,
        vae=vae,
        mode=mode,
        batch_size=4,
    )


def text_to_person(
    *,
    name: str,
    size: tuple[int, int],
    weights: str,
    memory: str | None,
    clip: str | None = None,
    vae: str | None = None,
    mode: str,
    batch_size: int,
) -> Recipe:
    """A sentence and a map of regions become a person, by HumanDiffusion.

    Args:
        size: working size (H, W).
        weights, memory, clip, vae, mode: see `SynthesizeHumanDiffusion`.
    """
    return Recipe(
        name=name,
        task=TEXT_TO_PERSON,
        model="human_diffusion",
        size=size,
        inputs=("prompt", "pose_map"),
        batch_size=batch_size,
        stages=(
            Fetch(required=("pose_map",)),
            DecodeRegions(size=size),
            SynthesizeHumanDiffusion(size=size, weights=weights, memory=memory, clip=clip, vae=vae, mode=mode),
            Encode(source_type="trainedAlgorithmicMedia"),  # nobody's photograph is in it
        ),
    )


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "viton_hd_closet": viton_hd_closet,
    "human_diffusion_closet": human_diffusion_closet,
}
"""Recipes that need nothing but what comes with Atelier."""


def named(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ConfigError: no such recipe; lists those there are.
    """
    if name not in RECIPES:
        raise ConfigError(f"recipe {name!r}: there is none of that name; there are {sorted(RECIPES)}")
    return RECIPES[name]()
