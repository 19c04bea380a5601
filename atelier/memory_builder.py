"""Which crops of a catalog a memory keeps: as many ways to look as its bytes allow."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atelier.errors import ConfigError
from atelier.memory import Memory, memory_from
from atelier.models.human_diffusion.remembering import Remembered

_ROW_BYTES = 20
"""Of an Arrow row beside its two strings: ids, region, offsets."""
_HEADER_BYTES = 8192
"""Of a folder beside its rows: the config, the safetensors' and the Arrow files' heads."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    item_id: str
    region: int
    phrase: str
    text_key: Tensor
    image_key: Tensor
    values: Tensor

    @property
    def num_bytes(self) -> int:
        """In a folder: vectors at half precision, and a row."""
        numbers = self.text_key.numel() + self.image_key.numel() + self.values.numel()
        return 2 * numbers + len(self.item_id.encode()) + len(self.phrase.encode()) + _ROW_BYTES


class MemoryBuilder:
    """Takes crops as they come, and makes a memory of them.

    Args:
        per_phrase: crops kept of a region's one phrase: the first so many. The thousandth pair of "navy shoes" adds
            less than the first pair of red ones.
    """

    def __init__(self, *, per_phrase: int = 8) -> None:
        if per_phrase < 1:
            raise ConfigError(f"per_phrase: is {per_phrase}, must be at least 1")
        self.per_phrase = per_phrase
        self._entries: list[_Entry] = []
        self._counted: Counter[tuple[int, str]] = Counter()

    def add(self, item_ids: Sequence[str], remembered: Remembered) -> None:
        """The crops of a batch of pictures, whose item ids these are."""
        text_keys, image_keys = remembered.text_keys.cpu().half(), remembered.image_keys.cpu().half()
        values = remembered.values.cpu().half()
        for index, (row, region, phrase) in enumerate(
            zip(remembered.rows, remembered.regions, remembered.phrases, strict=True)
        ):
            if self._counted[region, phrase] == self.per_phrase:
                continue
            self._counted[region, phrase] += 1
            entry = _Entry(
                item_id=item_ids[row],
                region=region,
                phrase=phrase,
                text_key=text_keys[index].clone(),
                image_key=image_keys[index].clone(),
                values=values[index].clone(),
            )
            self._entries.append(entry)

    def build(self, *, max_bytes: int, encoders_digest: str) -> Memory:
        """The memory, ordered by region and arrival, whose folder is not larger than `max_bytes`.

        Regions take turns, and within a region phrases do: what is cut are further crops of much-seen phrases.

        Raises:
            ConfigError: no crops were added, or not one fits.
        """
        kept = self._within(max_bytes - _HEADER_BYTES)
        if not kept:
            raise ConfigError(f"max_bytes: is {max_bytes}, of {len(self._entries)} crops not one fits")
        return memory_from(
            [(entry.item_id, entry.region, entry.phrase) for entry in kept],
            text_keys=torch.stack([entry.text_key for entry in kept]).float(),
            image_keys=torch.stack([entry.image_key for entry in kept]).float(),
            values=torch.stack([entry.values for entry in kept]).float(),
            encoders_digest=encoders_digest,
        )

    def _within(self, num_bytes: int) -> list[_Entry]:
        seen: Counter[tuple[int, str]] = Counter()
        queues: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, entry in enumerate(self._entries):
            queues[entry.region].append((seen[entry.region, entry.phrase], index))
            seen[entry.region, entry.phrase] += 1
        waiting = deque(deque(sorted(queue)) for _, queue in sorted(queues.items()))
        kept: list[int] = []
        while waiting:
            queue = waiting.popleft()
            _, index = queue.popleft()
            num_bytes -= self._entries[index].num_bytes
            if num_bytes < 0:
                break
            kept.append(index)
            if queue:
                waiting.append(queue)
        return [self._entries[index] for index in sorted(kept, key=lambda index: (self._entries[index].region, index))]
