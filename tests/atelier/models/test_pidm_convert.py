"""PIDM's published file becomes a weight folder; nothing in it is executed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from atelier.__main__ import main
from atelier.errors import WeightsError
from atelier.models.pidm import Pidm, PidmConfig, pidm_closet
from atelier.models.pidm.convert import convert
from tests.parity.fill import fill, keys_of

CONFIG = replace(pidm_closet(), patch=1, width=8, multipliers=(1, 2, 2), texture_strides=(2, 4), num_groups=4)
IDLE = {
    "input_blocks.1.0.cond_emb_layers.1.weight": torch.zeros(8, 8),
    "middle_block.1.qkv.weight": torch.zeros(48, 16, 1),
    "middle_block.1.proj_out1.bias": torch.zeros(16),
    "encoder.time_embed.0.weight": torch.zeros(32, 8),
    "encoder.input_blocks.1.0.emb_layers.1.bias": torch.zeros(16),
}
"""Some of what the published file has and no pass reads."""


class Settings:
    """Stands for the pickled settings of the published file, and tells if it was ever made."""

    made = False

    def __setstate__(self, state: dict[str, int]) -> None:
        Settings.made = True


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    model = Pidm(CONFIG)
    encoder = {f"encoder.{key}": value for key, value in fill(keys_of(model.encoder)).items()}
    return {**fill(keys_of(model.unet)), **encoder}


def _assert_same(folder: Path, state: dict[str, Tensor]) -> None:
    model = Pidm.from_pretrained(folder)
    found = dict(model.unet.state_dict())
    found |= {f"encoder.{key}": value for key, value in model.encoder.state_dict().items()}
    torch.testing.assert_close(found, state, rtol=0, atol=0)


@pytest.mark.parametrize("idle", [IDLE, {}])
def test_averaged_weights_come_over(tmp_path: Path, state: dict[str, Tensor], idle: dict[str, Tensor]) -> None:
    raw = {key: value + 1 for key, value in state.items()}
    whole = {"model": raw, "ema": {**state, **idle}, "optimizer": {"lr": 1e-5}, "scheduler": {}, "conf": {"T": 1000}}
    torch.save(whole, tmp_path / "last.pt")
    convert(checkpoint=tmp_path / "last.pt", out=tmp_path / "out", config=CONFIG)
    _assert_same(tmp_path / "out", state)


def test_a_plain_state_dict_comes_over(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({**state, **IDLE}, tmp_path / "ema.pt")
    convert(state_dict=tmp_path / "ema.pt", out=tmp_path / "out", config=CONFIG)
    _assert_same(tmp_path / "out", state)


def test_pickled_settings_are_not_executed_and_the_way_round_is_told(
    tmp_path: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings()
    settings.__dict__["num_timesteps"] = 1000
    torch.save({"ema": state, "conf": settings}, tmp_path / "last.pt")
    Settings.made = False
    assert main(["convert", "pidm", "--checkpoint", str(tmp_path / "last.pt"), "--out", str(tmp_path / "out")]) == 1
    complaint = capsys.readouterr().err
    assert not Settings.made and not (tmp_path / "out").exists()
    assert "holds more than tensors" in complaint and "Settings" in complaint
    assert "--state-dict ema.pt" in complaint


def test_keys_that_are_off_are_listed(tmp_path: Path, state: dict[str, Tensor]) -> None:
    wrong = dict(state)
    del wrong["out.2.bias"]
    wrong["time_embed.0.weight"] = torch.zeros(1)
    wrong["input_blocks.0.0.bias"] = torch.zeros(5)
    torch.save({"ema": wrong}, tmp_path / "last.pt")
    with pytest.raises(WeightsError) as caught:
        convert(checkpoint=tmp_path / "last.pt", out=tmp_path / "out", config=CONFIG)
    assert caught.value.missing == ("out.2.bias",)
    assert caught.value.unexpected == ("time_embed.0.weight",)
    assert caught.value.mis_shaped == (("input_blocks.0.0.bias", (5,), (8,)),)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [({"model": {}}, "under 'ema', has model"), ({"ema": 3}, "under 'ema'"), ([1], "holds a list")],
)
def test_another_file_is_refused(tmp_path: Path, content: object, complaint: str) -> None:
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match=complaint):
        convert(checkpoint=tmp_path / "last.pt", out=tmp_path / "out", config=PidmConfig())


def test_a_small_networks_file_is_not_taken_for_the_published(
    tmp_path: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(state, tmp_path / "ema.pt")
    assert main(["convert", "pidm", "--state-dict", str(tmp_path / "ema.pt"), "--out", str(tmp_path / "out")]) == 1
    assert "must be [128, 23, 3, 3]" in capsys.readouterr().err
