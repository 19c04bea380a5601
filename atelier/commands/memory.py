"""`python -m atelier memory build`: a described catalog in, a stylized memory out."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atelier.datasets import TextSample
    from atelier.memory_builder import MemoryBuilder
    from atelier.models.human_diffusion import HumanDiffusionConfig
    from atelier.models.human_diffusion.encoders import Encoders

_BATCH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what a memory is built from."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    build = kinds.add_parser("build", help="crops of a DeepFashion-MultiModal folder, by region, found by words")
    build.add_argument("--data", required=True, metavar="DIR", help="folder or s3:// prefix with captions.json")
    build.add_argument("--model", default="human_diffusion_closet", help="whose encoders: a shipped name or a folder")
    build.add_argument("--out", type=Path, required=True, help="the folder to write")
    build.add_argument("--items", type=_count, metavar="N", help="the first N pictures only")
    build.add_argument("--per-phrase", type=_count, default=8, metavar="K", help="crops of one phrase, default 8")
    build.add_argument(
        "--max-bytes", type=_count, default=3_000_000, metavar="B", help="of the folder, default 3000000"
    )


def run(arguments: argparse.Namespace) -> int:
    """Builds, and says how much is in it, what was left out and which digest it has."""
    from atelier.datasets import multimodal
    from atelier.memory_builder import MemoryBuilder
    from atelier.models import registry
    from atelier.models.human_diffusion.networks import read_encoders
    from atelier.weights import state_digest

    config, encoders = read_encoders(registry.folder(arguments.model))
    _make_room(arguments.out)
    builder = MemoryBuilder(per_phrase=arguments.per_phrase)
    samples = itertools.islice(multimodal.read(arguments.data), arguments.items)
    num_read = 0
    while batch := list(itertools.islice(samples, _BATCH)):
        num_read += _add(builder, encoders, config, batch)
    memory = builder.build(max_bytes=arguments.max_bytes, encoders_digest=state_digest(encoders))
    digest = memory.save(arguments.out, source=f"{num_read} pictures of {Path(arguments.data).name}")
    sys.stdout.write(f"{arguments.out}: {memory.num_rows} crops of {num_read} pictures, sha256 {digest}\n")
    return 0


def _make_room(out: Path) -> None:
    """Makes the folder, before anything is read.

    Raises:
        ConfigError: it cannot be made, or holds something else than a memory, whose config would be lost.
    """
    from atelier import weights
    from atelier.errors import ConfigError
    from atelier.memory import MODEL_NAME

    try:
        out.mkdir(parents=True, exist_ok=True)
        held = sorted(entry.name for entry in out.iterdir())
    except OSError as error:
        raise ConfigError(f"--out {out}: no folder can be made there: {error.strerror}") from error
    is_memory = weights.CONFIG_NAME in held and weights.read_config(out).get("model") == MODEL_NAME
    if held and not is_memory:
        raise ConfigError(f"--out {out}: holds {', '.join(held[:3])}; must be absent, empty or an earlier memory")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 up")
    return int(text)


def _add(builder: MemoryBuilder, encoders: Encoders, config: HumanDiffusionConfig, batch: Sequence[TextSample]) -> int:
    """Adds what can be read of a batch; names the rest, and gives how many were read."""
    import numpy as np
    import torch

    from atelier import images, storage
    from atelier.errors import NotFound, RowError
    from atelier.models.human_diffusion.phrases import parse
    from atelier.models.human_diffusion.regions import NUM_REGIONS
    from atelier.models.human_diffusion.remembering import remember
    from atelier.models.layers.pixels import picture_from_bytes

    size = config.working_size
    pictures, maps, ids, captions = [], [], [], []
    for sample in batch:
        try:
            picture, _ = images.fit(images.decode_picture(storage.get(sample.image)), size)
            pose_map = images.fit_labels(images.decode_labels(storage.get(sample.parse), num_labels=NUM_REGIONS), size)
        except (RowError, NotFound) as error:
            sys.stderr.write(f"left out: {sample.image}: {error}\n")
            continue
        pictures.append(picture)
        maps.append(pose_map)
        ids.append(storage.name(sample.image).rsplit(".", 1)[0])
        captions.append(parse(sample.caption))
    if pictures:
        pixels = picture_from_bytes(torch.from_numpy(np.stack(pictures)))
        labels = torch.from_numpy(np.stack(maps))
        builder.add(ids, remember(encoders, pixels, labels, captions, crop_size=config.crop_size))
    return len(pictures)
