"""A SegFormer as transformers saves it, out of a local folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atelier.errors import WeightsError
from atelier.models.parsing.labels import cihp_ids
from atelier.models.parsing.parser import HumanParser
from atelier.models.parsing.segformer import Preparation


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SegFormer of four classes, sides left out as in fashn's set."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    names = {0: "background", 1: "face", 2: "top", 3: "arms"}
    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8,
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )
    folder = tmp_path_factory.mktemp("segformer")
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_gives_the_network_s_own_argmax_in_cihp(saved: Path) -> None:
    from transformers import SegformerForSemanticSegmentation

    person = torch.randint(0, 256, (2, 64, 48, 3), dtype=torch.uint8)
    parser = HumanParser.from_pretrained(saved)
    found = parser(person)

    network = SegformerForSemanticSegmentation.from_pretrained(saved, local_files_only=True).eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        logits = network(pixel_values=((person / 255 - mean) / std).permute(0, 3, 1, 2)).logits
    classes = torch.nn.functional.interpolate(logits, size=(64, 48), mode="bilinear").argmax(1)
    known = classes != 3
    assert found.dtype == torch.uint8
    agree = found[known].long() == torch.tensor([0, 13, 5])[classes[known]]
    assert agree.float().mean() > 0.999
    assert set(found[~known].tolist()) <= {14, 15}


class Painted(torch.nn.Module):
    """Reads the class off the picture: the shade of red counts it."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        classes = ((picture[:, 0] + 1) * 127.5).round().long()
        return torch.nn.functional.one_hot(classes, 4).permute(0, 3, 1, 2).float()


def test_sideless_arms_are_divided_at_the_middle_line() -> None:
    names = {0: "background", 1: "face", 2: "top", 3: "arms"}
    person = torch.zeros(2, 8, 12, 3, dtype=torch.uint8)
    person[0, 2:6, 6:8, 0], person[0, 2:6, 4, 0], person[0, 2:6, 9, 0] = 2, 3, 3
    person[1, :, 1, 0], person[1, :, 10, 0] = 3, 3  # no torso: the picture's middle divides
    found = HumanParser(Painted(), cihp_ids(names, "names"))(person)
    assert found[0, 3].tolist() == [0, 0, 0, 0, 15, 0, 5, 5, 0, 14, 0, 0]  # the right arm is on the picture's left
    assert found[1, 3, [1, 10]].tolist() == [15, 14]


def test_preparation_is_the_folder_s_own(copied: Path) -> None:
    processor = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "size": {"height": 96, "width": 64}}
    (copied / "preprocessor_config.json").write_text(json.dumps(processor))
    assert Preparation.from_folder(copied) == Preparation(mean=(0.5,) * 3, std=(0.25,) * 3, size=(96, 64))
    assert HumanParser.from_pretrained(copied)(torch.zeros(1, 64, 48, 3, dtype=torch.uint8)).shape == (1, 64, 48)
    (copied / "preprocessor_config.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json"):
        Preparation.from_folder(copied)


def test_names_and_keys_that_do_not_fit_are_listed(copied: Path) -> None:
    state = load_file(copied / "model.safetensors")
    fuse = next(key for key in state if "linear_fuse" in key)
    save_file({**{key: value for key, value in state.items() if key != fuse}, "stranger": torch.zeros(1)},
              copied / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(WeightsError) as caught:
        HumanParser.from_pretrained(copied)
    assert caught.value.missing == (fuse,) and caught.value.unexpected == ("stranger",)

    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "id2label": {"0": "background", "1": "LABEL_1"}}))
    with pytest.raises(WeightsError, match="LABEL_1"):
        HumanParser.from_pretrained(copied)
    (copied / "model.safetensors").unlink()
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing"):
        HumanParser.from_pretrained(copied)
