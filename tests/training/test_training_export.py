"""An exported checkpoint is a weight folder like any other, and its card says where it comes from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from atelier.errors import ConfigError
from atelier.models import registry
from atelier.models.pose.networks import PoseNet
from atelier.stages.pose import Pose
from tests.training.loop.tiny_runs import duel, pose
from training.__main__ import main
from training.checkpoints import CheckpointInfo, CheckpointStore
from training.export import export
from training.layout import Layout
from training.run import TrainRun
from training.steps.pose import PoseStepConfig
from training.world import World

COMMAND = "python -m training run pose --data s3://looks/shards --output s3://runs"


def kept(run: TrainRun, folder: Path) -> Layout:
    """Checkpoints of steps 3 and 4, whose averages are other than their weights."""
    layout = Layout(run.step.build(folder), run, World.alone())
    store = CheckpointStore(str(folder / "checkpoints"))
    info = CheckpointInfo.start(run, data="d" * 64, num_workers=2, command=COMMAND)
    for step in (3, 4):
        for parameter in layout.step.networks.parameters():
            nn.init.normal_(parameter, std=0.01 * step)
        store.save(layout.state, info.at(step, {"pose_pck": 0.5}))
        store.wait()
    return layout


def assert_exported(folder: Path, networks: nn.Module) -> None:
    loaded = PoseNet.from_pretrained(folder).state_dict()
    for name, value in networks.state_dict().items():
        assert torch.equal(loaded[name], value.half().float() if value.is_floating_point() else value), name


def test_averages_or_last_weights_come_back_through_float16(tmp_path: Path) -> None:
    layout = kept(pose(), tmp_path)
    for averaged, networks in ((True, layout.average.networks), (False, layout.step.networks)):
        to = tmp_path / f"averaged-{averaged}"
        export(pose(), str(tmp_path / "checkpoints"), to, runs=tmp_path, averaged=averaged)
        assert_exported(to, networks["pose"])
    digests = {registry.digest(str(tmp_path / f"averaged-{averaged}")) for averaged in (True, False)}
    assert len(digests) == 2


def test_the_stage_takes_the_folder_and_the_digest_is_the_registrys(tmp_path: Path) -> None:
    kept(pose(), tmp_path)
    exported = export(pose(), str(tmp_path / "checkpoints"), tmp_path / "mine", runs=tmp_path, step=3)
    assert exported.info.num_steps_done == 3
    stage = Pose(weights=str(tmp_path / "mine"))
    assert stage.digests() == {"pose": exported.digest} and registry.digest(str(tmp_path / "mine")) == exported.digest
    stage.build(torch.device("cpu"))


def test_a_card_names_a_run_of_ones_own_as_it_is_typed_and_all_that_was_typed_to_train_it(tmp_path: Path) -> None:
    layout = kept(pose(), tmp_path)
    store = CheckpointStore(str(tmp_path / "checkpoints"))
    again = f"{COMMAND} --resume"
    for command in (again, again):
        latest = store.latest()
        assert latest is not None
        info = CheckpointInfo.start(pose(), data="d" * 64, num_workers=2, command=command).going_on_from(latest)
        store.save(layout.state, info.at(latest.num_steps_done + 1))
        store.wait()
    typed = "python -m training export my_runs:pose_tall --output s3://runs --to mine --licence 'our own'"
    export(pose(), str(tmp_path / "checkpoints"), tmp_path / "mine", runs=tmp_path, command=typed)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert f"  ```\n  {COMMAND}\n  {again}\n  {typed}\n  ```\n" in card
    assert "as the last of these starts had them" in card


def test_the_card_says_where_the_weights_come_from(tmp_path: Path) -> None:
    kept(pose(), tmp_path)
    to = tmp_path / "mine"
    exported = export(
        pose(), str(tmp_path / "checkpoints"), to, runs=tmp_path, licence="Apache-2.0", about="Finds joints."
    )
    card = (to / "README.md").read_text()
    info = exported.info
    for said in (
        "# pose\n\nFinds joints.\n\nlicence: Apache-2.0 · format: safetensors, float16",
        "**Data.** `s3://looks/shards`.",
        "4 steps of 4 samples on 2 workers, moving average of the weights",
        f"torch {torch.__version__}",
        COMMAND,
        "All settings that decided the weights:\n",
        "pose_pck 0.5: of the newest validation",
        f"| these weights, as outcomes record them | {exported.digest} |",
        f"| the run's settings | {info.fingerprint} |",
        f"| the data set | {'d' * 64} |",
        f"| pose.safetensors | {hashlib.sha256((to / 'pose.safetensors').read_bytes()).hexdigest()} |",
    ):
        assert said in card, said
    settings = json.loads(card.partition("```json")[2].partition("```")[0])
    assert settings == dict(info.settings)


def test_a_critic_stays_behind(tmp_path: Path) -> None:
    kept(duel(), tmp_path)
    export(duel(), str(tmp_path / "checkpoints"), tmp_path / "mine", runs=tmp_path)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md",
        "config.json",
        "segmentation.safetensors",
    ]


def test_the_step_is_that_of_the_training_and_needs_no_more_than_its_networks(tmp_path: Path) -> None:
    trained = dataclasses.replace(pose(), step=dataclasses.replace(pose().step, learning_rate=0.5))
    layout = kept(trained, tmp_path)
    # As if it had started from weights that are nowhere any more, with settings that were typed.
    store, moved = CheckpointStore(str(tmp_path / "checkpoints")), dataclasses.replace(trained.step, initial="/gone")
    info = CheckpointInfo.start(dataclasses.replace(trained, step=moved), data="d", num_workers=1)
    store.save(layout.state, info.at(5))
    store.wait()
    named = dataclasses.replace(pose(), num_steps=1000, batch_size=2)
    exported = export(named, str(tmp_path / "checkpoints"), tmp_path / "mine", runs=tmp_path)
    assert exported.info.num_steps_done == 5
    assert '"step.initial": "/gone"' in (tmp_path / "mine" / "README.md").read_text()


def test_another_model_run_or_step_is_refused(tmp_path: Path) -> None:
    run = pose()
    kept(run, tmp_path)
    assert isinstance(run.step, PoseStepConfig)
    model = dataclasses.replace(run.step.model, widths=(8, 8, 12, 12, 16))
    other = dataclasses.replace(run, step=dataclasses.replace(run.step, model=model))
    with pytest.raises(ConfigError, match=r"step.model.widths.4: the checkpoint has 12, this run 16"):
        export(other, str(tmp_path / "checkpoints"), tmp_path / "other", runs=tmp_path)
    with pytest.raises(ConfigError, match="another run's"):
        export(duel(), str(tmp_path / "checkpoints"), tmp_path / "other", runs=tmp_path)
    with pytest.raises(ConfigError, match=r"no checkpoint of step 9; there are those of \[3, 4\]"):
        export(run, str(tmp_path / "checkpoints"), tmp_path / "other", runs=tmp_path, step=9)
    assert not (tmp_path / "other").exists()


def test_old_weights_go_and_what_is_no_weights_is_left_alone(tmp_path: Path) -> None:
    kept(pose(), tmp_path)
    checkpoints, to = str(tmp_path / "checkpoints"), tmp_path / "mine"
    export(pose(), checkpoints, to, runs=tmp_path, step=3)
    (to / "stale.safetensors").write_bytes((to / "pose.safetensors").read_bytes())
    (to / "sheet.png").write_bytes(b"a picture beside them")
    exported = export(pose(), checkpoints, to, runs=tmp_path, step=4)
    assert registry.digest(str(to)) == exported.digest
    assert sorted(path.name for path in to.iterdir()) == ["README.md", "config.json", "pose.safetensors", "sheet.png"]

    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "one.jpg").write_bytes(b"a photograph")
    with pytest.raises(ConfigError, match="photographs: holds something else than weights"):
        export(pose(), checkpoints, photographs, runs=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_checkpoint_that_is_not_whole_says_why(tmp_path: Path) -> None:
    kept(pose(), tmp_path)
    checkpoints = str(tmp_path / "checkpoints")
    [file] = (tmp_path / "checkpoints" / "step-00000003").glob("rank-*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    short = rf"step-00000003: {file.name} holds 100 bytes, must hold \d+"
    with pytest.raises(ConfigError, match=rf"{short}; there are those of \[4\]"):
        export(pose(), checkpoints, tmp_path / "mine", runs=tmp_path, step=3)
    (tmp_path / "checkpoints" / "step-00000004" / "manifest.json").unlink()
    with pytest.raises(ConfigError, match=rf"no checkpoint is whole: .*{short}; .*4: has no manifest.json"):
        export(pose(), checkpoints, tmp_path / "mine", runs=tmp_path)


def test_a_full_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(pose(), tmp_path / "pose")
    to = tmp_path / "mine"
    words = ["export", "tests.training.loop.tiny_runs:pose", "--output", str(tmp_path), "--to", str(to)]
    monkeypatch.setattr("sys.argv", ["training", *words])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # a write beyond it fails as on a full disk
    try:
        status = main()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, f"StorageError: {to}: File too large" in (said := capsys.readouterr().err)) == (1, True), said
