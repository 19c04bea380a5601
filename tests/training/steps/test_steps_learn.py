"""Each step at a few pixels: its losses fall, every player moves, and only its own networks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from atelier.errors import ConfigError, WeightsError
from atelier.models.layers.vgg import VGG
from atelier.models.viton_hd import VitonHD
from atelier.models.viton_hd.losses import AliasWeights
from atelier.models.viton_hd.networks_discriminators import (
    ALIAS_CRITIC_INPUTS,
    SEGMENTATION_CRITIC_INPUTS,
    DiscriminatorConfig,
)
from atelier.weights import write_folder
from tests.training.steps.descent import descend
from tests.training.tiny_models import PARSER, POSE, SIZE, VITON_HD
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.look import LookColumns
from training.data.try_on import TryOnColumns
from training.steps.alias import AliasStep, AliasStepConfig
from training.steps.base import Moment, StepConfig, TrainStep
from training.steps.matching import MatchingStepConfig
from training.steps.parser import ParserStepConfig
from training.steps.pose import PoseStepConfig
from training.steps.segmentation import SegmentationStepConfig


def critic(in_channels: int) -> DiscriminatorConfig:
    return DiscriminatorConfig(in_channels=in_channels, width=4, num_layers=2)


STEPS: Mapping[str, StepConfig] = {
    "segmentation": SegmentationStepConfig(model=VITON_HD, dropout=0.0),
    "segmentation against a critic": SegmentationStepConfig(
        model=VITON_HD, dropout=0.0, critic=critic(SEGMENTATION_CRITIC_INPUTS)
    ),
    "matching": MatchingStepConfig(model=VITON_HD),
    "alias": AliasStepConfig(model=VITON_HD, segmentation="viton", matching="viton", half_size_until=0.0),
    "alias against a critic": AliasStepConfig(
        model=VITON_HD, segmentation="viton", matching="viton", critic=critic(ALIAS_CRITIC_INPUTS), half_size_until=0.0
    ),
    "parser": ParserStepConfig(model=PARSER),
    "pose": PoseStepConfig(model=POSE),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one earlier run's exported try-on networks."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    model = VitonHD(VITON_HD)
    states = {name: child.state_dict() for name, child in model.named_children()}
    write_folder(folder / "viton" / "weights", VITON_HD.to_json(), states)
    return folder


@pytest.fixture(scope="module")
def batches() -> Mapping[str, Mapping[str, Tensor]]:
    """Two rows of each kind of data."""
    made = {}
    for kind, columns in (("try_on", TryOnColumns()), ("looks_and_negatives", LookColumns())):
        config = ClosetConfig(kind=kind, num_samples=4, size=SIZE)
        rows = [columns(draw_sample(config, index), np.random.default_rng(index)) for index in (0, 3)]
        made[kind] = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    return made


def batch_for(config: StepConfig, batches: Mapping[str, Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    return batches["looks_and_negatives" if isinstance(config, (ParserStepConfig, PoseStepConfig)) else "try_on"]


def moment(progress: float = 0.9) -> Moment:
    return Moment(progress=progress, seeds=(1, 2))


def only(step: TrainStep, player_networks: tuple[str, ...]) -> None:
    """Freezes what is not the player's, as the loop does."""
    for name, network in step.networks.items():
        network.requires_grad_(name in player_networks)


def build(config: StepConfig, runs: Path) -> TrainStep:
    torch.manual_seed(0)
    step = config.build(runs)
    step.networks.train()
    return step


@pytest.mark.parametrize("name", STEPS)
def test_every_player_learns_and_moves_its_own_networks_alone(
    name: str, runs: Path, batches: Mapping[str, Mapping[str, Tensor]]
) -> None:
    step, batch = build(STEPS[name], runs), batch_for(STEPS[name], batches)
    assert {network for player in step.players for network in player.networks} == set(step.networks)
    for player in step.players:
        only(step, player.networks)
        parameters = [p for network in player.networks for p in step.networks[network].parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=player.learning_rate, betas=player.betas)
        before = {key: value.clone() for key, value in step.networks.named_parameters()}
        losses = []
        for total, loss in descend((step.loss(player.name, batch, moment()) for _ in range(5)), optimizer):
            losses.append(total)
            assert np.isclose(total, sum(float(term.detach()) for term in loss.terms.values()), rtol=1e-4)
        assert losses[-1] < losses[0], player.name
        moved = {key.split(".")[0] for key, value in step.networks.named_parameters() if (value != before[key]).any()}
        assert moved == set(player.networks)


def test_a_painter_sees_the_same_layouts_however_its_batch_is_cut(
    runs: Path, batches: Mapping[str, Mapping[str, Tensor]]
) -> None:
    config = AliasStepConfig(
        model=VITON_HD, segmentation="viton", matching="viton", half_size_until=0.0, hidden_weight=0.0
    )
    step = build(config, runs)
    assert isinstance(step, AliasStep)
    step.networks.eval()  # without the power iterations, which move on with every pass
    batch = {name: column.repeat(2, *[1] * (column.dim() - 1)) for name, column in batches["try_on"].items()}
    whole = Moment(progress=0.9, seeds=(1, 2, 3, 4))
    with torch.no_grad():
        together = step.loss("alias", batch, whole).total
        for cuts in ((0, 1, 2, 3, 4), (0, 3, 4), (0, 1, 4)):
            parts = [slice(first, end) for first, end in itertools.pairwise(cuts)]
            losses = [
                (rows.stop - rows.start)
                * step.loss("alias", {name: column[rows] for name, column in batch.items()}, whole.rows(rows)).total
                for rows in parts
            ]
            torch.testing.assert_close(sum(losses) / 4, together, rtol=1e-4, atol=0.0)


def test_a_critic_replaces_the_reason_why_it_was_left_out(
    runs: Path, batches: Mapping[str, Mapping[str, Tensor]]
) -> None:
    for kind in ("segmentation", "alias"):
        alone = build(STEPS[kind], runs).loss(kind, batches["try_on"], moment())
        against = build(STEPS[f"{kind} against a critic"], runs).loss(kind, batches["try_on"], moment())
        assert "adversarial" in alone.left_out and "adversarial" in against.terms


def test_the_perceptual_loss_needs_a_file_of_vgg(
    runs: Path, batches: Mapping[str, Mapping[str, Tensor]], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    torch.save(VGG(19, (1, 1, 1, 1, 1)).state_dict(), tmp_path / "vgg19.pth")
    config = AliasStepConfig(
        model=VITON_HD,
        segmentation="viton",
        matching="viton",
        vgg=str(tmp_path / "vgg19.pth"),
        weights=AliasWeights(pixels=0.0),
    )
    loss = build(config, runs).loss("alias", batches["try_on"], moment())
    assert "perceptual" in loss.terms and "perceptual" not in loss.left_out
    assert "perceptual" in build(STEPS["alias"], runs).loss("alias", batches["try_on"], moment()).left_out


def test_steps_start_from_earlier_weights(runs: Path) -> None:
    for stem, config in (
        ("segmentation", SegmentationStepConfig(model=VITON_HD, initial="viton")),
        ("matching", MatchingStepConfig(model=VITON_HD, initial="viton")),
        ("alias", AliasStepConfig(model=VITON_HD, segmentation="viton", matching="viton", initial="viton")),
    ):
        torch.manual_seed(0)
        wanted = VitonHD(VITON_HD).get_submodule(stem).state_dict()
        torch.manual_seed(1)
        have = config.build(runs).networks[stem].state_dict()
        assert all(torch.equal(value, have[key]) for key, value in wanted.items()), stem


def test_weights_that_are_not_there_or_do_not_fit_are_refused(runs: Path) -> None:
    absent = AliasStepConfig(model=VITON_HD, segmentation="segmentation", matching="viton")
    with pytest.raises(ConfigError, match="train the run segmentation, then `python -m training export NAME --output"):
        absent.build(runs)
    with pytest.raises(WeightsError, match="parser"):
        PoseStepConfig(model=POSE, initial="parser_closet").build(runs)
