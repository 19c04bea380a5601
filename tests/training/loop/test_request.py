"""What is asked of a launcher, and refused before any worker starts."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from atelier.errors import ConfigError
from training.launch.request import TrainRequest


def test_a_run_goes_by_its_name_or_by_where_it_is_defined() -> None:
    assert TrainRequest(run="pose_closet", output="out").resolved().name == "pose_closet"
    tiny = TrainRequest(run="tests.training.loop.tiny_runs:pose", output="out", overrides={"num_steps": 3})
    assert (tiny.resolved().name, tiny.resolved().num_steps) == ("pose", 3)
    kept = TrainRequest(run="parser_demo", output="out", overrides={"keep.num_best": 2, "keep.metric": "parse_miou"})
    assert (kept.resolved().keep.num_best, kept.resolved().keep.num_last) == (2, 3)
    assert pickle.loads(pickle.dumps(tiny)) == tiny  # noqa: S301  ours, as Ray sends it


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("viton_hd_everything", "there is none of that name"),
        ("tests.training.loop.tiny_runs:nothing", "cannot be imported: .*nothing"),
        ("no.such.module:pose", "cannot be imported: No module named 'no'"),
        ("training.launch.torchrun:is_torchrun_worker", "gives a bool, must give a TrainRun"),
    ],
)
def test_a_run_that_is_none_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrainRequest(run=name, output="out").resolved()


def test_everything_of_a_run_lies_in_its_own_folder() -> None:
    remote = TrainRequest(run="pose_closet", output="s3://bucket/runs", cache=Path("/cache"))
    assert remote.address("checkpoints") == "s3://bucket/runs/pose_closet/checkpoints"
    assert remote.runs_folder == Path("/cache/runs/bucket/runs")
    local = TrainRequest(run="pose_closet", output="runs")
    assert local.address("log").endswith("runs/pose_closet/log")
    assert local.runs_folder == Path("runs").absolute()


def test_workers_elsewhere_find_what_was_named_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = TrainRequest(run="parser_closet", output="out/runs/", data="viton_hd:data", cache=Path("cache"))

    assert request.address("ray") == f"{tmp_path}/out/runs/parser_closet/ray"
    assert request.data == f"viton_hd:{tmp_path}/data"
    assert request.cache_folder == tmp_path / "cache"
    assert TrainRequest(run="parser_closet", output="s3://runs/a", data="closet").data == "closet"
