"""A sentence and a map of regions become a person: HumanDiffusion."""

from __future__ import annotations

from atelier.models import registry
from atelier.models.human_diffusion import HumanDiffusionConfig
from atelier.recipe import Recipe
from atelier.recipes.tasks import TEXT_TO_PERSON
from atelier.stages.decode_regions import DecodeRegions
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch
from atelier.stages.human_diffusion import SynthesizeHumanDiffusion


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
    """People out of sentences on an autoencoder's latents, at the size that the weights are trained for: 512x256 by the
    run `human_diffusion_512`. For weights of your own training.

    Args:
        weights: what `python -m training export` or `HumanDiffusion.save_pretrained` wrote.
        memory: what `python -m atelier memory build` made with these weights; None tells of words alone.
        clip, vae: folders of the CLIP and the autoencoder, where they do not lie in the weights' own.
        mode: of sampling.
    """
    return text_to_person(
        name="human_diffusion",
        size=HumanDiffusionConfig.from_folder(registry.folder(weights)).working_size,
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
