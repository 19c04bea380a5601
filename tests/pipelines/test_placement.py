"""Placement: which stages share a pool, what leaves it, and what does not fit."""

from __future__ import annotations

import dataclasses

import pytest

from atelier.errors import ConfigError
from pipelines.placement import READING_CPUS, Machine, Placement, place
from tests.pipelines.toys import toy_job

LAPTOP = Machine(num_cpus=2 + READING_CPUS)


def placed(machine: Machine = LAPTOP, *, num_units: int | None = None, **settings: object) -> Placement:
    job = dataclasses.replace(toy_job(), **settings)
    return place(job.recipes[0], job, machine, num_units=num_units)


def names(placement: Placement) -> list[str]:
    return [pool.name for pool in placement.pools]


def test_fused_on_cpus_is_one_pool_with_a_worker_a_core() -> None:
    placement = placed()

    assert names(placement) == ["fetch+decode+parse+synthesize+encode"]
    assert placement.pools[0].num_workers == 2
    assert placement.num_cpus == 2 + READING_CPUS
    placement.check(LAPTOP)


def test_fused_with_an_accelerator_keeps_it_apart_from_fetching_and_encoding() -> None:
    placement = placed(Machine(num_cpus=16, num_gpus=1), num_accelerators=1)

    assert names(placement) == ["fetch+decode", "parse+synthesize", "encode"]
    assert [pool.num_gpus for pool in placement.pools] == [0, 1, 0]
    assert [pool.device for pool in placement.pools] == ["cpu", "cuda", "cpu"]


def test_split_gives_each_heavy_stage_a_pool() -> None:
    assert names(placed(placement="split")) == ["fetch+decode", "parse", "synthesize", "encode"]


@pytest.mark.parametrize(("gpus", "shares"), [(1, [(1, 0.5), (1, 0.5)]), (2, [(1, 1), (1, 1)]), (8, [(1, 1), (7, 1)])])
def test_split_gives_the_heaviest_pool_what_the_others_leave(gpus: int, shares: list[tuple[int, float]]) -> None:
    machine = Machine(num_cpus=64, num_gpus=gpus)
    placement = placed(machine, placement="split", num_accelerators=gpus)

    assert [(pool.num_workers, pool.num_gpus) for pool in placement.pools[1:3]] == shares
    assert placement.num_gpus == gpus
    placement.check(machine)


def test_columns_that_no_later_pool_reads_stay_behind() -> None:
    prepare, parse, synthesize, _ = placed(placement="split").pools

    assert {"person", "garment", "frame", "plan_key", "person_sha256"} <= set(prepare.keep)
    assert not {"person_bytes", "given_parse", "garment_mask", "person_token"} & set(prepare.keep)
    assert {"parse", "garment", "frame"} <= set(parse.keep)
    assert not {"parse", "person", "garment"} & set(synthesize.keep)


def test_no_more_workers_than_blocks() -> None:
    assert placed(Machine(num_cpus=34), num_units=17).pools[0].num_workers == 3


def test_a_job_sizes_a_pool_by_its_name() -> None:
    placement = placed(placement="split", workers={"parse": 3})

    assert [pool.num_workers for pool in placement.pools] == [1, 3, 1, 1]


def test_workers_for_a_pool_that_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"workers for \['warp'\]; the pools are \['fetch\+decode', 'parse'"):
        placed(placement="split", workers={"warp": 3})


def test_a_placement_that_does_not_fit_is_refused_with_what_is_missing() -> None:
    placement = placed(placement="split", num_accelerators=2)

    with pytest.raises(ConfigError, match=r"2 CPUs missing and 1 GPUs missing. It needs 6 CPUs and 2 GPUs"):
        placement.check(Machine(num_cpus=4, num_gpus=1))


def test_a_stage_that_reads_what_none_before_it_writes_is_refused() -> None:
    job = toy_job()
    recipe = dataclasses.replace(job.recipes[0], stages=tuple(s for s in job.recipes[0].stages if s.name != "parse"))

    with pytest.raises(ConfigError, match=r"stage synthesize reads \['parse'\]"):
        place(recipe, job, LAPTOP)
