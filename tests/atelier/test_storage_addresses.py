"""Addresses: what a catalog may say, and where it leads."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier import storage
from atelier.errors import StorageError


@pytest.mark.parametrize(
    ("base", "address", "expected"),
    [
        ("s3://b/spring", "img/a.png", "s3://b/spring/img/a.png"),
        ("s3://b/spring/", "./img/a.png", "s3://b/spring/img/a.png"),
        ("s3://b/spring", "../autumn/a.png", "s3://b/autumn/a.png"),
        ("s3://b", "a.png", "s3://b/a.png"),
        ("s3://b/spring", "s3://other/x//y.png", "s3://other/x//y.png"),
        ("s3://b/spring", "/disk/a.png", "/disk/a.png"),
        ("/data/spring", "img/a b+%20ü.png", "/data/spring/img/a b+%20ü.png"),
        ("/data/spring", "../a.png", "/data/a.png"),
        ("/data/spring", "/disk/./a.png", "/disk/a.png"),
        ("data", "a.png", "data/a.png"),
        ("/data", "s3://b/a.png", "s3://b/a.png"),
    ],
)
def test_join_resolves_against_the_folder(base: str, address: str, expected: str) -> None:
    assert storage.join(base, address) == expected


@pytest.mark.parametrize(
    ("base", "address", "says"),
    [
        ("s3://b/spring", "../../secret/a.png", "must stay inside s3://b"),
        ("s3://b/spring", "..", "must stay inside s3://b"),
        ("s3://b/spring", "", "empty"),
        ("/data", "  ", "empty"),
        ("/data", "a\0.png", "NUL"),
        ("/data", "s3://b/a\0", "NUL"),
        ("/data", "https://example.com/a.png", "scheme"),
        ("/data", "s3://", "s3://bucket/key"),
        ("/data", "s3://bucket", "no object"),
    ],
)
def test_join_refuses(base: str, address: str, says: str) -> None:
    with pytest.raises(StorageError, match=says):
        storage.join(base, address)


@pytest.mark.parametrize("address", ["../x", "/etc/passwd", "a/../../x", "s3://b/x"])
def test_a_root_bounds_every_address(address: str) -> None:
    with pytest.raises(StorageError, match="must stay inside /data/spring"):
        storage.join("/data/spring", address, root="/data/spring")


@pytest.mark.parametrize("address", ["s3://other/x", "../x", "s3://b/spring/../x", "s3://b/springtime/x", "/x"])
def test_a_root_bounds_every_key(address: str) -> None:
    with pytest.raises(StorageError, match="must stay inside s3://b/spring"):
        storage.join("s3://b/spring", address, root="s3://b/spring")


@given(st.lists(st.sampled_from(["..", ".", "", "a", "s3:", "é"]), min_size=1, max_size=8).map("/".join))
def test_nothing_leaves_a_root(address: str) -> None:
    for root in ("/data/spring", "s3://b/spring"):
        try:
            joined = storage.join(root, address, root=root)
        except StorageError:
            continue
        assert joined.startswith(root + "/")
        assert ".." not in joined.split("/")


def test_parts_of_an_address() -> None:
    assert storage.parent("s3://b/a/c.csv") == "s3://b/a"
    assert storage.parent("s3://b/c.csv") == "s3://b"
    assert storage.parent("data/c.csv") == "data"
    assert storage.parent("c.csv") == "."
    assert storage.name("s3://b/a/c.csv") == "c.csv"
    assert storage.resolve("s3://b/a/") == "s3://b/a"
    assert storage.resolve("s3://b") == "s3://b"
    assert posixpath.isabs(storage.resolve("data/../c"))
    assert storage.resolve("data/../c").endswith("/c")
