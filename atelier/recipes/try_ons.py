"""A person and a flat garment become that person in that garment: VITON-HD."""

from __future__ import annotations

from atelier.models.viton_hd import InferenceOptions
from atelier.recipe import Recipe
from atelier.recipes.tasks import TRY_ON
from atelier.stages.agnostic import Agnostic
from atelier.stages.decode import Decode
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch
from atelier.stages.inspect import Inspect
from atelier.stages.layout import Layout
from atelier.stages.parse import Parse
from atelier.stages.pose import Pose
from atelier.stages.synthesize import Synthesize
from atelier.stages.warp import Warp


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
