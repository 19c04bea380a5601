"""`python -m pipelines`: what it prints and what its exit status says, as far as no Ray is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atelier.models.viton_hd import viton_hd
from atelier.weights import write_folder
from pipelines.__main__ import main
from pipelines.exits import Exit
from tests.pipelines.toys import draw_toy


@pytest.fixture
def weights(tmp_path: Path) -> list[str]:
    """Flags that give the job `published` its weights; a plan looks at their configs and digests only."""
    folder = tmp_path / "weights"
    write_folder(folder, viton_hd().to_json(), {})
    given = {"viton_hd": str(folder), "parser": "parser_closet", "pose": "pose_closet"}
    return [text for name, where in given.items() for text in ("--weights", f"{name}={where}")]


def test_jobs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs"]) == Exit.DONE
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"closet", "published"}


def test_a_plan_says_what_a_run_would_make_and_makes_nothing(
    tmp_path: Path, weights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = draw_toy(tmp_path / "catalog", ["a", "b"])
    output = tmp_path / "output"

    assert main(["plan", "published", *weights, "--catalog", str(catalog), "--output", str(output)]) == Exit.DONE
    assert capsys.readouterr().out.startswith("2 of 2 units to make\n")
    assert not output.exists()


def test_bad_rows_are_listed_for_machines(
    tmp_path: Path, weights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("item_id,task,person,garment\na,try_on,p.png,\nb,levitate,p.png,g.png\n")

    status = main(["validate", "published", *weights, "--catalog", str(catalog), "--json"])
    faults = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == Exit.BUDGET_EXCEEDED
    assert [(fault["line"], fault["field"], fault["code"]) for fault in faults] == [
        (2, "garment", "missing_input"),
        (3, "task", "unknown_task"),
    ]


def test_the_schema_of_a_row_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--schema"]) == Exit.DONE
    assert "person" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "wardrobe"], "job 'wardrobe': there is none of that name"),
        (["run", "published"], "job 'published': makes nothing; give --weights of a system"),
        (["run", "published", "--weights", "viton=/nowhere"], "takes no weights viton; it takes viton_hd, pidm"),
        (
            ["run", "published", "--weights", "viton_hd=/nowhere"],
            "viton_hd must have --weights parser=FOLDER --weights pose",
        ),
        (["run", "closet", "--weights", "viton_hd=parser_closet"], "model: is 'parsing_net', must be 'viton_hd'"),
        (["run", "closet", "--weights", "parser=pose_closet"], "model is 'pose_net'; a parser's is 'parsing_net'"),
        (["run", "closet", "--weights", "pose=parser_closet"], "model is 'parsing_net'; must be 'pose_net'"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--catalog", "c.csv", "--output", "o"]) == Exit.WRONG_USAGE
    assert said in capsys.readouterr().err


def test_a_catalog_that_is_not_there_is_wrong_usage(
    tmp_path: Path, weights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.csv")

    assert main(["plan", "published", *weights, "--catalog", missing, "--output", "o"]) == Exit.WRONG_USAGE
    assert missing in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "0"], "is '0', must be a whole number from 1 up"),
        (["--accelerators", "-1"], "is '-1', must be a whole number from 0 up"),
        (["--weights", "pidm"], "'pidm' must be NAME=FOLDER"),
        (["--catalog", ""], "argument --catalog: is '', must not be empty"),
        (["--output", "FILE"], "FILE: is a file, must be a folder"),
        (["--output", "ftp://shop/made"], "ftp://shop/made: its scheme is unknown"),
    ],
)
def test_words_that_no_run_can_follow_are_wrong_usage(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    with pytest.raises(SystemExit) as error:
        main(["run", "closet", "--catalog", "c.csv", "--output", "o", *words])
    assert error.value.code == Exit.WRONG_USAGE
    assert said in capsys.readouterr().err


def test_an_output_without_a_run_is_wrong_usage(tmp_path: Path) -> None:
    assert main(["report", str(tmp_path), "--json"]) == Exit.WRONG_USAGE


def test_a_system_without_weights_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.csv").write_text("item_id,task,person,pose,model\na,pose_transfer,p.png,standing,pidm\n")
    words = ["plan", "closet", "--catalog", str(tmp_path / "c.csv"), "--output", str(tmp_path / "o")]
    assert main(words) == Exit.DONE
    assert "pidm_closet" in capsys.readouterr().out
    assert main([*words, "--weights", "pidm="]) == Exit.DONE
    said = capsys.readouterr().out
    assert "pidm_closet" not in said and "rejected at plan: 1" in said
