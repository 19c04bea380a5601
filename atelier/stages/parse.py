"""Parse: which part of the person each pixel is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.geometry.faces import count_faces
from atelier.models import registry
from atelier.models.parsing.labels import BACKGROUND, BODY
from atelier.models.parsing.parser import HumanParser, check_parser
from atelier.stages.base import Columns, Faults, StageConfig, TensorStage

_ADVICE = "(is it a product picture, or are person and garment swapped?)"


@dataclass(frozen=True, kw_only=True)
class Parse(StageConfig):
    """Takes the catalog's map where it gives one, else a model's.

    Args:
        size: working size (H, W).
        weights: a shipped name or a folder, `parsing_net`'s or a SegFormer's; None where every row brings its map.
        check_given: let the model look at pictures that bring a map too, and refuse those that it sees nobody in: where
            two columns of a catalog were swapped, the map is still the person's. Costs a parse for every such row.
        min_person_share: of the picture's area; a smaller person is none.
        min_body_share: of the person's area that is skin or hair. A parser may see clothes in an empty backdrop, and no
            body in them (under 1 %); people in trousers and long sleeves show 11 % and more.
    """

    name = "parse"

    size: tuple[int, int]
    weights: str | None = field(metadata={"identity": False})
    check_given: bool = False
    min_person_share: float = 0.01
    min_body_share: float = 0.04

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the parser's weights."""
        return {} if self.weights is None else {"parse": registry.digest(self.weights)}

    def check(self) -> None:
        if self.weights is not None:
            check_parser(registry.folder(self.weights))

    def columns(self) -> Columns:
        return Columns.of(ParseStage)

    def build(self, device: torch.device) -> ParseStage:
        """The stage, its parser loaded.

        Raises:
            WeightsError: no such weights, or weights or label names that do not fit.
        """
        return ParseStage(self, device)


class ParseStage(TensorStage):
    """Writes `parse`: uint8 CIHP ids 0..19. A given map goes through untouched; where all are given, and none is to be
    checked, no model runs.

    Errors: `no_person` where the map shows too little of one, `several_people` where the model finds faces of more than
    one (a given map is the catalog's word and is not asked), `parse_needed` where there is neither map nor model.
    """

    name = "parse"
    reads = ("person", "given_parse", "has_parse")
    writes = ("parse",)

    def __init__(self, config: Parse, device: torch.device) -> None:
        self.device, self._size = device, config.size
        self._checks_given = config.check_given and config.weights is not None
        self._min_share, self._min_body = config.min_person_share, config.min_body_share
        self._parser: HumanParser | None = None
        if config.weights is not None:
            self._parser = HumanParser.from_pretrained(registry.folder(config.weights)).to(device)

    def blank(self) -> dict[str, Any]:
        return {"parse": np.zeros(self._size, np.uint8)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        given, has_parse = columns["given_parse"], columns["has_parse"]
        if has_parse.all() and not self._checks_given:
            parse = given.clone()
        elif self._parser is None:
            parse = given.clone()
            for row in torch.nonzero(~has_parse).flatten().tolist():
                faults.add(row, RowError("parse_needed", "parse: is not given, and this recipe has no parser"))
        else:
            found = self._parser(columns["person"])
            if self._checks_given:
                self._check_given(found, has_parse, faults)
            parse = torch.where(has_parse[:, None, None], given, found)
        self._check(parse, has_parse, faults)
        return {"parse": parse}

    def _check_given(self, found: torch.Tensor, has_parse: torch.Tensor, faults: Faults) -> None:
        share = (found != BACKGROUND).float().mean((1, 2))
        for row in torch.nonzero(has_parse & (share < self._min_share)).flatten().tolist():
            detail = f"person: no person is seen in it, though a parse of one is given {_ADVICE}"
            faults.add(row, RowError("no_person", detail))

    def _check(self, parse: torch.Tensor, has_parse: torch.Tensor, faults: Faults) -> None:
        person = (parse != BACKGROUND).float().mean((1, 2))
        body = torch.isin(parse, torch.tensor(BODY, dtype=parse.dtype, device=parse.device)).float().mean((1, 2))
        missing = (person < self._min_share) | (body < self._min_body * person)
        for row in torch.nonzero(missing).flatten().tolist():
            field_name = "parse" if has_parse[row] else "person"
            if person[row] < self._min_share:
                found = f"shows a person on {person[row]:.1%} of the picture; at least {self._min_share:.0%} is needed"
            else:
                found = "shows clothes but hardly any face, hair or skin; a picture of a person is needed"
            if not has_parse[row]:
                found += f" {_ADVICE}"
            faults.add(row, RowError("no_person", f"{field_name}: {found}"))
        for row in torch.nonzero(~missing & ~has_parse).flatten().tolist():
            if (faces := count_faces(parse[row].cpu().numpy())) > 1:
                faults.add(row, RowError("several_people", f"person: shows {faces} people; a picture of one is needed"))
