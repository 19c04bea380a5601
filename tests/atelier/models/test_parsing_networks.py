"""The small parser: it learns, it comes back from its folder, and the parser around it keeps the picture's size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atelier.errors import ConfigError, WeightsError
from atelier.models.parsing.config import ParsingNetConfig, parser_closet
from atelier.models.parsing.losses import class_weights, dice_loss, parsing_loss
from atelier.models.parsing.networks import STEM, ParsingNet
from atelier.models.parsing.parser import HumanParser
from atelier.weights import write_folder

TINY = ParsingNetConfig(input_size=(64, 64), widths=(8, 8, 12, 12, 12), decoder_widths=(8, 8, 8, 8))


def test_closet_parser_fits_its_budget() -> None:
    network = ParsingNet(parser_closet())
    assert sum(tensor.numel() for tensor in network.state_dict().values()) * 2 <= 2_000_000
    assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 20, 32, 48)


def test_learns_one_batch_and_returns_from_fp16(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ParsingNet(TINY)
    parse = torch.zeros(2, 64, 64, dtype=torch.uint8)
    parse[0, 16:48, 8:32], parse[1, :32, 32:] = 5, 13
    person = torch.full((2, 64, 64, 3), 30, dtype=torch.uint8)
    person[parse == 5], person[parse == 13] = torch.tensor([200, 40, 40]).byte(), torch.tensor([40, 220, 90]).byte()
    picture = person.permute(0, 3, 1, 2).float() / 127.5 - 1
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = parsing_loss(network(picture), parse, dice_weight=0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]

    write_folder(tmp_path, network.config.to_json(), {STEM: network.state_dict()}, dtype=torch.float16)
    parser = HumanParser.from_pretrained(tmp_path)
    found = parser(person)
    assert found.dtype == torch.uint8 and found.shape == parse.shape
    assert (found == parse).float().mean() > 0.9
    # A larger picture of another aspect is scaled to the network and the map back to the picture.
    assert parser(torch.zeros(1, 128, 96, 3, dtype=torch.uint8)).shape == (1, 128, 96)


def test_loss_reads_what_it_says() -> None:
    parse = torch.randint(0, 20, (2, 8, 8), dtype=torch.uint8)
    sure = 50.0 * torch.nn.functional.one_hot(parse.long(), 20).permute(0, 3, 1, 2).float()
    assert parsing_loss(sure, parse).item() < 1e-6
    assert dice_loss(sure, parse).item() < 1e-4
    assert dice_loss(-sure, parse).item() > 0.5
    assert parsing_loss(torch.zeros(2, 20, 4, 4), parse).item() == pytest.approx(torch.tensor(20.0).log().item())


def test_class_weights_lift_small_classes() -> None:
    weights = class_weights(torch.tensor([90.0, 9.0, 1.0, 0.0]), largest=5.0)
    assert weights[0] < weights[1] < weights[2] <= 5.0
    assert weights[3] == 1


def test_config_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiples of 32"):
        ParsingNetConfig(input_size=(250, 192))
    with pytest.raises(ConfigError, match="depth: no such field"):
        ParsingNetConfig.from_json({**TINY.to_json(), "depth": 3})
    write_folder(tmp_path, {"model": "viton_hd"}, {})
    with pytest.raises(WeightsError, match=r"'viton_hd'.*'parsing_net'.*'segformer'"):
        HumanParser.from_pretrained(tmp_path)
