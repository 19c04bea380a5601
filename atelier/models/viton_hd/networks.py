"""VITON-HD (Choi et al., CVPR 2021): the three networks and the way from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier import weights
from atelier.errors import ConfigError
from atelier.models.geometry.tps import warp
from atelier.models.layers.noise import Generators, draw_normal
from atelier.models.layers.pixels import bytes_from_picture, mask_from_bytes, one_hot, picture_from_bytes
from atelier.models.layers.shapes import check_shapes
from atelier.models.tensors import (
    AgnosticParse,
    Grid,
    LabelIds,
    Layout,
    Mask,
    MaskBytes,
    NoiseBytes,
    Picture,
    PictureBytes,
    SegmentationMap,
    SegmentationNoise,
    Theta,
)
from atelier.models.viton_hd.config import VitonHDConfig
from atelier.models.viton_hd.inference import InferenceOptions, prepare
from atelier.models.viton_hd.layout import NUM_AGNOSTIC_CLASSES, UPPER, layout_from_ids, layout_ids, misalignment
from atelier.models.viton_hd.networks_alias import ALIASGenerator
from atelier.models.viton_hd.networks_matching import GMM
from atelier.models.viton_hd.networks_segmentation import SegGenerator

NETWORKS = ("segmentation", "matching", "alias")
"""The children of `VitonHD` and the stems of their files."""

_BYTES = ("batch", "height", "width", 3)
_IDS = ("batch", "height", "width")


@dataclass(frozen=True, kw_only=True)
class VitonHDOutput:
    """Everything on the way to the picture."""

    segmentation: SegmentationMap
    theta: Theta
    grid: Grid
    warped_garment: Picture
    warped_garment_mask: Mask
    layout: Layout
    image: Picture


class VitonHD(nn.Module):
    """Virtual try-on: a person, agnostic of what they wear, and a flat garment become that person in that garment.

    `forward` is the whole of it on float tensors. `layout`, `warp` and `synthesize` are the same in three steps on what
    travels between stages: bytes, label ids and `theta`.
    """

    def __init__(self, config: VitonHDConfig) -> None:
        super().__init__()
        self.config = config
        self.segmentation = SegGenerator(config)
        self.matching = GMM(config)
        self.alias = ALIASGenerator(config)
        self.options: InferenceOptions | None = None

    def forward(
        self,
        agnostic_person: Picture,
        pose_image: Picture,
        garment: Picture,
        garment_mask: Mask,
        agnostic_parse: AgnosticParse,
        segmentation_noise: SegmentationNoise,
        *,
        generator: Generators,
    ) -> VitonHDOutput:
        """The try-on picture and all that led to it.

        Args:
            agnostic_person: the person with clothes and arms painted gray.
            pose_image: the rendered skeleton on black.
            garment: the flat garment on its plain background.
            garment_mask: 1 on the garment.
            agnostic_parse: one-hot, without the clothes and arms.
            segmentation_noise: from `draw_segmentation_noise`.
            generator: for the ALIAS norms; one for the batch as published, or one per row, so that a row's picture
                does not depend on its batch mates. Consumed after the layout and the warp.

        Raises:
            ConfigError: a picture size that the generator cannot make, or an input of another shape.
        """
        check_shapes(
            {
                "garment": (garment, ("batch", 3, "height", "width")),
                "garment_mask": (garment_mask, ("batch", 1, "height", "width")),
                "agnostic_person": (agnostic_person, ("batch", 3, "height", "width")),
                "pose_image": (pose_image, ("batch", 3, "height", "width")),
                "agnostic_parse": (agnostic_parse, ("batch", NUM_AGNOSTIC_CLASSES, "height", "width")),
                "segmentation_noise": (segmentation_noise, ("batch", 1, *self.config.segmentation_size)),
            }
        )
        size = _size(garment)
        self.config.check_size(size)
        segmentation = self.segment(pose_image, garment, garment_mask, agnostic_parse, segmentation_noise)
        layout = layout_from_ids(layout_ids(segmentation, size, self.config))
        theta = self.match(agnostic_person, pose_image, garment, layout)
        grid = self.matching.grid(theta, size)
        warped_garment, warped_garment_mask = warp(garment, grid), warp(garment_mask, grid)
        image = self.paint(agnostic_person, pose_image, warped_garment, warped_garment_mask, layout, generator)
        return VitonHDOutput(
            segmentation=segmentation,
            theta=theta,
            grid=grid,
            warped_garment=warped_garment,
            warped_garment_mask=warped_garment_mask,
            layout=layout,
            image=image,
        )

    def segment(
        self,
        pose_image: Picture,
        garment: Picture,
        garment_mask: Mask,
        agnostic_parse: AgnosticParse,
        segmentation_noise: SegmentationNoise,
    ) -> SegmentationMap:
        """Probabilities of the 13 classes at `segmentation_size`."""
        inputs = self.segmentation_inputs(pose_image, garment, garment_mask, agnostic_parse, segmentation_noise)
        return self.segmentation(inputs)

    def segmentation_inputs(
        self,
        pose_image: Picture,
        garment: Picture,
        garment_mask: Mask,
        agnostic_parse: AgnosticParse,
        segmentation_noise: SegmentationNoise,
    ) -> Float[Tensor, "batch 21 map_height map_width"]:
        """What the segmentation generator reads: everything but the noise scaled down bilinearly, garment masked."""
        full = torch.cat([garment_mask, garment * garment_mask, agnostic_parse, pose_image], 1)
        small = F.interpolate(full, size=self.config.segmentation_size, mode="bilinear")
        return torch.cat([small, segmentation_noise], 1)

    def match(self, agnostic_person: Picture, pose_image: Picture, garment: Picture, layout: Layout) -> Theta:
        """Control point offsets that bring the garment onto the person; always in float32."""
        return self.matching(*self.matching_inputs(agnostic_person, pose_image, garment, layout))

    def matching_inputs(
        self, agnostic_person: Picture, pose_image: Picture, garment: Picture, layout: Layout
    ) -> tuple[Float[Tensor, "batch 7 low_height low_width"], Float[Tensor, "batch 3 low_height low_width"]]:
        """What the matching module reads, scaled to its size by nearest neighbour; the garment is not masked."""
        size = self.config.matching_size
        person = torch.cat([layout[:, UPPER : UPPER + 1], pose_image, agnostic_person], 1)
        return F.interpolate(person, size=size, mode="nearest"), F.interpolate(garment, size=size, mode="nearest")

    def paint(
        self,
        agnostic_person: Picture,
        pose_image: Picture,
        warped_garment: Picture,
        warped_garment_mask: Mask,
        layout: Layout,
        generator: Generators,
    ) -> Picture:
        """The picture from a layout and a warped garment, misaligned region and all."""
        misaligned, divided_layout = misalignment(layout, warped_garment_mask)
        inputs = torch.cat([agnostic_person, pose_image, warped_garment], 1)
        noise = self.alias.draw_noise(len(inputs), _size(inputs), generator)
        noise = [draw.to(inputs.device, non_blocking=True) for draw in noise]
        half = self.options is not None and self.options.bfloat16
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=half):
            image = self.alias(inputs, layout, divided_layout, misaligned, noise)
        return image.float()

    @torch.no_grad()
    def layout(
        self,
        pose_image: PictureBytes,
        garment: PictureBytes,
        garment_mask: MaskBytes,
        agnostic_parse: LabelIds,
        segmentation_noise: NoiseBytes,
    ) -> LabelIds:
        """Layout ids 0..6 of the person in the garment, from pictures and the 13-class ids of the agnostic parse.

        Raises:
            ConfigError: a picture size that the generator cannot make, or an input of another shape.
        """
        check_shapes(
            {
                "garment": (garment, _BYTES),
                "garment_mask": (garment_mask, _IDS),
                "pose_image": (pose_image, _BYTES),
                "agnostic_parse": (agnostic_parse, _IDS),
                "segmentation_noise": (segmentation_noise, ("batch", 1, *self.config.segmentation_size)),
            }
        )
        self.config.check_size((garment.shape[1], garment.shape[2]))
        segmentation = self.segment(
            picture_from_bytes(pose_image),
            picture_from_bytes(garment),
            mask_from_bytes(garment_mask),
            one_hot(agnostic_parse, NUM_AGNOSTIC_CLASSES),
            segmentation_noise.float(),
        )
        return layout_ids(segmentation, (garment.shape[1], garment.shape[2]), self.config)

    @torch.no_grad()
    def warp(
        self, agnostic_person: PictureBytes, pose_image: PictureBytes, garment: PictureBytes, layout: LabelIds
    ) -> Theta:
        """Control point offsets from pictures and layout ids; `synthesize` resamples the garment by them.

        Raises:
            ConfigError: an input of another shape.
        """
        check_shapes(
            {
                "garment": (garment, _BYTES),
                "agnostic_person": (agnostic_person, _BYTES),
                "pose_image": (pose_image, _BYTES),
                "layout": (layout, _IDS),
            }
        )
        return self.match(
            picture_from_bytes(agnostic_person),
            picture_from_bytes(pose_image),
            picture_from_bytes(garment),
            layout_from_ids(layout),
        )

    @torch.no_grad()
    def synthesize(
        self,
        agnostic_person: PictureBytes,
        pose_image: PictureBytes,
        garment: PictureBytes,
        garment_mask: MaskBytes,
        layout: LabelIds,
        theta: Theta,
        *,
        generator: Generators,
    ) -> PictureBytes:
        """The try-on picture from layout ids and `theta`: warps the garment at full size, then paints.

        Raises:
            ConfigError: a picture size that the generator cannot make, or an input of another shape.
        """
        check_shapes(
            {
                "garment": (garment, _BYTES),
                "garment_mask": (garment_mask, _IDS),
                "agnostic_person": (agnostic_person, _BYTES),
                "pose_image": (pose_image, _BYTES),
                "layout": (layout, _IDS),
                "theta": (theta, ("batch", 50)),
            }
        )
        size = (garment.shape[1], garment.shape[2])
        self.config.check_size(size)
        grid = self.matching.grid(theta, size)
        image = self.paint(
            picture_from_bytes(agnostic_person),
            picture_from_bytes(pose_image),
            warp(picture_from_bytes(garment), grid),
            warp(mask_from_bytes(garment_mask), grid),
            layout_from_ids(layout),
            generator,
        )
        return bytes_from_picture(image)

    @classmethod
    def from_pretrained(cls, folder: str | Path, options: InferenceOptions | None = InferenceOptions()) -> VitonHD:  # noqa: B008
        """The model in a folder that `save_pretrained` or `convert` wrote, in evaluation mode, on the CPU.

        Args:
            folder: config and safetensors.
            options: how it will run; None leaves it as it was trained, to train on.

        Raises:
            WeightsError: a missing file, or keys that do not fit, listed.
            ConfigError: the config is another model's.
        """
        config = VitonHDConfig.from_folder(folder)
        model = cls(config)
        for name in NETWORKS:
            state = weights.read_state(folder, name)
            weights.load_into(model.get_submodule(name), state, f"{folder}/{name}{weights.SUFFIX}")
        model.eval()
        if options is not None:
            model.optimize(options)
        return model

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> str:
        """Writes config and weights, under the published key names; gives the folder's sha256.

        Raises:
            ConfigError: the model was changed for inference and has no trainable weights any more.
        """
        if self.options is not None:
            raise ConfigError(f"save_pretrained: the model runs with {self.options}; load it with options=None to save")
        states = {name: self.get_submodule(name).state_dict() for name in NETWORKS}
        return weights.write_folder(folder, self.config.to_json(), states, dtype=dtype)

    def optimize(self, options: InferenceOptions) -> None:
        """Changes the model in place to run as `options` say; not to be undone."""
        prepare((self.segmentation, self.matching, self.alias), self.alias, options)
        self.options = options


def draw_segmentation_noise(generators: Sequence[torch.Generator], size: tuple[int, int]) -> NoiseBytes:
    """The segmentation generator's noise channel, one row per generator: 1 where a standard normal exceeds 1.

    Binary, with P(1) = 0.1587: the published code saturates its normal draw in 8 bits and keeps only what is full.

    Args:
        size: the config's `segmentation_size`.
    """
    return (draw_normal(len(generators), (1, *size), generators) > 1).to(torch.uint8)


def _size(picture: Tensor) -> tuple[int, int]:
    return picture.shape[-2], picture.shape[-1]
