"""The model card that an export writes: what the weights are, and all it takes to judge or make them again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass

from training.checkpoints import CheckpointInfo


@dataclass(frozen=True, kw_only=True)
class Card:
    """A README.md beside weights.

    Args:
        about: a sentence on what the run trains; may be empty.
        info: of the checkpoint that was exported.
        checkpoint: digest of its manifest.
        averaged: whether the weights are the moving average.
        dtype: of the stored tensors, as torch prints it without `torch.`.
        licence: of the weights, in its owner's words.
        digest: of the weight folder, which outcomes record.
        files: name → sha256 of config and weights.
        command: that exported them; may be empty.
    """

    about: str
    info: CheckpointInfo
    checkpoint: str
    averaged: bool
    dtype: str
    licence: str
    digest: str
    files: Mapping[str, str]
    command: str

    def to_markdown(self) -> str:
        """The card's text."""
        info = self.info
        kind = "moving average of the weights" if self.averaged else "weights of the last step"
        steps, batch_size = info.num_steps_done, info.settings.get("batch_size")
        workers = "1 worker" if info.num_workers == 1 else f"{info.num_workers} workers"
        versions = ", ".join(f"{name} {version}" for name, version in sorted(info.versions.items()))
        lines = [
            f"# {info.run}",
            "",
            *([self.about, ""] if self.about else []),
            f"licence: {self.licence} · format: safetensors, {self.dtype}",
            "",
            f"- **Data.** {_data(info)}",
            f"- **Training.** {steps:,} steps of {batch_size} samples on {workers}, {kind}; {versions}.",
            "",
            "  ```",
            *(f"  {line}" for line in (*info.command.splitlines(), *self.command.splitlines())),
            "  ```",
            "",
            f"- **Metrics.** {_metrics(info.metrics)}",
            "- **Digests** (sha256).",
            "",
            "  | of | sha256 |",
            "  |---|---|",
            f"  | these weights, as outcomes record them | {self.digest} |",
            *(f"  | {name} | {sha256} |" for name, sha256 in sorted(self.files.items())),
            f"  | the checkpoint | {self.checkpoint} |",
            f"  | the run's settings | {info.fingerprint} |",
            f"  | the data set | {info.data} |",
            "",
            _of_settings(info),
            "",
            "```json",
            json.dumps(dict(info.settings), indent=1, sort_keys=True),
            "```",
        ]
        return "\n".join(lines) + "\n"


def _data(info: CheckpointInfo) -> str:
    words = info.command.split()
    given = next((after for word, after in itertools.pairwise(words) if word == "--data"), None)
    where = f"`{given}`" if given else "drawn by the closet (`data.*` in the settings below); no photograph of a person"
    return f"{where}."


def _of_settings(info: CheckpointInfo) -> str:
    if "\n" in info.command:
        return "All settings that decided the weights, as the last of these starts had them:"
    return "All settings that decided the weights:"


def _metrics(metrics: Mapping[str, float]) -> str:
    if not metrics:
        return "None were taken of these very weights while they trained; `python -m training evaluate` takes them."
    figures = ", ".join(f"{name} {value:.4g}" for name, value in sorted(metrics.items()))
    return f"{figures}: of the newest validation, on held-out rows, by the stages of inference."
