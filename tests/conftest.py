"""What tests of every folder share: shapes checked in every model call, and one real S3 server a session."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import install_import_hook

from infra.store import BUCKET, StoreServer

# The hook wants its checker by an importable name; `Self` would need whole classes decorated, not their methods.
checker = types.ModuleType("shape_checker")
vars(checker)["check"] = beartype(
    conf=BeartypeConf(hint_overrides=FrozenDict({typing.Self: typing.Any}), is_pep484_tower=True)
)
sys.modules[checker.__name__] = checker
install_import_hook("atelier.models", "shape_checker.check")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """A running S3 server on loopback. Tests that ask for it carry `@pytest.mark.slow`."""
    here = platform.system(), platform.machine()
    if here != ("Linux", "x86_64") and shutil.which("weed") is None:
        pytest.skip(f"the store's wheel is for Linux on x86_64, not {' on '.join(here)}; put SeaweedFS's weed on PATH")
    with StoreServer(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture
def s3(s3_server: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty folder `s3://...` in a real store, with this process's environment pointing at it."""
    for key in [key for key in os.environ if key.startswith("AWS_")]:
        monkeypatch.delenv(key)
    for key, value in s3_server.environment().items():
        monkeypatch.setenv(key, value)
    return f"s3://{BUCKET}/{tmp_path.name}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: the other worker makes the rest meanwhile. A worker is handed its next file
    while two tests are left to it, so a short one before the longest keeps another long one from waiting behind it."""
    items.sort(key=lambda item: (item.get_closest_marker("early") is None, item.get_closest_marker("slow") is None))
