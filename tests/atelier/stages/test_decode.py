"""Decode: what it makes of a catalog's files, and the code of everything that can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from atelier.closet import draw_flat, top_seed
from atelier.errors import RowError
from atelier.geometry.garment_mask import find_garment_mask
from atelier.images import Frame
from atelier.stages.base import RowStage
from atelier.stages.decode import Decode

SIZE = (128, 96)
Files = Callable[[int], dict[str, bytes]]


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.array(Image.open(BytesIO(data)))


@pytest.fixture
def decode() -> RowStage:
    return Decode(size=SIZE).build(torch.device("cpu"))


def row_of(files: dict[str, bytes], **changes: bytes) -> dict[str, Any]:
    return {f"{name}_bytes": data for name, data in (files | changes).items()}


def code_of(decode: RowStage, row: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(RowError) as error:
        decode.run_row(row)
    assert error.value.rejected
    return error.value.code, error.value.detail


def people(*joints: float) -> bytes:
    return json.dumps({"people": [{"pose_keypoints_2d": list(joints)}]}).encode()


def test_everything_given_at_the_working_size_comes_through_as_it_is(decode: RowStage, files: Files) -> None:
    given = files(3)
    columns = decode.run_row(row_of(given))
    assert set(columns) == set(decode.writes)
    assert np.array_equal(columns["person"], pixels(given["person"]))
    assert np.array_equal(columns["given_parse"], pixels(given["parse"]))
    assert np.array_equal(columns["garment_mask"], pixels(given["garment_mask"]) // 255)
    assert columns["has_parse"] and columns["has_keypoints"]
    written = np.array(json.loads(given["keypoints"])["people"][0]["pose_keypoints_2d"], np.float32).reshape(25, 3)
    assert np.allclose(columns["given_keypoints"], written)
    for name, value in decode.blank().items():
        assert np.asarray(columns[name]).dtype == np.asarray(value).dtype
        assert np.asarray(columns[name]).shape == np.asarray(value).shape


def test_what_is_not_given_is_marked_so(decode: RowStage, files: Files) -> None:
    columns = decode.run_row(row_of(files(3), parse=b"", keypoints=b""))
    assert not columns["has_parse"] and not columns["has_keypoints"]
    assert not columns["given_parse"].any() and not columns["given_keypoints"].any()


def test_parse_and_keypoints_follow_the_person_into_the_working_size(decode: RowStage) -> None:
    person = np.full((100, 100, 3), 200, np.uint8)
    person[40:60, 20:30] = (255, 0, 0)
    parse = np.zeros((100, 100), np.uint8)
    parse[40:60, 20:30] = 5
    garment = np.full((100, 100, 3), 255, np.uint8)
    garment[30:70, 30:70] = 0
    joints = [0.0] * 54
    joints[:3] = [25, 50, 0.9]
    columns = decode.run_row(
        row_of({"person": png(person), "parse": png(parse), "garment": png(garment), "keypoints": people(*joints)})
    )
    frame = Frame.from_vector(columns["frame"])
    assert (frame.top, frame.left, frame.height, frame.width) == (16, 0, 96, 96)
    x, y, confidence = columns["given_keypoints"][0]
    assert (x, y) == (24, 64) and confidence == np.float32(0.9)
    assert columns["given_parse"][int(y), int(x)] == 5 and columns["person"][int(y), int(x), 0] > 240
    assert columns["given_parse"][:16].max() == 0
    assert not columns["given_keypoints"][1:].any()
    assert columns["garment_mask"][64, 48] == 1 and columns["garment_mask"][:40].max() == 0


def test_the_garment_is_found_on_its_plain_background() -> None:
    for seed in range(6):
        flat = draw_flat(garment=top_seed(seed), size=SIZE)
        found = find_garment_mask(flat.image)
        assert (found & flat.mask).sum() / (found | flat.mask).sum() > 0.85, seed


def test_prints_in_the_background_s_colour_stay_garment() -> None:
    garment = np.full((60, 60, 3), 250, np.uint8)
    garment[10:50, 10:50] = (20, 60, 90)
    garment[25:35, 20:40] = 250
    assert find_garment_mask(garment)[30, 30] == 1


@pytest.mark.parametrize("case", ["busy background", "white on white", "nothing there", "all garment"])
def test_a_mask_that_cannot_be_found_is_asked_for(decode: RowStage, files: Files, case: str) -> None:
    rng = np.random.default_rng(0)
    garment = np.full((60, 60, 3), 250, np.uint8)
    if case == "busy background":
        garment = rng.integers(0, 255, (60, 60, 3), dtype=np.uint8)
    elif case == "white on white":
        garment[10:50, 10:50] = 238
        garment[10:50, 10:16] = 120
    elif case == "all garment":
        garment[1:59, 1:59] = 0
    code, detail = code_of(decode, row_of(files(3), garment=png(garment), garment_mask=b""))
    assert code == "garment_mask_needed" and detail.startswith("garment:") and "garment_mask" in detail


def test_broken_pictures_keep_their_codes_and_name_the_input(decode: RowStage, files: Files) -> None:
    given = files(3)
    file = BytesIO()
    Image.fromarray(pixels(given["garment"])).save(file, "JPEG")
    assert code_of(decode, row_of(given, person=b""))[0] == "picture_empty"
    code, detail = code_of(decode, row_of(given, garment=file.getvalue()[:-200]))
    assert code == "picture_truncated" and detail.startswith("garment: ")
    code, detail = code_of(decode, row_of(given, parse=b"<html>404</html>"))
    assert code == "picture_format" and detail.startswith("parse: ")
    code, detail = code_of(decode, row_of(given, person=png(np.zeros((8, 90, 3), np.uint8))))
    assert code == "picture_too_small" and "8x90" in detail


def test_maps_of_another_size_or_label_set_are_rejected(decode: RowStage, files: Files) -> None:
    given = files(3)
    code, detail = code_of(decode, row_of(given, parse=png(np.full(SIZE, 20, np.uint8))))
    assert code == "parse_invalid" and "20" in detail and "0..19" in detail
    code, detail = code_of(decode, row_of(given, parse=png(np.zeros((64, 48), np.uint8))))
    assert code == "parse_invalid" and "64x48" in detail and "128x96" in detail
    code, detail = code_of(decode, row_of(given, garment_mask=png(np.full((64, 48), 255, np.uint8))))
    assert code == "garment_mask_invalid" and "64x48" in detail
    assert code_of(decode, row_of(given, garment_mask=png(np.zeros(SIZE, np.uint8))))[0] == "garment_mask_invalid"


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (b'{"people": []}', "no_person", "people"),
        (people(*[0.0] * 75), "no_person", "confidence"),
        (b"not json", "keypoints_invalid", "is no JSON (line 1, column 1)"),
        (b"[" * 100_000, "keypoints_invalid", "JSON"),
        (b'{"persons": 3}', "keypoints_invalid", "has no list of people"),
        (b"[1]", "keypoints_invalid", "has no list of people"),
        (b'{"people": [3]}', "keypoints_invalid", "people[0].pose_keypoints_2d is no list of numbers"),
        (b'{"people": [{"pose_keypoints_2d": ["a"]}]}', "keypoints_invalid", "is no list of numbers"),
        (people(1, 2, 3), "keypoints_invalid", "75"),
        (people(*[float("nan")] * 75), "keypoints_invalid", "finite"),
        (people(*[9000.0, 10, 1] * 25), "keypoints_invalid", "(9000, 10)"),
        (people(*[0.5, 0.5, 1] * 25), "keypoints_invalid", "pixels"),
    ],
)
def test_keypoint_files_that_say_nothing_usable(
    decode: RowStage, files: Files, data: bytes, code: str, word: str
) -> None:
    found, detail = code_of(decode, row_of(files(3), keypoints=data))
    assert found == code and word in detail and detail.startswith("keypoints:")
