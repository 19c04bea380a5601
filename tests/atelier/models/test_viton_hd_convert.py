"""Published checkpoint files become a weight folder, or an error that lists what is off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from atelier.__main__ import main
from atelier.errors import WeightsError
from atelier.models.viton_hd import VitonHD, viton_hd_closet
from atelier.models.viton_hd.convert import convert
from atelier.models.viton_hd.networks import NETWORKS
from tests.parity.fill import fill, keys_of


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Tensor]]:
    model = VitonHD(viton_hd_closet())
    return {name: fill(keys_of(model.get_submodule(name))) for name in NETWORKS}


def _save(folder: Path, states: dict[str, dict[str, Tensor]]) -> dict[str, Path]:
    paths = {name: folder / f"{name}.pth" for name in states}
    for name, path in paths.items():
        torch.save(states[name], path)
    return paths


def test_every_tensor_comes_over(tmp_path: Path, states: dict[str, dict[str, Tensor]]) -> None:
    convert(**_save(tmp_path, states), out=tmp_path / "out", config=viton_hd_closet())
    model = VitonHD.from_pretrained(tmp_path / "out", options=None)
    for name in NETWORKS:
        torch.testing.assert_close(dict(model.get_submodule(name).state_dict()), states[name], rtol=0, atol=0)


def test_keys_that_are_off_are_listed(tmp_path: Path, states: dict[str, dict[str, Tensor]]) -> None:
    alias = dict(states["alias"])
    alias["head_0.conv_0.weight"] = alias.pop("head_0.conv_0.weight_orig")  # the newer spectral norm's way
    alias["conv_img.bias"] = torch.zeros(4)
    with pytest.raises(WeightsError) as caught:
        convert(**_save(tmp_path, {**states, "alias": alias}), out=tmp_path / "out", config=viton_hd_closet())
    assert caught.value.missing == ("head_0.conv_0.weight_orig",)
    assert caught.value.unexpected == ("head_0.conv_0.weight",)
    assert caught.value.mis_shaped == (("conv_img.bias", (4,), (3,)),)
    assert "alias.pth" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_files_in_each_others_places_are_told(tmp_path: Path, states: dict[str, dict[str, Tensor]]) -> None:
    paths = _save(tmp_path, states)
    paths["segmentation"], paths["alias"] = paths["alias"], paths["segmentation"]
    with pytest.raises(WeightsError, match=r"alias\.pth: given as --segmentation, .* is that of --alias"):
        convert(**paths, out=tmp_path / "out", config=viton_hd_closet())


def test_a_network_saved_wrapped_is_told_in_a_sentence(tmp_path: Path, states: dict[str, dict[str, Tensor]]) -> None:
    wrapped = {f"module.{key}": value for key, value in states["matching"].items()}
    paths = _save(tmp_path, {**states, "matching": wrapped})
    with pytest.raises(WeightsError, match=r"matching\.pth: all keys begin with 'module\.'") as caught:
        convert(**paths, out=tmp_path / "out", config=viton_hd_closet())
    assert "\n" not in str(caught.value) and str(caught.value).endswith("nothing else is off")
    del wrapped[next(iter(wrapped))]
    with pytest.raises(WeightsError, match="besides, these are off") as caught:
        convert(**_save(tmp_path, {**states, "matching": wrapped}), out=tmp_path / "out", config=viton_hd_closet())
    assert caught.value.missing == (next(iter(states["matching"])),) and not caught.value.unexpected


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(
    value: float, tmp_path: Path, states: dict[str, dict[str, Tensor]]
) -> None:
    alias = {key: tensor.clone() for key, tensor in states["alias"].items()}
    alias["conv_img.bias"][1] = value
    paths = _save(tmp_path, {**states, "alias": alias})
    said = r"alias\.pth: network alias: conv_img\.bias holds 1 values of 3 that are NaN or infinite"
    with pytest.raises(WeightsError, match=said):
        convert(**paths, out=tmp_path / "out", config=viton_hd_closet())
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_checkpoint(tmp_path: Path, states: dict[str, dict[str, Tensor]]) -> None:
    paths = {**_save(tmp_path, states), "matching": tmp_path}
    with pytest.raises(WeightsError, match=f"{tmp_path}: is a folder, must be a file"):
        convert(**paths, out=tmp_path / "out", config=viton_hd_closet())


def test_command_line_says_what_is_wrong(
    tmp_path: Path, states: dict[str, dict[str, Tensor]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = _save(tmp_path, states)  # the small network's files, where the published one's are wanted
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    assert main(["convert", "viton_hd", *options, "--out", str(tmp_path / "out")]) == 1
    complaint = capsys.readouterr().err
    assert "segmentation.pth" in complaint and "mis-shaped" in complaint and "must be [64, 21, 3, 3]" in complaint
