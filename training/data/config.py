"""What a run learns from, as a value: which data, and how a step's columns come of its samples."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from atelier import storage
from atelier.errors import ConfigError
from atelier.stages.base import StageConfig
from training.data.closet_source import ClosetConfig
from training.data.dataset import Columns, Dataset
from training.data.features import FeatureColumns, WithFeatures, check_frozen
from training.data.held_out import check_held_out
from training.data.locks import alone
from training.data.preparing.here import prepare_here
from training.data.preparing.plan import Preparation, plan
from training.data.shards import INDEX_NAME, ShardDataset
from training.data.sources.closet import ClosetSource
from training.data.sources.features import FeatureSource
from training.data.sources.finding import CLOSET, LayoutSettings, find_source
from training.data.sources.source import LeftOut, Source

_HINTS = {
    ("deepfashion", "source_parse"): "DeepFashion brings no parses: `prepare --parser WEIGHTS` finds them",
    ("multimodal", "keypoints"): "it was prepared for a run that reads none: prepare it for this one",
}
"""By the kind of data and a column that it may lack."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A run's data.

    Args:
        columns: from a sample to what the step reads, augmented.
        closet: what is drawn where a run is given no other data; None where it must be given some.
        layout: how a folder in a data set's layout is read; None: at the closet's size, with what the folder brings.
        features: stages with fixed weights whose columns the step reads too, computed once and kept.
    """

    columns: Columns
    closet: ClosetConfig | None = None
    layout: LayoutSettings | None = None
    features: tuple[StageConfig, ...] = ()

    def __post_init__(self) -> None:
        if self.closet is None and self.layout is None:
            raise ConfigError("data: closet and layout are both None; one must say the working size")
        for stage in self.features:
            check_frozen(stage, self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Working size (H, W) of any data that the run learns from."""
        settings = self.layout or self.closet
        assert settings is not None
        return settings.size

    def open(self, address: str | None, cache: Path) -> Dataset:
        """The samples at an address, prepared first where they are not yet. All processes of a machine may call it.

        Args:
            address: a folder or `s3://` prefix of prepared data, or of a layout (`deepfashion:/data/fashion` names it,
                otherwise it is detected); None or `closet`: drawn.
            cache: folder of this machine where drawn, prepared and fetched data is kept.

        Raises:
            CatalogError: there is no data set at the address, or one that cannot be read.
            ConfigError: the data set is not what the run's step can read.
        """
        folder = address
        if folder is None or not is_prepared(folder):
            preparation = self.preparation(address, cache)
            with alone(Path(f"{preparation.output}.lock")):
                if preparation.finished() is None:
                    self.refuse_unread(preparation, address, type(self.columns).__name__)
                    check_held_out(preparation.source)
                prepare_here(preparation)
            folder = preparation.output
        dataset = self._checked(ShardDataset(folder, cache), address or CLOSET)
        if not self.features:
            return dataset
        return WithFeatures(dataset, tuple(self._features(stage, folder, cache) for stage in self.features))

    @property
    def loaded_columns(self) -> Columns:
        """What the loader makes of a sample: the columns and the features."""
        names = tuple(name for stage in self.features for name in stage.columns().writes)
        return FeatureColumns(columns=self.columns, names=names) if names else self.columns

    def feature_preparations(self, folder: str, cache: Path, *, device: str = "cpu") -> list[Preparation]:
        """What computes the features of prepared data into folders beside its shards, where `open` looks first."""
        sources = [FeatureSource(folder=folder, cache=cache, stage=stage, device=device) for stage in self.features]
        return [plan(source, storage.join(folder, source.name), max_left_out=0) for source in sources]

    def preparation(self, address: str | None, cache: Path) -> Preparation:
        """What `open` would prepare under `cache`, in a folder that is named for its content."""
        preparation = plan(self.source(address), str(cache / "prepared"))
        kind = str(preparation.identity["kind"])
        return preparation.into(str(cache / "prepared" / f"{kind}-{preparation.fingerprint[:16]}"))

    def source(self, address: str | None) -> Source:
        """What lies at an address, not yet prepared."""
        if address is not None and address != CLOSET:
            settings = self.layout or LayoutSettings(size=self.size)
            return find_source(address, settings, with_keypoints="keypoints" in self._read_names)
        if self.closet is None:
            raise ConfigError(
                f"--data: {'is not given' if address is None else f'is {address!r}'}; this run draws none of its own, "
                "so it must be a folder or s3:// prefix of prepared data or of a data set"
            )
        return ClosetSource(config=self.closet)

    def refuse_unread(self, preparation: Preparation, address: str | None, reader: str) -> None:
        """Looks at one sample, so that hours are not spent on data that the run cannot read.

        Args:
            address: of what is to be prepared. reader: who reads it, for the message.

        Raises:
            ConfigError: the samples lack columns that the run reads.
        """
        for made in preparation.source.build()(preparation.parts[0].rows[:1]):
            if not isinstance(made, LeftOut):
                self._refuse_lacking(set(made[1]), address or CLOSET, reader, str(preparation.identity["kind"]))

    def _refuse_lacking(self, names: Collection[str], address: str, reader: str, kind: str) -> None:
        if absent := sorted(set(self.columns.reads) - set(names)):
            hints = [f"; {hint}" for (of, name), hint in _HINTS.items() if of == kind and name in absent]
            raise ConfigError(
                f"data {address}: lacks {absent}, which {reader} reads; it has {sorted(names)}{''.join(hints)}"
            )

    @property
    def _read_names(self) -> set[str]:
        """Columns of the samples that columns or features read."""
        frozen = [stage.columns() for stage in self.features]
        return {*self.columns.reads}.union(*((*columns.reads, *columns.optional) for columns in frozen))

    def _features(self, stage: StageConfig, folder: str, cache: Path) -> ShardDataset:
        source = FeatureSource(folder=folder, cache=cache, stage=stage)
        beside = storage.join(folder, source.name)
        if is_prepared(beside):
            return ShardDataset(beside, cache)
        here = cache / "prepared" / source.name
        with alone(Path(f"{here}.lock")):
            prepare_here(plan(source, str(here), max_left_out=0))
        return ShardDataset(str(here), cache)

    def _checked(self, dataset: ShardDataset, address: str) -> ShardDataset:
        columns = {column.name: column for column in dataset.index.columns}
        self._refuse_lacking(columns, address, type(self.columns).__name__, str(dataset.index.source.get("kind")))
        size = self.size
        for name in self.columns.reads:
            shape = columns[name].shape
            if columns[name].dtype == "uint8" and len(shape) >= 2 and shape[:2] != tuple(size):
                raise ConfigError(
                    f"data {address}: column {name!r}: is {shape[0]}x{shape[1]} pixels, the run works at "
                    f"{size[0]}x{size[1]}; prepare the data at that size"
                )
        return dataset


def is_prepared(address: str) -> bool:
    """Whether whole prepared data lies at an address."""
    return address != CLOSET and storage.exists(storage.join(address, INDEX_NAME))
