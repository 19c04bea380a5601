"""Each layout is read as it was written, and says what is wrong with a folder that isn't one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atelier import storage
from atelier.datasets import deepfashion, multimodal, viton_hd
from atelier.errors import CatalogError


def person(name: str) -> viton_hd.TryOnFiles:
    parts = ("person_jpeg", "garment_jpeg", "garment_mask_jpeg", "parse_png", "keypoints_json", "pose_image_png")
    return viton_hd.TryOnFiles(name=name, **{part: f"{name} {part}".encode() for part in parts})


def test_viton_hd_pairs_people_with_their_own_garment_or_the_lists(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert viton_hd.write(root, "test", map(person, ("a", "b", "c"))) == 3

    paired = list(viton_hd.read(root, "test", paired=True))
    unpaired = list(viton_hd.read(root, "test", paired=False))

    assert [(s.person_id, s.garment_id, s.paired) for s in paired] == [(n, n, True) for n in "abc"]
    assert [(s.person_id, s.garment_id, s.paired) for s in unpaired] == [
        ("a", "b", False),
        ("b", "c", False),
        ("c", "a", False),
    ]
    assert storage.get(unpaired[0].garment) == b"b garment_jpeg"
    assert storage.get(unpaired[0].parse) == b"a parse_png"


def test_viton_hd_reads_the_older_folder_names(tmp_path: Path) -> None:
    viton_hd.write(str(tmp_path), "train", [person("a")])
    for new, old in (("image-parse-v3", "image-parse"), ("openpose_json", "openpose-json")):
        (tmp_path / "train" / new).rename(tmp_path / "train" / old)

    (sample,) = viton_hd.read(str(tmp_path), "train", paired=True)

    assert sample.parse.endswith("train/image-parse/a.png")
    assert sample.keypoints.endswith("train/openpose-json/a_keypoints.json")


def test_viton_hd_names_the_line_of_a_missing_picture(tmp_path: Path) -> None:
    viton_hd.write(str(tmp_path), "test", map(person, "ab"))
    (tmp_path / "test" / "cloth" / "b.jpg").unlink()

    with pytest.raises(CatalogError, match=r"test_pairs.txt, line 1: names 'b.jpg', but there is no .*/cloth/b.jpg"):
        list(viton_hd.read(str(tmp_path), "test", paired=False))


def test_viton_hd_refuses_another_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"not a VITON-HD folder: .*train_pairs.txt is absent"):
        list(viton_hd.read(str(tmp_path), "train", paired=True))


@pytest.mark.parametrize(("header", "lacking"), [("a;b", "from and to"), ("from;to", "from and to"), ("from,b", "to")])
def test_deepfashion_names_the_columns_that_its_list_lacks(header: str, lacking: str, tmp_path: Path) -> None:
    joints = np.ones((18, 3), np.float32)
    deepfashion.write(str(tmp_path), "test", [("x.jpg", b"x", joints), ("y.jpg", b"y", joints)], [])
    pairs = tmp_path / "fasion-resize-pairs-test.csv"
    pairs.write_text(f"{header}\nx.jpg;y.jpg\n")
    with pytest.raises(CatalogError) as caught:
        list(deepfashion.read(str(tmp_path), "test"))
    assert str(caught.value) == f"{pairs}: its header is {header!r}, without {lacking}; must be 'from,to'"


def test_deepfashion_keeps_missing_joints_missing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.integers(0, 176, (2, 18, 2)), np.ones((2, 18, 1))], axis=2).astype(np.float32)
    joints[1, 4] = 0
    pictures = [("x.jpg", b"x", joints[0]), ("y.jpg", b"y", joints[1])]
    deepfashion.write(str(tmp_path), "test", pictures, [("x.jpg", "y.jpg")])

    (sample,) = deepfashion.read(str(tmp_path), "test")

    assert (storage.get(sample.source), storage.get(sample.target)) == (b"x", b"y")
    np.testing.assert_array_equal(sample.source_keypoints, joints[0])
    np.testing.assert_array_equal(sample.target_keypoints, joints[1])


def test_deepfashion_names_an_unannotated_pair(tmp_path: Path) -> None:
    deepfashion.write(str(tmp_path), "train", [("x.jpg", b"x", np.ones((18, 3), np.float32))], [("x.jpg", "z.jpg")])

    with pytest.raises(CatalogError, match=r"pairs-train.csv, line 2: names \['z.jpg'\]"):
        list(deepfashion.read(str(tmp_path), "train"))


def test_deepfashion_names_a_malformed_annotation(tmp_path: Path) -> None:
    deepfashion.write(str(tmp_path), "train", [("x.jpg", b"x", np.ones((18, 3), np.float32))], [])
    (tmp_path / "fasion-resize-annotation-train.csv").write_text("name:keypoints_y:keypoints_x\nx.jpg: [1, 2]: [3]\n")

    with pytest.raises(CatalogError, match=r"annotation-train.csv, line 2: must be"):
        list(deepfashion.read(str(tmp_path), "train"))


def test_multimodal_gives_captioned_pictures_that_have_a_parse(tmp_path: Path) -> None:
    joints = np.ones((21, 3), np.float32) * 7
    joints[:, 2] = 1
    joints[3] = 0
    pictures = [
        multimodal.TextFiles(name=name, image_jpeg=b"i", parse_png=b"p", caption=f"A {name}.", keypoints=joints)
        for name in ("first", "second")
    ]
    multimodal.write(str(tmp_path), pictures)
    (tmp_path / "segm" / "second_segm.png").unlink()

    (sample,) = multimodal.read(str(tmp_path))

    assert sample.caption == "A first."
    assert sample.keypoints is not None
    np.testing.assert_array_equal(sample.keypoints, joints)
    assert sample.parse.endswith("segm/first_segm.png")
    assert multimodal.num_without_parse(str(tmp_path)) == 1

    (tmp_path / multimodal.KEYPOINTS).write_text("")
    assert [sample.keypoints for sample in multimodal.read(str(tmp_path))] == [None]


def test_multimodal_refuses_a_folder_without_parses(tmp_path: Path) -> None:
    multimodal.write(str(tmp_path), [])

    with pytest.raises(CatalogError, match="none of the 0 captioned pictures"):
        list(multimodal.read(str(tmp_path)))


READERS = {
    "viton_hd": lambda root: viton_hd.read(root, "train", paired=True),
    "deepfashion": lambda root: deepfashion.read(root, "train"),
    "multimodal": multimodal.read,
}


@pytest.mark.parametrize(
    ("layout", "file", "data", "expected"),
    [
        (
            "viton_hd",
            "train_pairs.txt",
            b"a.jpg b.jpg\n\xe9.jpg b.jpg\n",
            "train_pairs.txt, line 2: holds the byte 0xe9",
        ),
        (
            "viton_hd",
            "train_pairs.txt",
            b" \n\n",
            "train_pairs.txt: is empty; each line must be 'PERSON.jpg GARMENT.jpg'",
        ),
        (
            "deepfashion",
            "fasion-resize-pairs-train.csv",
            b"from,to\n\xe9,b\n",
            "line 2: holds the byte 0xe9; must be UTF-8",
        ),
        (
            "deepfashion",
            "fasion-resize-pairs-train.csv",
            b"from,to\n",
            "names no pair; each line below its header must be",
        ),
        ("multimodal", "captions.json", b'["a.jpg"]', "captions.json: holds a list; must be an object of 'NAME.jpg'"),
        ("multimodal", "captions.json", b'{"\xe9.jpg": "a coat"}', "captions.json, line 1: holds the byte 0xe9"),
        ("multimodal", "captions.json", b"{", "captions.json: not JSON"),
        (
            "multimodal",
            "keypoints/keypoints_loc.txt",
            b"a.jpg" + b" x" * 42,
            "line 1: could not convert string to float",
        ),
    ],
)
def test_a_list_that_cannot_be_read_is_named_with_what_it_must_be(
    layout: str, file: str, data: bytes, expected: str, tmp_path: Path
) -> None:
    root = str(tmp_path)
    viton_hd.write(root, "train", map(person, "ab"))
    deepfashion.write(root, "train", [("a", b"a", np.ones((18, 3), np.float32))], [("a", "a")])
    multimodal.write(
        root,
        [
            multimodal.TextFiles(
                name="a", image_jpeg=b"a", parse_png=b"a", caption="a coat", keypoints=np.zeros((21, 3), np.float32)
            )
        ],
    )
    (tmp_path / file).write_bytes(data)

    with pytest.raises(CatalogError) as caught:
        list(READERS[layout](root))
    assert expected in str(caught.value)


def test_a_byte_order_mark_belongs_to_no_name(tmp_path: Path) -> None:
    viton_hd.write(str(tmp_path), "train", [person("a")])
    listing = tmp_path / "train_pairs.txt"
    listing.write_bytes(b"\xef\xbb\xbf" + listing.read_bytes())

    assert [sample.person_id for sample in viton_hd.read(str(tmp_path), "train", paired=True)] == ["a"]
