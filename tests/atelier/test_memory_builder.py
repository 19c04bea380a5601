"""Which crops a memory keeps, and the command that builds one of a folder."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F

from atelier.__main__ import main
from atelier.closet import draw_look, outfit_for
from atelier.closet.files import jpeg, labels_png
from atelier.closet.layouts import write_dataset
from atelier.closet.pose_pack import pose_seed
from atelier.errors import ConfigError
from atelier.memory import read_memory
from atelier.memory_builder import MemoryBuilder
from atelier.models.human_diffusion import HumanDiffusion, human_diffusion_closet
from atelier.models.human_diffusion.regions import REGIONS
from atelier.models.human_diffusion.remembering import Remembered

TOP, SHOES = 1, 11


def _remembered(regions: list[int], phrases: list[str]) -> Remembered:
    num = len(regions)
    generator = torch.Generator().manual_seed(num)
    return Remembered(
        rows=tuple(range(num)),
        regions=tuple(regions),
        phrases=tuple(phrases),
        text_keys=F.normalize(torch.randn(num, 8, generator=generator), dim=1),
        image_keys=F.normalize(torch.randn(num, 8, generator=generator), dim=1),
        values=torch.randn(num, 4, 8, generator=generator),
    )


def _built(builder: MemoryBuilder, max_bytes: int = 100_000) -> list[tuple[str, int, str]]:
    rows = builder.build(max_bytes=max_bytes, encoders_digest="").rows
    return [tuple(row[name] for name in ("item_id", "region", "phrase")) for row in rows.to_pylist()]


def test_rows_are_ordered_by_region_and_arrival_and_phrases_are_held_to_their_number() -> None:
    builder = MemoryBuilder(per_phrase=2)
    builder.add(
        ["a", "b", "c", "d", "e"], _remembered([SHOES, TOP, SHOES, SHOES, SHOES], ["tan", "red", "tan", "tan", "red"])
    )
    assert _built(builder) == [
        ("b", TOP, "red"),
        ("a", SHOES, "tan"),
        ("c", SHOES, "tan"),
        ("e", SHOES, "red"),
    ]


def test_what_does_not_fit_is_the_most_seen(tmp_path: Path) -> None:
    builder = MemoryBuilder(per_phrase=50)
    builder.add(
        [f"shoes-{index}" for index in range(50)], _remembered([SHOES] * 50, ["tan shoes"] * 49 + ["red boots"])
    )
    builder.add(["a", "b", "c"], _remembered([TOP] * 3, ["red shirt", "blue shirt", "red shirt"]))
    for max_bytes in (9_000, 10_000, 12_000):
        memory = builder.build(max_bytes=max_bytes, encoders_digest="")
        kept = Counter(memory.rows.column("phrase").to_pylist())
        assert {"red boots", "tan shoes", "red shirt", "blue shirt"} <= set(kept)
        memory.save(tmp_path)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= max_bytes
    assert kept["tan shoes"] < 49 and kept["red shirt"] == 2


def test_a_memory_that_would_hold_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="of 0 crops not one fits"):
        MemoryBuilder().build(max_bytes=100_000, encoders_digest="")
    with pytest.raises(ConfigError, match="per_phrase: is 0"):
        MemoryBuilder(per_phrase=0)


@pytest.fixture(scope="module")
def closet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multimodal")
    write_dataset("multimodal", str(folder), items=4, seed=0, size=(96, 64), split="train")
    return folder


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    config = dataclasses.replace(human_diffusion_closet(), working_size=(64, 48), width=16, head_width=16, num_groups=4)
    HumanDiffusion(config).save_pretrained(folder, dtype=torch.float16)
    return folder


def _build(closet: Path, weights: Path, out: Path, *more: str) -> int:
    return main(["memory", "build", "--data", str(closet), "--model", str(weights), "--out", str(out), *more])


def test_the_command_builds_the_same_memory_again(
    closet_folder: Path, weights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _build(closet_folder, weights_folder, tmp_path / "a") == 0
    assert _build(closet_folder, weights_folder, tmp_path / "b") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.partition(": ")[2] == second.partition(": ")[2]
    memory = read_memory(tmp_path / "a")
    assert f"{memory.num_rows} crops of 4 pictures" in first
    found = {REGIONS[region] for region in memory.rows.column("region").to_pylist()}
    assert {"top", "face", "skin", "footwear"} <= found and "background" not in found
    model = HumanDiffusion.from_pretrained(weights_folder)
    phrase = memory.rows.column("phrase").to_pylist()[0]
    assert bool(model.encode([f"a person with a {phrase}"], memory).remembered.any())


def test_what_cannot_be_read_is_named_and_left_out(
    closet_folder: Path, weights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    write_dataset("multimodal", str(broken), items=2, seed=1, size=(96, 64), split="train")
    picture = sorted((broken / "images").iterdir())[0]
    picture.write_bytes(picture.read_bytes()[:100])
    assert _build(broken, weights_folder, tmp_path / "out") == 0
    said = capsys.readouterr()
    assert f"left out: {picture}" in said.err and "of 1 pictures" in said.out
    assert _build(tmp_path / "nowhere", weights_folder, tmp_path / "out") == 1
    assert _build(closet_folder, weights_folder, tmp_path / "out", "--max-bytes", "100") == 2


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_memory_is_built_of_a_catalog(
    kind: str, weights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of rows with a person and a sentence; regions by their own parse, or by the parser's."""
    looks = [
        draw_look(person=seed, outfit=outfit_for(seed), pose=pose_seed("standing"), size=(128, 96)) for seed in (1, 2)
    ]
    (tmp_path / "shop").mkdir()
    for number, look in enumerate(looks):
        (tmp_path / "shop" / f"{number}.jpg").write_bytes(jpeg(look.image))
    (tmp_path / "shop" / "0.png").write_bytes(labels_png(np.ascontiguousarray(looks[0].parse_cihp)))
    (tmp_path / "shop" / "nobody.jpg").write_bytes(jpeg(np.full((128, 96, 3), 200, np.uint8)))
    rows = [
        {"item_id": "given", "task": "pose_transfer", "person": "0.jpg", "prompt": looks[0].caption, "parse": "0.png"},
        {"item_id": "found", "task": "pose_transfer", "person": "1.jpg", "prompt": looks[1].caption, "parse": ""},
        {"item_id": "nobody", "task": "pose_transfer", "person": "nobody.jpg", "prompt": "a red shirt", "parse": ""},
        {"item_id": "bare", "task": "pose_transfer", "person": "0.jpg", "prompt": "", "parse": ""},
    ]
    table = tmp_path / "shop" / f"catalog.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), table)
    elif kind == "jsonl":
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    assert _build(table, weights_folder, tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "crops of 2 pictures" in said.out
    assert "nobody.jpg: no_person: person: no person is seen in it" in said.err
    memory = read_memory(tmp_path / "out")
    held = {(row["item_id"], REGIONS[row["region"]]) for row in memory.rows.to_pylist()}
    assert {item for item, _ in held} == {"given", "found"}
    assert {(item, region) for item in ("given", "found") for region in ("face", "skin", "footwear")} <= held
    empty = tmp_path / "shop" / "empty.csv"
    empty.write_text("item_id,person\na,0.jpg\n")
    assert _build(empty, weights_folder, tmp_path / "none") == 1
    assert "no row has both a person and a prompt" in capsys.readouterr().err


def test_no_other_folder_is_written_over(closet_folder: Path, weights_folder: Path, tmp_path: Path) -> None:
    before = (weights_folder / "config.json").read_bytes()
    assert _build(closet_folder, weights_folder, weights_folder) == 2
    assert (weights_folder / "config.json").read_bytes() == before
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SystemExit, match="2"):
        _build(closet_folder, weights_folder, tmp_path / "file" / "memory")
    assert _build(closet_folder, weights_folder, tmp_path / "memory", "--items", "1") == 0
    assert _build(closet_folder, weights_folder, tmp_path / "memory", "--items", "2") == 0
    assert "2 pictures" in (tmp_path / "memory" / "config.json").read_text()


@pytest.mark.parametrize("option", ["--items", "--per-phrase", "--max-bytes"])
@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_counts_are_whole_numbers_from_one_up(
    closet_folder: Path, weights_folder: Path, tmp_path: Path, option: str, value: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _build(closet_folder, weights_folder, tmp_path / "out", option, value)
    assert not (tmp_path / "out").exists()
