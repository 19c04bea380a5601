"""VITON-HD's ALIAS generator: paint the try-on from layout and bent garment (§3.4 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atelier.models.geometry.tps import warp
from atelier.models.layers.pixels import mask_from_bytes, picture_from_bytes
from atelier.models.viton_hd import VitonHD, VitonHDConfig
from atelier.models.viton_hd.layout import LAYOUT_OF_AGNOSTIC, layout_from_ids, layout_ids, misalignment
from atelier.models.viton_hd.losses import AliasWeights, alias_objective, hinge_critic
from atelier.models.viton_hd.networks_alias import AliasBlock
from atelier.models.viton_hd.networks_discriminators import DiscriminatorConfig, MultiscaleDiscriminator
from atelier.models.viton_hd.networks_perceptual import perceptual_features
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.critics import CRITIC, Scores, critic_player, split_scores
from training.steps.initial import load_initial
from training.steps.segmentation import segmentation_inputs
from training.steps.structure import structural_dissimilarity

STEM = "alias"


@dataclass(frozen=True, kw_only=True)
class AliasStepConfig(StepConfig):
    """Hinge GAN with feature matching, perceptual, pixel and structure losses, as far as each is asked for.

    Args:
        segmentation, matching: whose weights lay out and bend: earlier runs, shipped names or folders.
        initial: weights to start from, named alike; None starts from nothing.
        critic: scores layout and picture together; None trains without.
        vgg: an ImageNet VGG's weights for the perceptual loss, as `perceptual_features` takes them; None leaves it out.
        structure_weight: of one minus SSIM, which punishes blur where no VGG weights are at hand.
        half_size_until: share of the run that is painted at half the size, a quarter of the work; the generator has no
            size of its own.
        predicted_from: share of the run after which half of the rows are painted on predicted layouts, as in use.
        hidden_weight: how much more a pixel counts that the agnostic person does not show.
    """

    model: VitonHDConfig
    segmentation: str
    matching: str
    initial: str | None = None
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.99)
    critic: DiscriminatorConfig | None = None
    critic_learning_rate: float = 4e-4
    vgg: str | None = None
    weights: AliasWeights = field(default_factory=lambda: AliasWeights(pixels=10.0))
    structure_weight: float = 1.0
    hidden_weight: float = 3.0
    half_size_until: float = 0.6
    predicted_from: float = 0.5

    def build(self, runs: Path) -> AliasStep:
        return AliasStep(self, runs)


class AliasStep(TrainStep):
    """Reads all that `TryOnColumns` writes.

    Raises:
        ConfigError: weights that are not there, or an earlier run whose own are not exported to `<run>/weights`.
        WeightsError: another model's weights.
    """

    blocks: ClassVar[tuple[type[nn.Module], ...]] = (AliasBlock, nn.Sequential)

    def __init__(self, config: AliasStepConfig, runs: Path) -> None:
        self.config = config
        self.model = VitonHD(config.model)
        for stem, name in (("segmentation", config.segmentation), ("matching", config.matching)):
            load_initial(self.model.get_submodule(stem), stem, name, runs)
        if config.initial is not None:
            load_initial(self.model.alias, STEM, config.initial, runs)
        self.model.eval()
        self.networks = nn.ModuleDict({STEM: self.model.alias})
        self.work_changes_at = (config.half_size_until, config.predicted_from)
        self.players = (Player(name=STEM, networks=(STEM,), learning_rate=config.learning_rate, betas=config.betas),)
        self.critic: MultiscaleDiscriminator | None = None
        if config.critic is not None:
            self.critic = MultiscaleDiscriminator(config.critic)
            self.networks[CRITIC] = self.critic
            self.players += (critic_player(learning_rate=config.critic_learning_rate, betas=config.betas),)
        self.features = None if config.vgg is None else perceptual_features(config.vgg)

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
        if player == CRITIC:
            with torch.no_grad():
                image = self._paint(agnostic, pose, warped, warped_mask, layout, moment)
            on_made, on_true = self._scores(layout, image, person)
            total = hinge_critic(on_made, on_true)
            return StepLoss(total=total, terms={"scores": total})
        image = self._paint(agnostic, pose, warped, warped_mask, layout, moment)
        return self._objective(image, person, hidden, layout)

    def _layout(self, batch: Batch, moment: Moment) -> Tensor:
        """Layout ids of the true classes, or of the segmentation generator's in every other row late in the run."""
        groups = torch.tensor(LAYOUT_OF_AGNOSTIC, dtype=torch.uint8, device=batch["classes"].device)
        ids = groups[batch["classes"].long()]
        # By the place in the whole batch, so that the same rows are, however it is cut.
        rows = slice(moment.places[0] % 2, None, 2)
        if moment.progress < self.config.predicted_from or not moment.places[rows]:
            return ids
        with torch.no_grad():
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

    def _scores(self, layout: Tensor, image: Tensor, person: Tensor) -> tuple[Scores, Scores]:
        """The critic's outputs on what was painted and on the true picture, in one pass."""
        assert self.critic is not None
        both = torch.cat([torch.cat([layout, image], 1), torch.cat([layout, person], 1)])
        return split_scores(self.critic(both))

    def _objective(self, image: Tensor, person: Tensor, hidden: Tensor, layout: Tensor) -> StepLoss:
        on_made, on_true = (None, None) if self.critic is None else self._scores(layout, image, person)
        weight = 1 + self.config.hidden_weight * hidden
        weight = weight / weight.mean()
        objective = alias_objective(image, person, on_made, on_true, self.features, self.config.weights, weight)
        total, terms = objective.total, dict(objective.terms)
        if self.config.structure_weight:
            terms["structure"] = self.config.structure_weight * structural_dissimilarity(image, person, weight)
            total = total + terms["structure"]
        return StepLoss(total=total, terms=terms, left_out=objective.left_out)

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {
            "segmentation": self.model.segmentation.state_dict(),
            "matching": self.model.matching.state_dict(),
            "alias": networks["alias"].state_dict(),
        }
        return write_folder(folder, self.config.model.to_json(), states, dtype=dtype)
