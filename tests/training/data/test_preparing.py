"""Folders as teams have them become samples; what is wrong with one is said, and no row is lost in silence."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from atelier import storage
from atelier.closet.layouts import Layout, write_dataset
from atelier.datasets.multimodal import KEYPOINTS
from atelier.errors import CatalogError, ConfigError
from atelier.images import decode_labels, decode_picture
from atelier.models.human_diffusion import human_diffusion_closet
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.described import DescribedColumns
from training.data.look import LookColumns
from training.data.preparing.here import prepare_here
from training.data.preparing.part import make_part
from training.data.preparing.plan import Preparation, plan
from training.data.shards import ShardDataset
from training.data.sources.closet import ClosetSource
from training.data.sources.finding import LayoutSettings, find_source
from training.data.truepose import TruePoseColumns
from training.data.try_on import TryOnColumns

SIZE = (64, 48)
SETTINGS = LayoutSettings(size=SIZE)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each layout, with six rows."""
    root = tmp_path_factory.mktemp("layouts")
    layouts: tuple[Layout, ...] = ("viton_hd", "deepfashion", "multimodal")
    for layout in layouts:
        write_dataset(layout, str(root / layout), items=6, seed=3, size=SIZE, split="train")
    return root


@pytest.fixture
def viton_hd(drawn: Path, tmp_path: Path) -> Path:
    """A VITON-HD folder that a test may damage."""
    for path in (drawn / "viton_hd").rglob("*"):
        if path.is_file():
            copy = tmp_path / "viton_hd" / path.relative_to(drawn / "viton_hd")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path / "viton_hd"


def prepared(root: Path, output: Path, *, max_left_out: float = 0.5) -> ShardDataset:
    preparation = plan(find_source(str(root), SETTINGS), str(output), rows_per_shard=4, max_left_out=max_left_out)
    prepare_here(preparation)
    return ShardDataset(str(output), output.parent / "cache")


def test_a_viton_hd_folder_becomes_what_inference_would_see(drawn: Path, tmp_path: Path) -> None:
    dataset = prepared(drawn / "viton_hd", tmp_path / "shards")
    assert dataset.column_names == ("person", "parse", "keypoints", "garment", "garment_mask")
    assert dataset.ids(range(6)) == [f"{index:05d}_00" for index in range(6)]
    train = drawn / "viton_hd" / "train"
    sample = dataset[5]
    assert np.array_equal(sample["person"], decode_picture((train / "image/00005_00.jpg").read_bytes()))
    assert np.array_equal(sample["garment"], decode_picture((train / "cloth/00005_00.jpg").read_bytes()))
    assert np.array_equal(sample["parse"], decode_labels((train / "image-parse-v3/00005_00.png").read_bytes()))
    assert sample["keypoints"].shape == (25, 3) and sample["keypoints"][1, 2] == 1
    assert set(np.unique(sample["garment_mask"])) == {0, 1}
    columns = TryOnColumns()(sample, np.random.default_rng(0))
    assert columns["agnostic_person"].shape == (*SIZE, 3)


def test_pictures_are_fitted_to_the_working_size(drawn: Path, tmp_path: Path) -> None:
    smaller = find_source(str(drawn / "viton_hd"), LayoutSettings(size=(32, 32)))
    prepare_here(plan(smaller, str(tmp_path / "shards")))
    sample = ShardDataset(str(tmp_path / "shards"), tmp_path / "cache")[0]
    assert sample["person"].shape == (32, 32, 3) and sample["parse"].shape == (32, 32)
    assert sample["keypoints"][:, 1].max() <= 32


def test_a_deepfashion_folder_becomes_pairs(drawn: Path, tmp_path: Path) -> None:
    dataset = prepared(drawn / "deepfashion", tmp_path / "shards")
    assert dataset.column_names == ("source", "target", "source_keypoints", "target_keypoints")
    assert dataset.ids([0]) == ["closet_id_00000000_1_front>closet_id_00000000_2_side"]
    sample = dataset[0]
    picture = drawn / "deepfashion" / "train" / "closet_id_00000000_2_side.jpg"
    assert np.array_equal(sample["target"], decode_picture(picture.read_bytes()))
    assert sample["source_keypoints"].shape == (25, 3) and (sample["source_keypoints"][:, 2] > 0).sum() > 8


def test_joints_annotated_at_another_size_move_along(drawn: Path, tmp_path: Path) -> None:
    plain, halved = (
        find_source(str(drawn / "deepfashion"), LayoutSettings(size=SIZE, annotation_size=size))
        for size in (None, (2 * SIZE[0], 2 * SIZE[1]))
    )
    samples = []
    for name, source in (("plain", plain), ("halved", halved)):
        prepare_here(plan(source, str(tmp_path / name)))
        samples.append(ShardDataset(str(tmp_path / name), tmp_path / "cache")[0]["source_keypoints"])
    np.testing.assert_allclose(samples[0][:, :2], 2 * samples[1][:, :2], atol=1e-4)


def test_a_multimodal_folder_becomes_captioned_pictures(drawn: Path, tmp_path: Path) -> None:
    dataset = prepared(drawn / "multimodal", tmp_path / "shards")
    captions = json.loads((drawn / "multimodal" / "captions.json").read_bytes())
    sample = dataset[2]
    assert sample["caption"].item() == captions[f"{dataset.ids([2])[0]}.jpg"]
    assert sample["parse"].max() < 24 and sample["keypoints"].shape == (21, 3)


def test_a_layout_can_be_named_and_a_stranger_is_refused(drawn: Path, tmp_path: Path) -> None:
    named = find_source(f"viton_hd:{drawn / 'viton_hd'}", SETTINGS)
    assert named == find_source(str(drawn / "viton_hd"), SETTINGS)
    with pytest.raises(CatalogError, match=r"train_pairs.txt \(viton_hd\), .*captions.json \(multimodal\), nor the"):
        find_source(str(tmp_path), SETTINGS)
    with pytest.raises(CatalogError, match=r"not a VITON-HD folder: .*train_pairs.txt is absent"):
        plan(find_source(f"viton_hd:{tmp_path}", SETTINGS), str(tmp_path / "shards"))


def test_a_file_in_place_of_a_folder_is_refused(drawn: Path, s3: str) -> None:
    address = drawn / "viton_hd" / "train_pairs.txt"
    for named in (str(address), f"viton_hd:{address}"):
        with pytest.raises(CatalogError, match=rf"{address}: is a file; must be .*, such as {address.parent}$"):
            find_source(named, SETTINGS)
    storage.put(f"{s3}/data/train_pairs.txt", b"a")
    with pytest.raises(CatalogError, match=r"train_pairs.txt: is a file; must be a folder or s3:// prefix"):
        find_source(f"{s3}/data/train_pairs.txt", SETTINGS)


def test_a_pair_that_names_a_missing_picture_is_refused_before_any_work(viton_hd: Path, tmp_path: Path) -> None:
    with (viton_hd / "train_pairs.txt").open("a") as pairs:
        pairs.write("ghost.jpg 00001_00.jpg\n")
    with pytest.raises(
        CatalogError, match=r"train_pairs.txt, line 7: names 'ghost.jpg', but there is no .*image/ghost"
    ):
        plan(find_source(str(viton_hd), SETTINGS), str(tmp_path / "shards"))


def test_an_annotated_picture_that_is_missing_is_refused_before_any_work(drawn: Path, tmp_path: Path) -> None:
    for name in ("fasion-resize-pairs-train.csv", "fasion-resize-annotation-train.csv"):
        (tmp_path / name).write_bytes((drawn / "deepfashion" / name).read_bytes())
    with pytest.raises(
        CatalogError, match=r"12 of 12 files .* not there.*source_person: .*closet_id_00000000_1_front.jpg"
    ):
        plan(find_source(str(tmp_path), SETTINGS), str(tmp_path / "shards"))


def test_a_broken_picture_is_left_out_and_named(viton_hd: Path, tmp_path: Path) -> None:
    picture = viton_hd / "train/image/00002_00.jpg"
    picture.write_bytes(picture.read_bytes()[:300])
    (viton_hd / "train/cloth/00004_00.jpg").write_bytes(b"")
    dataset = prepared(viton_hd, tmp_path / "shards")
    assert dataset.ids(range(4)) == ["00000_00", "00001_00", "00003_00", "00005_00"]
    assert (dataset.index.num_listed, dataset.num_samples) == (6, 4)
    assert sum(dataset.index.left_out.values()) == 2
    lines = [json.loads(line) for line in (tmp_path / "shards/left_out.jsonl").read_text().splitlines()]
    assert [(line["id"], line["stage"], line["code"]) for line in lines] == [
        ("00002_00", "decode", "picture_truncated"),
        ("00004_00", "fetch", "object_empty"),
    ]
    assert lines[0]["detail"].startswith("person: ")


def test_too_many_broken_pictures_refuse_the_data_set(viton_hd: Path, tmp_path: Path) -> None:
    for index in (1, 4):
        (viton_hd / f"train/cloth/{index:05d}_00.jpg").write_bytes(b"no picture")
    with pytest.raises(CatalogError, match=r"2 of 6 rows cannot be read; at most one or 2%.*the first: 00001_00: dec"):
        prepared(viton_hd, tmp_path / "shards", max_left_out=0.02)
    with pytest.raises(CatalogError, match="holds no prepared data"):
        ShardDataset(str(tmp_path / "shards"), tmp_path / "cache")


def test_what_is_prepared_is_held_to_how_much_may_be_left_out_now(viton_hd: Path, tmp_path: Path) -> None:
    for index in (1, 4):
        (viton_hd / f"train/cloth/{index:05d}_00.jpg").write_bytes(b"no picture")
    prepared(viton_hd, tmp_path / "shards", max_left_out=0.5)
    with pytest.raises(CatalogError, match=r"2 of 6 rows cannot be read; at most one or 2%.*by code: \w+: 2"):
        prepared(viton_hd, tmp_path / "shards", max_left_out=0.02)
    prepared(viton_hd, tmp_path / "shards", max_left_out=0.5)


def test_a_caption_that_says_nothing_is_left_out_and_named(drawn: Path, tmp_path: Path) -> None:
    root = tmp_path / "multimodal"
    shutil.copytree(drawn / "multimodal", root)
    captions = json.loads((root / "captions.json").read_bytes())
    empty, absent, *kept = captions
    (root / "captions.json").write_text(json.dumps(captions | {empty: " ", absent: None}))
    dataset = prepared(root, tmp_path / "shards")
    assert dataset.num_samples == len(kept)
    lines = [json.loads(line) for line in (tmp_path / "shards/left_out.jsonl").read_text().splitlines()]
    assert [(line["id"], line["stage"], line["code"]) for line in lines] == [
        (name.partition(".")[0], "true_picture", "caption_empty") for name in (empty, absent)
    ]


@pytest.fixture
def multimodal(drawn: Path, tmp_path: Path) -> Path:
    """A DeepFashion-MultiModal folder that a test may damage."""
    return Path(shutil.copytree(drawn / "multimodal", tmp_path / "multimodal"))


def test_a_picture_without_annotated_joints_is_left_out_and_named(multimodal: Path, tmp_path: Path) -> None:
    joints = multimodal / KEYPOINTS
    joints.write_text("".join(joints.read_text().splitlines(keepends=True)[:4]))
    dataset = prepared(multimodal, tmp_path / "shards")
    assert (dataset.index.num_listed, dataset.num_samples) == (6, 4)
    assert dataset.index.left_out == {"keypoints_absent": 2}
    lines = [json.loads(line) for line in (tmp_path / "shards/left_out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["closet-00000004", "closet-00000005"]
    with pytest.raises(CatalogError, match=r"2 of 6 rows cannot be read; .*keypoints: the data set has no line of"):
        prepared(multimodal, tmp_path / "others", max_left_out=0.02)


def test_only_a_run_that_reads_joints_wants_them(multimodal: Path, tmp_path: Path) -> None:
    looks = DataConfig(layout=SETTINGS, columns=LookColumns())
    described = DataConfig(layout=SETTINGS, columns=DescribedColumns(model=human_diffusion_closet()))
    (multimodal / KEYPOINTS).write_text("")
    with pytest.raises(CatalogError, match=r"keypoints_loc.txt: names none of the 6 pictures; must have a line a"):
        looks.open(str(multimodal), tmp_path / "cache")
    (multimodal / KEYPOINTS).unlink()
    with pytest.raises(CatalogError, match=r"keypoints_loc.txt: is absent; must have a line a picture"):
        looks.open(str(multimodal), tmp_path / "cache")
    dataset = described.open(str(multimodal), tmp_path / "cache")
    assert dataset.num_samples == 6 and "keypoints" not in dataset.column_names
    (shards,) = (path for path in (tmp_path / "cache/prepared").iterdir() if path.is_dir())
    with pytest.raises(ConfigError, match=r"lacks \['keypoints'\], .*; it was prepared for a run that reads none"):
        looks.open(str(shards), tmp_path / "cache")


def test_captions_of_pictures_without_a_parse_are_counted(
    multimodal: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    next((multimodal / "segm").iterdir()).unlink()
    captions = json.loads((multimodal / "captions.json").read_bytes())
    (multimodal / "captions.json").write_text(json.dumps(captions | {"ghost.jpg": "A person."}))
    with caplog.at_level("INFO", logger="training"):
        dataset = prepared(multimodal, tmp_path / "shards")
    assert (dataset.index.num_listed, dataset.num_samples) == (5, 5)
    assert "passed over: 2 captioned pictures without a parse (segm/NAME_segm.png)" in caplog.text


def closet(output: Path, *, seed: int = 0) -> Preparation:
    config = ClosetConfig(kind="looks", num_samples=5, size=(32, 32), seed=seed)
    return plan(ClosetSource(config=config), str(output), rows_per_shard=2)


def test_preparing_goes_on_from_what_an_earlier_try_made(tmp_path: Path) -> None:
    preparation = closet(tmp_path / "shards")
    todo, _ = preparation.pending()
    first = prepare_here(closet(tmp_path / "whole"))
    kept = tmp_path / "shards/shard-00001.arrow"
    (tmp_path / "shards/parts").mkdir(parents=True)
    kept.write_bytes((tmp_path / "whole/shard-00001.arrow").read_bytes())
    assert len(todo) == 3
    make_part(preparation.source.build(), todo[1])
    before = kept.stat().st_mtime_ns
    assert [part.number for part in preparation.pending()[0]] == [0, 2]
    assert prepare_here(preparation).digest == first.digest
    assert kept.stat().st_mtime_ns == before
    assert not list((tmp_path / "shards/parts").iterdir())


def test_prepared_data_is_kept_and_never_overwritten_by_other_data(tmp_path: Path) -> None:
    index = prepare_here(closet(tmp_path / "shards"))
    assert prepare_here(closet(tmp_path / "shards")) == index
    with pytest.raises(ConfigError, match=r"holds other prepared data \(closet, 5 samples\)"):
        prepare_here(closet(tmp_path / "shards", seed=1))


@pytest.mark.slow
def test_processes_make_the_same_shards(tmp_path: Path) -> None:
    alone = prepare_here(closet(tmp_path / "alone"), num_processes=1)
    together = prepare_here(closet(tmp_path / "together"), num_processes=2)
    assert together.shards == alone.shards


def test_workers_that_open_at_once_prepare_once(drawn: Path, tmp_path: Path) -> None:
    config = DataConfig(closet=ClosetConfig(kind="looks", num_samples=3, size=SIZE), columns=LookColumns())
    with ThreadPoolExecutor(3) as threads:
        opened = list(threads.map(lambda _: config.open(None, tmp_path), range(3)))
    assert len({dataset.digest for dataset in opened}) == 1
    assert len([path for path in (tmp_path / "prepared").iterdir() if path.is_dir()]) == 1
    assert config.open(str(drawn / "viton_hd"), tmp_path).num_samples == 6


def test_a_run_without_drawn_data_must_be_given_some(tmp_path: Path) -> None:
    config = DataConfig(layout=SETTINGS, columns=LookColumns())
    with pytest.raises(ConfigError, match="--data: is not given; this run draws none of its own"):
        config.open(None, tmp_path)
    with pytest.raises(ConfigError, match="--data: is 'closet'; this run draws none of its own"):
        config.open("closet", tmp_path)


def test_data_that_a_run_cannot_read_is_refused_before_it_is_prepared(drawn: Path, tmp_path: Path) -> None:
    config = DataConfig(layout=SETTINGS, columns=TruePoseColumns(pose="skeleton"))
    with pytest.raises(ConfigError, match=r"lacks \['source_parse', 'target_parse'\], .*`prepare --parser WEIGHTS`"):
        config.open(str(drawn / "deepfashion"), tmp_path)
    assert not list(tmp_path.rglob("*.arrow"))
