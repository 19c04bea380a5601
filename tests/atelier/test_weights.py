"""Weight folders: written, read strictly, named by their content."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from atelier import weights
from atelier.errors import WeightsError


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_half_precision_on_disk_is_float32_in_use(tmp_path: Path) -> None:
    network, twin = _network(), _network()
    weights.write_folder(tmp_path, {"model": "toy"}, {"net": network.state_dict()}, dtype=torch.float16)
    state = weights.read_state(tmp_path, "net")
    assert state["0.weight"].dtype == torch.float16 and state["1.num_batches_tracked"].dtype == torch.int64
    weights.load_into(twin, state, tmp_path)
    assert twin.state_dict()["0.weight"].dtype == torch.float32
    torch.testing.assert_close(twin.state_dict()["0.weight"], network.state_dict()["0.weight"], atol=1e-3, rtol=1e-3)
    assert weights.read_config(tmp_path) == {"model": "toy"}


def test_value_beyond_half_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"running_var holds values that torch.float16 cannot"):
        weights.write_folder(tmp_path, {}, {"net": {"running_var": torch.tensor([1e6])}}, dtype=torch.float16)


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_nan_is_not_written(dtype: torch.dtype | None, tmp_path: Path) -> None:
    state = {"bias": torch.tensor([1.0, float("nan")])}
    with pytest.raises(WeightsError, match=r"net.safetensors.*network net: bias holds 1 values of 2 that are NaN"):
        weights.write_folder(tmp_path, {}, {"net": state}, dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_digest_is_of_the_weights_alone(tmp_path: Path) -> None:
    state = _network().state_dict()
    digest = weights.write_folder(tmp_path / "a", {"model": "toy"}, {"net": state})
    (tmp_path / "a" / "README.md").write_text("a model card")
    assert weights.folder_digest(tmp_path / "a") == digest
    assert weights.write_folder(tmp_path / "b", {"model": "toy"}, {"net": state}) == digest
    assert weights.write_folder(tmp_path / "c", {"model": "other"}, {"net": state}) != digest
    assert weights.write_folder(tmp_path / "d", {"model": "toy"}, {"renamed": state}) != digest


def test_every_key_that_is_off_is_listed_and_nothing_is_loaded() -> None:
    network = _network()
    before = network.state_dict()["0.weight"].clone()
    state = {key: value + 1 for key, value in network.state_dict().items()}
    del state["1.bias"]
    state["2.weight"], state["0.bias"] = torch.zeros(1), torch.zeros(5)
    with pytest.raises(WeightsError) as caught:
        weights.load_into(network, state, "toy.pth")
    assert caught.value.missing == ("1.bias",)
    assert caught.value.unexpected == ("2.weight",)
    assert caught.value.mis_shaped == (("0.bias", (5,), (4,)),)
    assert all(text in str(caught.value) for text in ("toy.pth", "1.bias", "2.weight", "0.bias is [5], must be [4]"))
    assert torch.equal(network.state_dict()["0.weight"], before)


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"hello", b"\x80\x02hello", pickle.dumps(Path("x"))])
def test_foreign_file_that_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        weights.read_foreign(path)


def test_foreign_file_with_code_is_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(1), "path": Path("x")}, path)
    with pytest.raises(WeightsError, match="holds more than tensors"):
        weights.read_foreign(path)


def test_foreign_file_that_wraps_its_state_dict(tmp_path: Path) -> None:
    torch.save({"ema": {"weight": torch.zeros(1)}, "step": 3}, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match=r"also holds ema, step; give the state dict inside it"):
        weights.read_foreign(tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="there is no such file"):
        weights.read_foreign(tmp_path / "absent.pth")


def test_folder_without_config_or_network(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"config\.json is missing"):
        weights.read_config(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(WeightsError, match="must hold a JSON object"):
        weights.read_config(tmp_path)
    with pytest.raises(WeightsError, match=r"net\.safetensors is missing"):
        weights.read_state(tmp_path, "net")
    (tmp_path / "net.safetensors").write_bytes(b"torn")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        weights.read_state(tmp_path, "net")


def test_nothing_of_torchs_reader_is_said_of_a_foreign_pickle(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps({"VGG16_0": np.zeros(3)}, protocol=4))
    with pytest.raises(WeightsError, match="only a plain state dict of tensors is read"):
        weights.read_foreign(path)
    assert not recwarn.list
