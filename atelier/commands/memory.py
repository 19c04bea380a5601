"""`python -m atelier memory build`: a described catalog in, a stylized memory out."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from atelier.commands import numbers, outputs, texts

if TYPE_CHECKING:
    import numpy as np

    from atelier.memory_builder import MemoryBuilder
    from atelier.models.human_diffusion import HumanDiffusionConfig
    from atelier.models.human_diffusion.encoders import Encoders

_BATCH = 16
_FEWEST = 0.02
"""Share of a picture that must be a person."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what a memory is built from."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    build = kinds.add_parser("build", help="crops of described pictures, by region, found by words")
    build.add_argument(
        "--data",
        required=True,
        type=texts.given,
        metavar="DATA",
        help="a DeepFashion-MultiModal folder, or a catalog (CSV, JSONL, Parquet) whose rows have person and prompt",
    )
    build.add_argument(
        "--parser", default="parser_closet", help="finds the regions of a catalog's rows that bring no parse"
    )
    build.add_argument(
        "--model",
        help="whose encoders: a shipped name or a folder; default human_diffusion_closet, or the published with --clip",
    )
    build.add_argument("--clip", metavar="DIR", help="folder of CLIP, for a model whose folder does not hold it")
    build.add_argument("--out", type=outputs.local_folder, required=True, help="the folder to write")
    build.add_argument("--items", type=numbers.count, metavar="N", help="the first N pictures only")
    build.add_argument(
        "--per-phrase", type=numbers.count, default=8, metavar="K", help="crops of one phrase, default 8"
    )
    build.add_argument(
        "--max-bytes", type=numbers.count, default=3_000_000, metavar="B", help="of the folder, default 3000000"
    )


def run(arguments: argparse.Namespace) -> int:
    """Builds, and says how much is in it, what was left out and which digest it has."""
    from atelier.memory_builder import MemoryBuilder
    from atelier.models import registry
    from atelier.models.human_diffusion import human_diffusion
    from atelier.models.human_diffusion.networks import read_encoders
    from atelier.models.human_diffusion.networks_clip import ClipEncoders
    from atelier.weights import state_digest

    if arguments.clip and not arguments.model:
        config = human_diffusion()
        encoders = ClipEncoders.from_folder(arguments.clip, config)
    else:
        folder = registry.folder(arguments.model or "human_diffusion_closet")
        config, encoders = read_encoders(folder, clip=arguments.clip)
    _make_room(arguments.out)
    builder = MemoryBuilder(per_phrase=arguments.per_phrase)
    samples = itertools.islice(_samples(arguments.data, arguments.parser), arguments.items)
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


def _add(builder: MemoryBuilder, encoders: Encoders, config: HumanDiffusionConfig, batch: Sequence[_Described]) -> int:
    """Adds what can be read of a batch; names the rest, and gives how many were read."""
    import numpy as np
    import torch

    from atelier import images, storage
    from atelier.errors import NotFound, RowError
    from atelier.models.human_diffusion.phrases import parse
    from atelier.models.human_diffusion.remembering import remember
    from atelier.models.layers.pixels import picture_from_bytes

    size = config.working_size
    pictures, maps, ids, captions = [], [], [], []
    for sample in batch:
        try:
            picture, _ = images.fit(images.decode_picture(storage.get(sample.picture)), size)
            pose_map = sample.regions(picture, size)
        except (RowError, NotFound) as error:
            sys.stderr.write(f"left out: {sample.picture}: {error}\n")
            continue
        pictures.append(picture)
        maps.append(pose_map)
        ids.append(sample.item_id)
        captions.append(parse(sample.caption))
    if pictures:
        pixels = picture_from_bytes(torch.from_numpy(np.stack(pictures)))
        labels = torch.from_numpy(np.stack(maps))
        builder.add(ids, remember(encoders, pixels, labels, captions, crop_size=config.crop_size))
    return len(pictures)


@dataclass(frozen=True, kw_only=True)
class _Described:
    """A picture, its sentence, and the way to its 24 labels: (fitted picture, its size) to uint8 ids."""

    item_id: str
    picture: str
    caption: str
    regions: Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def _samples(data: str, parser: str) -> Iterator[_Described]:
    """Of a DeepFashion-MultiModal folder with its own maps, or of a catalog by its parses or the parser's."""
    from atelier import images, storage
    from atelier.datasets import multimodal, worn
    from atelier.models.human_diffusion.regions import NUM_REGIONS

    def annotated(address: str, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return images.fit_labels(images.decode_labels(storage.get(address), num_labels=NUM_REGIONS), size)

    if not worn.is_table(data):
        for sample in multimodal.read(data):
            name = storage.name(sample.image).rsplit(".", 1)[0]
            regions = partial(annotated, sample.parse)
            yield _Described(item_id=name, picture=sample.image, caption=sample.caption, regions=regions)
        return
    parsed = _Parsed(parser)
    for row in worn.read(data):
        regions = partial(parsed.regions, row.parse)
        yield _Described(item_id=row.item_id, picture=row.person, caption=row.prompt, regions=regions)


class _Parsed:
    """CIHP labels, a row's own or those that a parser finds, as DeepFashion-MultiModal's."""

    def __init__(self, parser: str) -> None:
        from atelier.models import registry
        from atelier.models.parsing.parser import HumanParser

        self._parser = HumanParser.from_pretrained(registry.folder(parser))

    def regions(self, parse: str, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        import numpy as np
        import torch

        from atelier import images, storage
        from atelier.errors import RowError
        from atelier.models.parsing.labels import CIHP, IN_MULTIMODAL

        if parse:
            cihp = images.fit_labels(images.decode_labels(storage.get(parse), num_labels=len(CIHP)), size)
        else:
            cihp = self._parser(torch.from_numpy(np.ascontiguousarray(picture))[None])[0].numpy()
        if (cihp > 0).mean() < _FEWEST:
            raise RowError("no_person", "person: no person is seen in it")
        return np.array(IN_MULTIMODAL, np.uint8)[cihp]
