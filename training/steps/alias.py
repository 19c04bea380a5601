"""VITON-HD's ALIAS generator: paint the try-on from layout and bent garment (§3.4 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atelier.errors import ConfigError
from atelier.models.geometry.tps import warp
from atelier.models.layers.pixels import mask_from_bytes, picture_from_bytes
from atelier.models.viton_hd import VitonHD, VitonHDConfig
from atelier.models.viton_hd.layout import LAYOUT_OF_AGNOSTIC, layout_from_ids, layout_ids, misalignment
from atelier.models.viton_hd.losses import AliasWeights, alias_objective
from atelier.weights import load_into, read_state, write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.segmentation import segmentation_inputs
from training.steps.structure import structural_dissimilarity


@dataclass(frozen=True, kw_only=True)
class AliasStepConfig(StepConfig):
    """Pixels, and their structure in place of the perceptual loss where no VGG weights are at hand.

    Args:
        segmentation, matching: earlier runs whose exported weights lay out and bend.
        half_size_until: share of the run that is painted at half the size, a quarter of the work; the generator has no
            size of its own.
        predicted_from: share of the run after which half of the rows are painted on predicted layouts, as in use.
        hidden_weight: how much more a pixel counts that the agnostic person does not show.
    """

    model: VitonHDConfig
    segmentation: str
    matching: str
    learning_rate: float = 1e-3
    weights: AliasWeights = field(default_factory=lambda: AliasWeights(pixels=10.0))
    structure_weight: float = 1.0
    hidden_weight: float = 3.0
    half_size_until: float = 0.6
    predicted_from: float = 0.5

    def build(self, runs: Path) -> AliasStep:
        return AliasStep(self, runs)


class AliasStep(TrainStep):
    """Reads all that `try_on_columns` writes.

    Raises:
        ConfigError: an earlier run's weights are not exported to `<run>/weights`.
    """

    def __init__(self, config: AliasStepConfig, runs: Path) -> None:
        self.config = config
        self.model = VitonHD(config.model)
        for stem, run in (("segmentation", config.segmentation), ("matching", config.matching)):
            folder = runs / run / "weights"
            if not folder.is_dir():
                raise ConfigError(f"{folder}: is missing; export {run} there first")
            load_into(self.model.get_submodule(stem), read_state(folder, stem), folder)
        self.model.eval()
        self.networks = nn.ModuleDict({"alias": self.model.alias})
        self.players = (
            Player(name="alias", networks=("alias",), learning_rate=config.learning_rate, betas=(0.5, 0.99)),
        )

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        height, width = batch["classes"].shape[1:]
        halved = moment.progress < self.config.half_size_until
        size = (height // 2, width // 2) if halved else (height, width)
        layout = layout_from_ids(self._layout(batch, moment))
        agnostic, pose = picture_from_bytes(batch["agnostic_person"]), picture_from_bytes(batch["pose_image"])
        garment, garment_mask = picture_from_bytes(batch["garment"]), mask_from_bytes(batch["garment_mask"])
        person = picture_from_bytes(batch["person"])
        # In float32, as in use: a theta rounded to bfloat16 moves the garment by pixels.
        with torch.no_grad(), torch.autocast(garment.device.type, enabled=False):
            theta = self.model.match(agnostic, pose, garment, layout)
            grid = self.model.matching.grid(theta, (height, width))
            warped, warped_mask = warp(garment, grid), warp(garment_mask, grid)
        hidden = (batch["agnostic_person"] != batch["person"]).any(-1).unsqueeze(1).float()
        if halved:
            shrunk = F.interpolate(
                torch.cat([agnostic, pose, warped, warped_mask, person, hidden], 1), size, mode="area"
            )
            agnostic, pose, warped, warped_mask, person, hidden = shrunk.split([3, 3, 3, 1, 3, 1], 1)
            layout = layout[:, :, ::2, ::2].contiguous()
        image = self._paint(agnostic, pose, warped, warped_mask, layout, moment)
        return self._objective(image, person, hidden)

    def _layout(self, batch: Batch, moment: Moment) -> Tensor:
        """Layout ids of the true classes, or of the segmentation generator's in every other row late in the run."""
        groups = torch.tensor(LAYOUT_OF_AGNOSTIC, dtype=torch.uint8, device=batch["classes"].device)
        ids = groups[batch["classes"].long()]
        if moment.progress < self.config.predicted_from:
            return ids
        with torch.no_grad():
            rows = slice(0, None, 2)
            some = {name: column[rows] for name, column in batch.items()}
            inputs = segmentation_inputs(some, self.config.model.segmentation_size, moment.rows(rows))
            predicted = layout_ids(
                self.model.segmentation(inputs).float(), (ids.shape[1], ids.shape[2]), self.config.model
            )
        ids[rows] = predicted
        return ids

    def _paint(
        self,
        agnostic: Tensor,
        pose: Tensor,
        warped: Tensor,
        warped_mask: Tensor,
        layout: Tensor,
        moment: Moment,
    ) -> Tensor:
        misaligned, divided = misalignment(layout, warped_mask)
        inputs = torch.cat([agnostic, pose, warped], 1)
        size = (inputs.shape[2], inputs.shape[3])
        drawn = self.model.alias.draw_noise(len(inputs), size, moment.generators("alias_noise"))
        noise = [block.to(inputs.device) for block in drawn]
        return self.model.alias(inputs, layout, divided, misaligned, noise).float()

    def _objective(self, image: Tensor, person: Tensor, hidden: Tensor) -> StepLoss:
        weight = 1 + self.config.hidden_weight * hidden
        weight = weight / weight.mean()
        # The paper's objective on what counts more where more is hidden: L1 is linear in such a weight.
        objective = alias_objective(image * weight, person * weight, weights=self.config.weights)
        structure = self.config.structure_weight * structural_dissimilarity(image, person, weight)
        terms = {**objective.terms, "structure": structure}
        return StepLoss(total=objective.total + structure, terms=terms, left_out=objective.left_out)

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {
            "segmentation": self.model.segmentation.state_dict(),
            "matching": self.model.matching.state_dict(),
            "alias": networks["alias"].state_dict(),
        }
        return write_folder(folder, self.config.model.to_json(), states, dtype=dtype)
