"""A pool's worker, called without Ray: what is stored isn't made again, what no row is to blame for is fatal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from atelier.images import read_source_type
from atelier.rows import Outcome
from atelier.stages.parse import Parse
from pipelines.job import CatalogJob
from pipelines.last_words import LastWords
from pipelines.outcomes import from_table
from pipelines.placement import Machine, place
from pipelines.pools import FATAL, Work, Worker, worker_class
from pipelines.records import Facts
from pipelines.sink import Sink
from pipelines.unit_ids import unit_ids
from tests.pipelines.toys import draw_toy, toy_job

ITEMS = ["a", "b", "c"]


class Bench:
    """A catalog, an output, and the workers of a job in this process."""

    def __init__(self, root: Path) -> None:
        self.root, self.output = root, str(root / "output")
        draw_toy(root / "catalog", [*ITEMS, "bug-0", "leave-0"])

    def workers(self, job: CatalogJob, *, last_words: str = "") -> list[Worker]:
        recipe = job.recipes[0]
        facts = Facts.of(recipe, "run")
        sink = Sink(
            output=self.output, format=facts.format, source_type=facts.source_type, keep_masters=job.keep_masters
        )
        pools = place(recipe, job, Machine(num_cpus=8)).pools
        return [
            Worker(
                Work(
                    pool=pool,
                    is_first=pool is pools[0],
                    is_last=pool is pools[-1],
                    facts=facts,
                    sink=sink,
                    deadline_s=60,
                    last_words=last_words,
                )
            )
            for pool in pools
        ]

    def units(self, item_ids: list[str]) -> dict[str, np.ndarray]:
        folder = self.root / "catalog"
        texts = {
            "item_id": item_ids,
            "task": ["try_on"] * len(item_ids),
            "plan_key": [f"plan of {item_id}" for item_id in item_ids],
            "person_address": [f"{folder}/{item_id}-person.png" for item_id in item_ids],
            "garment_address": [f"{folder}/{item_id}-garment.png" for item_id in item_ids],
            "garment_mask_address": [""] * len(item_ids),
        }
        columns = {name: np.array(values, dtype=object) for name, values in texts.items()}
        return columns | {
            "variant": np.zeros(len(item_ids), np.int32),
            "seed": np.arange(len(item_ids), dtype=np.int64),
        }

    def run(self, job: CatalogJob, item_ids: list[str], *, last_words: str = "") -> list[Outcome]:
        batch = self.units(item_ids)
        for worker in self.workers(job, last_words=last_words):
            batch = worker(batch)
        assert isinstance(batch, pa.Table)
        return from_table(batch)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("placement", ["fused", "split"])
def test_pictures_and_masters_are_stored_under_their_keys(bench: Bench, placement: str) -> None:
    outcomes = bench.run(toy_job(placement=placement), ITEMS)

    assert [(o.item_id, o.status, o.made) for o in outcomes] == [(item_id, "ok", True) for item_id in ITEMS]
    for outcome in outcomes:
        key = outcome.picture_key
        assert outcome.picture == f"pictures/{outcome.rendition_key[:2]}/{outcome.rendition_key}.jpg"
        assert (Path(bench.output) / outcome.picture).is_file()
        master = Path(f"{bench.output}/masters/{key[:2]}/{key}.png")
        with Image.open(master) as picture:
            assert picture.size == (48, 64)
        for path in (master, Path(bench.output) / outcome.picture):
            assert read_source_type(path.read_bytes()) == "compositeWithTrainedAlgorithmicMedia"


@pytest.mark.parametrize("placement", ["fused", "split"])
def test_a_stored_picture_is_kept_and_another_rendition_comes_from_its_master(bench: Bench, placement: str) -> None:
    log = bench.root / "log"
    made = bench.run(toy_job(quality=90), ITEMS[:2])

    kept = bench.run(toy_job(quality=90, log=str(log), placement=placement), ITEMS[:2])
    assert [(o.status, o.made, o.picture) for o in kept] == [("ok", False, o.picture) for o in made]

    other = bench.run(toy_job(quality=30, log=str(log), placement=placement), ITEMS[:2])
    assert [(o.status, o.made, o.picture_key) for o in other] == [("ok", False, o.picture_key) for o in made]
    assert not log.exists()

    direct = Bench(bench.root / "other").run(toy_job(quality=30), ITEMS[:2])
    for again, anew in zip(other, direct, strict=True):
        assert (Path(bench.output) / again.picture).read_bytes() == (
            bench.root / "other" / "output" / anew.picture
        ).read_bytes()


@pytest.mark.parametrize("placement", ["fused", "split"])
@pytest.mark.parametrize("quality", [90, 30])
def test_what_was_said_of_a_stored_picture_is_said_again(bench: Bench, quality: int, placement: str) -> None:
    """As after a kill that came between the store and the ledger, which then never heard of it."""
    made = {o.item_id: o for o in bench.run(toy_job(quality=90), ITEMS[:2])}
    assert all(o.scores["grain"] > 0 and o.notes[0].startswith("grain: is ") for o in made.values())

    again = bench.run(toy_job(quality=quality, placement=placement), ITEMS)
    assert [o.made for o in again] == [False, False, True]
    for outcome in again[:2]:
        before = made[outcome.item_id]
        assert (dict(outcome.scores), outcome.notes) == (dict(before.scores), before.notes)


def test_a_master_that_says_nothing_leaves_nothing_said(bench: Bench) -> None:
    (made,) = bench.run(toy_job(), ["a"])
    master = Path(f"{bench.output}/masters/{made.picture_key[:2]}/{made.picture_key}.png")
    with Image.open(master) as picture:
        picture.load()
    picture.save(master)

    (outcome,) = bench.run(toy_job(), ["a"])
    assert (outcome.status, outcome.made, dict(outcome.scores), outcome.notes) == ("ok", False, {}, ())


def test_without_a_master_another_rendition_is_made_anew(bench: Bench) -> None:
    bench.run(toy_job(keep_masters=False), ["a"])

    assert not (Path(bench.output) / "masters").exists()
    assert [o.made for o in bench.run(toy_job(keep_masters=False, quality=30), ["a"])] == [True]


def test_an_unreadable_master_fails_its_row_and_says_what_to_do(bench: Bench) -> None:
    (made,) = bench.run(toy_job(), ["a"])
    Path(f"{bench.output}/masters/{made.picture_key[:2]}/{made.picture_key}.png").write_bytes(b"no picture")

    (outcome,) = bench.run(toy_job(quality=30), ["a"])
    assert (outcome.status, outcome.code) == ("failed", "master_unreadable")
    assert "delete it" in outcome.detail


@pytest.mark.parametrize(("item_id", "error"), [("bug-0", "ZeroDivisionError"), ("leave-0", "SystemExit")])
def test_an_error_that_no_row_is_to_blame_for_is_fatal(bench: Bench, item_id: str, error: str) -> None:
    outcomes = bench.run(toy_job(placement="split"), ["a", item_id])

    assert {outcome.code for outcome in outcomes} == {FATAL}
    assert error in outcomes[0].detail
    assert outcomes[0].stage == "parse"


def test_a_store_that_takes_nothing_is_fatal(bench: Bench) -> None:
    Path(bench.output).write_text("a file where the folder should be")

    assert {outcome.code for outcome in bench.run(toy_job(), ["a"])} == {FATAL}


def test_a_worker_says_which_row_it_has_before_it_tries_it(bench: Bench) -> None:
    folder = str(bench.root / "words")
    bench.run(toy_job(placement="split"), ["a"], last_words=folder)

    words = LastWords.read(folder, int(unit_ids(["a"], [0])[0]))
    assert words == LastWords(
        pool="encode",
        tries={"fetch+decode": 1, "parse": 1, "synthesize": 1, "encode": 1},
        finished=True,
    )
    assert LastWords.read(folder, 0) is None


def test_workers_are_named_for_their_stages() -> None:
    job = toy_job(placement="split")
    pools = place(job.recipes[0], job, Machine(num_cpus=8)).pools

    assert [worker_class(pool).__name__ for pool in pools] == ["fetch+decode", "parse", "synthesize", "encode"]


def test_weights_that_do_not_fit_end_the_run_with_one_sentence(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    job = toy_job()
    wrong = Parse(size=job.recipes[0].size, weights="pose_closet")
    stages = tuple(wrong if stage.name == "parse" else stage for stage in job.recipes[0].stages)
    recipe = replace(job.recipes[0], stages=stages)
    (worker,) = bench.workers(replace(job, recipes=(recipe,)))
    outcomes = from_table(worker(bench.units(ITEMS)))
    assert {(outcome.stage, outcome.code) for outcome in outcomes} == {("build", FATAL)}
    assert {outcome.item_id for outcome in outcomes} == set(ITEMS)
    assert "WeightsError" in outcomes[0].detail and "a parser's is 'parsing_net'" in outcomes[0].detail
