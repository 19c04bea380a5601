"""`python -m atelier evaluate pose_transfer` says what it cannot judge, and why."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from atelier.commands import evaluate
from atelier.commands.people import MODELS
from atelier.errors import ConfigError, WeightsError
from atelier.evaluation.people.systems import SYSTEMS, recipe_of
from atelier.models.human_diffusion import HumanDiffusion, human_diffusion_closet
from atelier.recipe import Recipe
from atelier.stages.human_diffusion import SynthesizeHumanDiffusion


def _run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.run(parser.parse_args(arguments))


def test_a_system_is_asked_for_by_its_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert {model for models in MODELS.values() for model in models} >= set(SYSTEMS)
    with pytest.raises(SystemExit):
        _run("pose_transfer", "--model", "human_diffusion", "--out", "out")
    assert "invalid choice: 'human_diffusion'" in capsys.readouterr().err


def test_other_weights_need_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("pose_transfer", "--beside", "weights/only", "--out", str(tmp_path)) == 2
    assert "'weights/only' names no weights; must be NAME=WEIGHTS" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["try_on", "pose_transfer", "text_to_person", "refusals"])
def test_a_judgement_of_nobody_names_the_option_alone(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        _run(task, "--items", "0")
    said = capsys.readouterr().err
    assert said.endswith("argument --items: is '0', must be a whole number from 1 up\n")


def test_own_weights_are_judged_with_their_own_memory(tmp_path: Path) -> None:
    """The shipped memory goes with the shipped encoders; others need one of theirs, an ablation of SMR none."""
    shipped = recipe_of("human_diffusion", weights="human_diffusion_closet", mode="fast")
    assert _memory_of(shipped) == "human_diffusion_memory_closet"
    config = replace(human_diffusion_closet(), width=16, multipliers=(1, 1), num_groups=4, head_width=16,
                     self_attention_strides=(), retrieved_strides=())  # fmt: skip
    HumanDiffusion(config).save_pretrained(tmp_path / "own")
    HumanDiffusion(replace(config, stylized_memory=False)).save_pretrained(tmp_path / "without")
    with pytest.raises(ConfigError, match="memory: must be given, built with the encoders of"):
        _run("text_to_person", "--weights", str(tmp_path / "own"), "--out", str(tmp_path))
    mine, without = (
        recipe_of("human_diffusion", weights=str(tmp_path / name), mode="fast", memory="mine")
        for name in ("own", "without")
    )
    assert _memory_of(mine) == "mine" and _memory_of(without) is None
    with pytest.raises(ConfigError, match="memory: is 'mine', pidm reads none"):
        recipe_of("pidm", weights="pidm_closet", mode="fast", memory="mine")
    with pytest.raises(WeightsError, match="mine"):
        mine.check()


def _memory_of(recipe: Recipe) -> str | None:
    return next(stage.memory for stage in recipe.stages if isinstance(stage, SynthesizeHumanDiffusion))


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        _run("pose_transfer", "--model", "pidm", "--weights", "nowhere", "--out", str(tmp_path))
