"""Weights by name or folder, and their digests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atelier import weights
from atelier.errors import WeightsError
from atelier.models import registry


def test_a_folder_is_found_by_its_path_and_known_by_its_contents(tmp_path: Path) -> None:
    first = weights.write_folder(tmp_path / "a", {"model": "x"}, {"net": {"w": torch.zeros(2)}})
    assert registry.folder(str(tmp_path / "a")) == tmp_path / "a"
    assert registry.digest(str(tmp_path / "a")) == first
    weights.write_folder(tmp_path / "b", {"model": "x"}, {"net": {"w": torch.zeros(2)}})
    assert registry.digest(str(tmp_path / "b")) == first
    changed = weights.write_folder(tmp_path / "a", {"model": "x"}, {"net": {"w": torch.ones(2)}})
    assert registry.digest(str(tmp_path / "a")) == changed != first


def test_a_card_beside_the_weights_changes_nothing(tmp_path: Path) -> None:
    first = weights.write_folder(tmp_path, {}, {"net": {"w": torch.zeros(2)}})
    (tmp_path / "README.md").write_text("a card")
    assert registry.digest(str(tmp_path)) == first


def test_unknown_weights_are_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no_such: is neither a folder .* nor one of the shipped weights"):
        registry.folder("no_such")
    with pytest.raises(WeightsError):
        registry.folder(str(tmp_path))


def test_every_shipped_weight_has_a_name() -> None:
    for name in registry.names():
        assert registry.folder(name).name == name and len(registry.digest(name)) == 64
