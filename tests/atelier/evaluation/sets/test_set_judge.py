"""Whole evaluations of small sets: what they score, what they write, what they refuse."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm

from atelier.errors import ConfigError, MismatchError
from atelier.evaluation import sets
from atelier.evaluation.sets.features import load_features
from atelier.evaluation.sets.presets import pidm
from atelier.models.lpips import LPIPS
from atelier.weights import write_folder
from tests.atelier.evaluation.sets.tiny_parser import write_tiny_parser

NUM_PAIRS, SIZE = 12, (64, 48)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`made/` JPEGs near the `true/` PNGs of their names."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(5)
    for number in range(NUM_PAIRS):
        coarse = random.integers(0, 256, (8, 6, 3), dtype=np.uint8)
        truth = Image.fromarray(coarse).resize((SIZE[1], SIZE[0]), Image.Resampling.BICUBIC)
        for side, suffix in (("true", "png"), ("made", "jpg")):
            (folder / side).mkdir(exist_ok=True)
            truth.save(folder / side / f"{number:02}_00.{suffix}", quality=60)
    return folder


@pytest.fixture(scope="module")
def lpips(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Untrained LPIPS weights."""
    folder = tmp_path_factory.mktemp("weights") / "lpips"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = LPIPS("alex")
    heads = {key: value.abs() for key, value in network.heads.state_dict().items()}
    config = {"model": "lpips", "version": "0.1", "net": "alex"}
    write_folder(folder, config, {"backbone": network.backbone.state_dict(), "heads": heads})
    return str(folder)


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained parser of 8 features."""
    return write_tiny_parser(tmp_path_factory.mktemp("weights") / "tiny_parser", num_features=8)


@pytest.fixture
def job(pictures: Path, parser: str) -> Callable[..., sets.Job]:
    def made(**changes: Any) -> sets.Job:
        fields = {"made": str(pictures / "made"), "truth": str(pictures / "true"), "features": parser}
        return sets.Job(**fields | {"batch_size": 5, "num_threads": 2} | changes)

    return made


def test_record_states_what_was_judged_and_how(job: Callable[..., sets.Job], lpips: str, tmp_path: Path) -> None:
    evaluation = sets.evaluate(job(lpips=lpips))
    sets.write(evaluation, str(tmp_path / "out"))
    record = json.loads((tmp_path / "out" / "eval.json").read_text())

    schema = json.loads(resources.files("atelier.evaluation.sets").joinpath("eval.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(record)
    assert record["num_pairs"] == NUM_PAIRS and record["size"] == list(SIZE)
    assert record["sets"]["made"]["num_pictures"] == NUM_PAIRS
    assert record["sets"]["made"]["sha256"] != record["sets"]["truth"]["sha256"]
    assert 0.5 < record["scores"]["ssim"]["mean"] < 1 and record["scores"]["lpips"]["mean"] > 0
    assert record["weights"]["features"]["num_features"] == 8
    worst = record["scores"]["psnr"]["worst"]
    assert [one["value"] for one in worst] == sorted(one["value"] for one in worst)
    rows = (tmp_path / "out" / "pairs.csv").read_text().splitlines()
    assert rows[0] == "made,true,ssim,psnr,lpips" and len(rows) == NUM_PAIRS + 1


def test_same_pictures_give_the_same_bytes_at_any_number_of_threads(
    job: Callable[..., sets.Job], lpips: str, tmp_path: Path
) -> None:
    for name, threads in (("one", 1), ("four", 4)):
        sets.write(sets.evaluate(job(lpips=lpips, num_threads=threads)), str(tmp_path / name))
    for file in ("eval.json", "pairs.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "four" / file).read_bytes()


def test_frechet_distance_is_its_formula_and_no_fid(job: Callable[..., sets.Job], parser: str) -> None:
    evaluation = sets.evaluate(job())
    network = load_features(parser)
    means, covariances = [], []
    for side in ("made", "true"):
        files = sorted((Path(job().made).parent / side).iterdir())
        bytes_ = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        with torch.inference_mode():
            features = network.features(torch.from_numpy(bytes_).permute(0, 3, 1, 2).float() / 255).double().numpy()
        means.append(features.mean(0))
        covariances.append(np.cov(features, rowvar=False))
    cross = sqrtm(covariances[0] @ covariances[1])
    want = np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * cross.real)
    assert evaluation.distances["frechet_distance"]["value"] == pytest.approx(want, rel=1e-4)
    assert evaluation.distances["frechet_distance"]["features"] == "tiny_parser_deepest_mean"
    assert "fid" not in evaluation.scores() and "kid" not in evaluation.scores()
    assert "FID" not in sets.table(evaluation)
    assert evaluation.left_out["fid, kid"].startswith("defined on Inception's features")


def test_set_is_at_no_distance_from_itself(job: Callable[..., sets.Job]) -> None:
    evaluation = sets.evaluate(job(made=job().truth, paired=False))
    assert evaluation.distances["frechet_distance"]["value"] == pytest.approx(0, abs=1e-5)
    assert set(evaluation.scores()) == {"frechet_distance", "kernel_distance"}
    evaluation = sets.evaluate(job(made=job().truth))
    assert evaluation.scores()["ssim"]["mean"] == pytest.approx(1.0)
    assert evaluation.scores()["psnr"]["mean"] == 100.0


def test_what_is_missing_is_said(job: Callable[..., sets.Job]) -> None:
    text = sets.table(sets.evaluate(job(features=None)))
    assert "no lpips" in text and "--lpips FOLDER" in text
    assert "no fid, kid" in text and "--features FILE" in text


def test_pictures_of_other_sizes_and_broken_ones_are_refused_by_name(
    job: Callable[..., sets.Job], pictures: Path, tmp_path: Path
) -> None:
    for file in (pictures / "made").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    Image.new("RGB", (32, 32)).save(tmp_path / "03_00.jpg")
    (tmp_path / "11_00.jpg").write_bytes((tmp_path / "10_00.jpg").read_bytes()[:200])
    with pytest.raises(MismatchError, match=r"2 pictures cannot be read or are not 64x48: 03_00 \(32x32\), 11_00 \("):
        sets.evaluate(job(made=str(tmp_path)))


def test_too_few_pictures_for_a_distance_are_refused(job: Callable[..., sets.Job], lpips: str) -> None:
    with pytest.raises(MismatchError, match="the made set has 12 pictures, must have at least 128"):
        sets.evaluate(job(features=lpips))


def test_pidm_judges_narrow_and_against_the_training_pictures(job: Callable[..., sets.Job], lpips: str) -> None:
    protocol = dataclasses.replace(pidm((256, 176)), size=None)
    evaluation = sets.evaluate(job(protocol=protocol, training=job().truth, lpips=lpips))
    assert set(evaluation.scores()) == {"ssim", "psnr", "lpips", "frechet_distance"}
    assert set(evaluation.sets) == {"made", "truth", "training"}
    assert evaluation.notes()[0] == "made: 12 pictures, the published evaluation has 8570"
    without = sets.evaluate(job(protocol=protocol))
    assert without.left_out["fid"] == "the protocol's is against the training pictures: --training FOLDER"
    with pytest.raises(MismatchError, match="are not 256x256"):
        sets.evaluate(job(protocol=pidm((256, 176))))


def test_viton_hd_brings_true_pictures_to_the_made_ones_size(
    job: Callable[..., sets.Job], pictures: Path, tmp_path: Path
) -> None:
    for file in (pictures / "made").iterdir():
        Image.open(file).resize((192, 256)).save(tmp_path / f"{file.stem[:2]}_14250_00.jpg")
    evaluation = sets.evaluate(job(made=str(tmp_path), protocol=sets.named("viton_hd_256"), features=None))
    assert evaluation.size == (256, 192)
    assert evaluation.scores()["ssim"]["mean"] > 0.9
    assert evaluation.pairs[0].true == "00_00"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paired": False, "features": None}, "features: unpaired sets are compared by distances alone"),
        ({"paired": False, "pairs": "pairs.txt"}, "pairs: unpaired"),
        ({"training": "train"}, "protocol plain takes no training pictures"),
        ({"batch_size": 0}, "must be at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    job: Callable[..., sets.Job], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        job(**changes)
