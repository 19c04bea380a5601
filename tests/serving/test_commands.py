"""`python -m serving`: what cannot be is refused in a sentence, and nothing is written or started."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import ray
from ray import serve

from atelier.errors import ConfigError
from serving import launch
from serving.__main__ import main
from serving.jobs.files import JobFiles
from serving.keys import KeyRing


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def where(tmp_path: Path, keys: Path) -> list[str]:
    told = tmp_path / "serve.json"
    told.write_text(json.dumps({"keys": str(keys)}))
    return ["keys", "--settings", str(told)]


@pytest.mark.parametrize("days", ["nan", "inf", "-1", "0", "1e20", "36501", "soon"])
def test_days_that_cannot_be_make_no_key(
    days: str, where: list[str], keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([*where, "add", "x", "--days", days])
    said = capsys.readouterr()
    assert left.value.code == 2 and not said.out and not keys.exists()
    assert f"argument --days: is {days!r}, must be a number more than 0 and at most 36500\n" in said.err
    with pytest.raises(ConfigError, match="valid_s is nan; must be more than 0"):
        KeyRing(keys).add("x", ["make"], valid_s=float("nan"))


@pytest.mark.parametrize("hours", ["nan", "-5", "inf", "876001"])
def test_an_overlap_that_cannot_be_rotates_nothing(
    hours: str, where: list[str], keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyRing(keys).add("x", ["make"])
    before = keys.read_text()
    with pytest.raises(SystemExit) as left:
        main([*where, "rotate", "x", "--overlap-hours", hours])
    assert left.value.code == 2 and keys.read_text() == before
    assert f"argument --overlap-hours: is {hours!r}, must be a number from 0 to 876000\n" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="overlap_s is nan; must be from 0"):
        KeyRing(keys).rotate("x", overlap_s=float("nan"))


def test_a_key_that_ends_at_once_is_told_with_its_own_secret(
    where: list[str], keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyRing(keys).add("x", ["make"])
    assert main([*where, "add", "x", "--days", "1e-20"]) == 0
    assert KeyRing(keys).records()[-1].webhook_secret in capsys.readouterr().err
    assert main([*where, "rotate", "x", "--overlap-hours", "0"]) == 0


@pytest.mark.parametrize(("held", "is_taken"), [("NaN", False), ("-Infinity", False), ("1e20", True)])
def test_a_file_that_holds_no_time_is_listed_all_the_same(
    held: str, is_taken: bool, where: list[str], keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = KeyRing(keys).add("x", ["make"])
    keys.write_text(keys.read_text().replace('"expires_at_s": null', f'"expires_at_s": {held}'))
    assert main([*where, "list"]) == 0
    assert f"expires: at {float(held):g} s, which is no time; remove the key" in capsys.readouterr().out
    assert (KeyRing(keys).caller(key) is not None) == is_taken, "a time that cannot be told has passed"
    assert main([*where, "remove", "x"]) == 0


@pytest.mark.parametrize("held", ['"soon"', "1" + "0" * 400])
def test_a_file_that_holds_no_number_is_refused(
    held: str, where: list[str], keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyRing(keys).add("x", ["make"])
    keys.write_text(keys.read_text().replace('"expires_at_s": null', f'"expires_at_s": {held}'))
    assert main([*where, "list"]) == 2
    assert capsys.readouterr().err.startswith(f"{keys}: is no file of keys (")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('{"models": [{"recipe": "nope"}]}', "models.0.recipe: is 'nope': there is no recipe 'nope'; there are ["),
        ('{"models": [{"batch_size": 0}]}', 'models.0.batch_size: is 0; must be a whole number from 1 to 64, or "meas'),
        ('{"models": [{"batch_size": "x"}]}', "models.0.batch_size: is 'x'; must be a whole number from 1 to 64, or "),
        (
            '{"models": [{"scaling": {"min_replicas": 5}}]}',
            "models.0.scaling: is {'min_replicas': 5}: max_replicas is 4; must be at least min_replicas, 5\n",
        ),
        ('{"models": [{"num_gpus": 1.5}]}', "models.0.num_gpus: is 1.5; must be at most 1, or whole\n"),
        ('{"models": [{"weights": {"parser": 1}}]}', "models.0.weights.parser: is 1; must be a text\n"),
        ('{"models": [{"scaling": {"most": 1}}]}', "models.0.scaling.most: there is no such field; there are min_rep"),
        ('{"models": []}', "models: is []; must name at least one model\n"),
        ('{"anonymous": "perhaps"}', "anonymous: is 'perhaps'; must be true or false\n"),
        ('{"anonymus": true}', "anonymus: there is no such field; there are models, "),
        ('{"limits": {"most": 1}}', "limits.most: there is no such field; there are max_"),
        (
            '{"models": [{"recipe": "viton_hd_closet", "speed": 1}]}',
            "models.0.speed: there is no such field; there are rec",
        ),
        ('{"models": [', "is no JSON: EOF"),
        ("[]", "must hold a JSON object\n"),
        ('{"webhooks": {"links_from": "foo"}}', "webhooks.links_from: is 'foo'; must be http://HOST or https://HOST, "),
        ('{"webhooks": {"pauses_s": [1, 0]}}', "webhooks.pauses_s.1: is 0; must be more than 0\n"),
        ('{"limits": {"timeout_s": "x"}}', "limits.timeout_s: is 'x'; must be a number\n"),
    ],
)
def test_one_fault_has_one_line_in_plain_words(
    written: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "serve.json"
    told.write_text(written)
    assert main(["config", "--settings", str(told)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{told}: {expected}") and said.count("\n") == 1 and "pydantic" not in said, said


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("/proc/x", "cannot be written: "),
        ("{here}/file", "cannot be written: {here}/file is a file, must be a folder"),
        ("{here}/file/x", "cannot be written: {here}/file is a file, must be a folder"),
        ("gs://bucket/x", "its scheme is unknown; must be a file path or s3://bucket/key"),
    ],
)
def test_a_store_that_cannot_be_written_is_told_before_ray_starts(
    store: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("it was started")

    monkeypatch.setattr(launch, "run", started)
    monkeypatch.setattr(launch, "check_port", lambda _host, _port: None)
    (tmp_path / "file").touch()
    store, why = (text.replace("{here}", str(tmp_path)) for text in (store, why))
    told = tmp_path / "serve.json"
    told.write_text(json.dumps({"store": store, "database": str(tmp_path / "jobs.sqlite")}))
    assert main(["run", "--anonymous", "--settings", str(told)]) == 2
    assert capsys.readouterr().err.startswith(f"store: is {store!r}; {why}")


def test_a_store_that_can_be_written_holds_nothing_after_it(tmp_path: Path) -> None:
    files = JobFiles(str(tmp_path / "a" / "store"))
    files.check()
    files.check()
    assert not files.held() and not [one for one in tmp_path.rglob("*") if one.is_file()]
    JobFiles("s3://bucket/never/asked").check()


def test_where_nothing_was_deployed_serve_does_not_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    log, heard = logging.getLogger("ray.serve"), list[str]()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    def shutdown() -> None:
        log.info("Nothing to shut down. There's no Serve application running on this Ray cluster.")
        log.warning("what is wrong")

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(serve, "shutdown", shutdown)
    monkeypatch.setattr(log, "handlers", [Ear()])
    before = log.level
    log.setLevel(logging.INFO)
    try:
        launch.stop()
    finally:
        log.setLevel(before)
    assert heard == ["what is wrong"]
