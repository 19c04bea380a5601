"""`python -m atelier evaluate pose_transfer` says what it cannot judge, and why."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from atelier.commands import evaluate
from atelier.commands.people import MODELS
from atelier.errors import WeightsError
from atelier.evaluation.people.systems import SYSTEMS


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
    assert _run("text_to_person", "--items", "0", "--out", str(tmp_path)) == 2


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        _run("pose_transfer", "--model", "pidm", "--weights", "nowhere", "--out", str(tmp_path))
