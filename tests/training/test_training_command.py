"""The command line: what it refuses before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from atelier.closet.layouts import write_dataset
from tests.training.loop import tiny_runs
from training.__main__ import main
from training.launch.request import TrainRequest
from training.runs import RUNS


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["training", *words])
    try:
        status = main()
    except SystemExit as error:
        status = int(str(error.code))
    captured = capsys.readouterr()
    return status, captured.out + captured.err


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["--workers", "many"], 2, "'many' must be a whole number from 1 up, or MIN:MAX"),
        (["--workers", "3:2", "--launcher", "ray"], 2, "'3:2' must be"),
        (["--workers", "0"], 2, "'0' must be"),
        (["--workers", "2"], 1, "--workers: is 2; in one process one worker trains"),
        (["--workers", "1:2", "--launcher", "torchrun"], 1, "torchrun takes one number"),
        (["--loader-workers", "-1"], 2, "--loader-workers: is '-1', must be a whole number from 0 up"),
        (["--restarts", "-1"], 2, "--restarts: is '-1', must be a whole number from 0 up"),
        (["--steps", "0"], 2, "--steps: is '0', must be a whole number from 1 up"),
        (["--wandb", ""], 2, "argument --wandb: is '', must not be empty"),
        (["--cache", ""], 2, "argument --cache: is '', must be a folder of this computer"),
        (["--vgg", "x"], 1, "--vgg: is for a perceptual loss, which run parser_closet has not; must be left out"),
        (["--wandb-offline"], 1, "--wandb-offline: keeps what --wandb PROJECT would send; name the project too"),
    ],
)
def test_workers(
    words: list[str], status: int, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, text = said(monkeypatch, capsys, "run", "parser_closet", "--output", "out", *words)
    assert (ended, expected in text) == (status, True), text


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["--keep-best", "parse_miou:none"], 2, "'parse_miou:none' must be a metric, or METRIC:N"),
        (["--keep-best", ":2"], 2, "':2' must be"),
        (["--keep-last", "0"], 2, "--keep-last: is '0', must be a whole number from 1 up"),
        (["--keep-best", "beauty:2"], 1, "metric: is 'beauty', must be one of the validation's: ['failed'"),
    ],
)
def test_which_checkpoints_stay(
    words: list[str],
    status: int,
    expected: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = ["run", "tests.training.loop.tiny_runs:watched_pose", "--output", str(tmp_path), "--cache", str(cache)]
    ended, text = said(monkeypatch, capsys, *run, "--quiet", *words)
    assert (ended, expected in text) == (status, True), text


def test_precision_is_chosen_and_stays(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "tests.training.loop.tiny_runs:watched_pose", "--output", str(tmp_path), "--cache", str(cache)]
    ended, text = said(monkeypatch, capsys, *run, "--precision", "bfloat16", "--steps", "1")
    assert ended == 0 and "on cpu in bfloat16" in text, text
    ended, text = said(monkeypatch, capsys, *run, "--precision", "float32", "--resume")
    assert ended == 1 and "precision" in text, text


def test_runs_are_listed_with_what_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = said(monkeypatch, capsys, "list")
    assert status == 0
    assert any(
        line.split(maxsplit=1) == ["parser_closet", "The small parser, on people alone."] for line in text.splitlines()
    )
    lines = text.splitlines()
    assert len(lines) == len(RUNS) and all(line.endswith(".") for line in lines), "a sentence a run, to its end"
    assert len({len(line) - len(line.partition("  ")[2].lstrip()) for line in lines}) == 1, "one column"


def test_data_that_the_run_cannot_read_is_refused_before_it_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset("multimodal", str(tmp_path / "drawn"), items=1, seed=3, size=(64, 48), split="train")
    words = ["--data", str(tmp_path / "drawn"), "--output", str(tmp_path / "shards"), "--no-ray"]
    status, text = said(monkeypatch, capsys, "prepare", "viton_hd_matching_closet", *words)
    assert status == 1
    assert "lacks ['garment', 'garment_mask'], which run viton_hd_matching_closet reads" in text
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize("data", ["drawn", "others"])
def test_shards_are_never_prepared_into_a_data_set(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("drawn", "others"):
        write_dataset("multimodal", str(tmp_path / name), items=1, seed=3, size=(64, 48), split="train")
    before = sorted(tmp_path.rglob("*"))
    words = ["--data", str(tmp_path / data), "--output", str(tmp_path / "drawn"), "--no-ray"]
    status, text = said(monkeypatch, capsys, "prepare", "human_diffusion_encoders_closet", *words)
    assert status == 1
    assert f"--output {tmp_path / 'drawn'}: holds captions.json, which is no part of prepared data; must be" in text
    assert sorted(tmp_path.rglob("*")) == before


def test_shards_are_prepared_into_an_empty_folder_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset("multimodal", str(tmp_path / "drawn"), items=1, seed=3, size=(64, 48), split="train")
    shards = tmp_path / "shards"
    shards.mkdir()
    words = ["--data", str(tmp_path / "drawn"), "--output", str(shards), "--no-ray"]
    for broken in (False, True, False):
        if broken:
            (shards / "index.json").unlink()
        status, text = said(monkeypatch, capsys, "prepare", "human_diffusion_encoders_closet", *words)
        assert (status, "1 rows listed = 1 samples + 0 left out" in text) == (0, True), text


def test_preparing_says_by_which_option_data_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = said(monkeypatch, capsys, "prepare", "pidm_256", "--output", str(tmp_path / "shards"))
    assert status == 1 and "--data: is not given; this run draws none of its own, so it must be" in text


def test_a_run_of_ones_own_says_what_it_is() -> None:
    request = TrainRequest(run="tests.training.loop.tiny_runs:watched_pose", output="out")
    assert request.about == tiny_runs.watched_pose.__doc__
    assert TrainRequest(run="parser_closet", output="out").about == "The small parser, on people alone."


@pytest.mark.parametrize(
    ("port", "expected"), [("65536", "is '65536', must be a port"), ("http", "is 'http', must be")]
)
def test_a_metrics_port_that_cannot_be(
    port: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "parser_closet", "--output", "out", "--metrics-port", port]
    status, text = said(monkeypatch, capsys, *words)
    assert (status, expected in text) == (2, True), text


def test_data_that_lies_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "parser_closet", "--output", str(tmp_path / "out"), "--data", str(tmp_path / "gone")]
    status, text = said(monkeypatch, capsys, *words)
    assert status == 1
    assert f"{tmp_path / 'gone'}: nothing lies there: there is none of train_pairs.txt (viton_hd)" in text
    assert not (tmp_path / "out" / "parser_closet" / "TRAINING.json").exists()
    words[-1] = f"voguish:{tmp_path}"
    assert "before a colon may stand viton_hd, deepfashion, multimodal" in said(monkeypatch, capsys, *words)[1]


def test_an_output_that_cannot_be(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(monkeypatch, capsys, "run", "parser_closet", "--output", "/proc/nope")
    assert status == 2
    assert "--output: /proc/nope: nothing can be written into /proc" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (":watched_pose", "must be MODULE:FUNCTION, the module by its dotted name as Python imports it"),
        ("./tiny_runs:watched_pose", "must be MODULE:FUNCTION"),
        ("../tiny_runs.py:watched_pose", "must be MODULE:FUNCTION"),
        ("tiny_runs.py:watched_pose", "must be MODULE:FUNCTION"),
        ("tests.training.loop.tiny_runs:", "must be MODULE:FUNCTION"),
        (
            "tests.training.loop.tiny_runs:SIZE",
            "is a tuple, must be a function without arguments that gives a TrainRun",
        ),
        ("tests.training.loop.tiny_runs:dataclasses", "is a module, must be a function without arguments"),
        ("tests.training.loop.tiny_runs:TrainRun", "is a type, must be a function without arguments"),
        ("training.launch.request:about_of", "is a function of (run: 'Callable[[], TrainRun]') -> 'str', must be"),
        ("tests.training.loop.tiny_runs:absent", "cannot be imported: module"),
    ],
)
def test_a_run_of_ones_own_that_is_none(
    name: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = said(monkeypatch, capsys, "run", name, "--output", "out")
    assert (status, f"run {name!r}: {expected}" in text) == (1, True), text
