"""Sums in the published code's order, where the last digits decide how a garment falls.

The generator's coarsest block normalizes few pixels (two at 256x128), which blows differences in theta up 1e5-fold:
with the regression summed as a library finds best for this processor, batch and number of threads, pictures were up to
0.1 standard deviations off the official ones. Summed as here, 3e-4.

The orders are the official modules' on one picture and one thread of an AMD machine (torch 2.13), found by watching
where large terms swallow small ones. They are plain float32 sums, no less exact than others, and a row's result does
not depend on its batch mates.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_BLOCK = 192
_HEAD = 4


def product(
    left: Float[Tensor, "batch rows terms"],
    right: Float[Tensor, "batch terms columns"],
    start: Float[Tensor, "rows 1"] | float = 0.0,
) -> Float[Tensor, "batch rows columns"]:
    """`start` and then the matrix products, 192 terms at a time: so few, libraries add one after the other."""
    blocks = zip(left.split(_BLOCK, 2), right.split(_BLOCK, 1), strict=True)
    return sum((torch.bmm(*block) for block in blocks), start=torch.as_tensor(start))


def convolve(
    layer: nn.Conv2d, x: Float[Tensor, "batch channels rows columns"]
) -> Float[Tensor, "batch features rows columns"]:
    """A convolution of stride 1 that keeps the picture's size, as a matrix product; its bias comes first."""
    assert layer.bias is not None and isinstance(layer.padding, tuple)
    patches = F.unfold(x, layer.kernel_size, padding=layer.padding)
    # Once per row: what broadcasts is multiplied the other way round, and then in another order on some machines.
    weight = layer.weight.flatten(1).expand(len(x), -1, -1)
    return product(weight, patches, layer.bias[:, None]).unflatten(2, x.shape[-2:])


def project(layer: nn.Linear, x: Float[Tensor, "batch terms"]) -> Float[Tensor, "batch features"]:
    """A linear layer by interleaved chains of terms, each product rounded; its bias comes last.

    The chains follow the reference's kernel for 50 features: four chains each, but eight for the first of the two that
    its blocks of four leave over; and these two take terms in eights, and what remains at the end. Layers too narrow
    for that, of which no published one is, are summed as the library does.
    """
    if layer.in_features < _HEAD + 8 or layer.in_features % 4:
        return layer(x)
    products = x[:, None] * layer.weight
    num_whole = layer.out_features // 4 * 4
    in_eights = _HEAD + (layer.in_features - _HEAD) // 8 * 8
    sums = torch.cat(
        [
            _chained(products[:, :num_whole], 4, layer.in_features),
            _chained(products[:, num_whole : num_whole + 1], 8, in_eights),
            _chained(products[:, num_whole + 1 :], 4, in_eights),
        ],
        1,
    )
    return sums + layer.bias


def _chained(
    terms: Float[Tensor, "batch features terms"], num_chains: int, stop: int
) -> Float[Tensor, "batch features"]:
    """Sum over `terms`: a head of four, every `num_chains`-th up to `stop` in a chain of its own, then the rest."""
    head = _one_by_one(terms[..., :_HEAD])
    chains = F.pad(head[..., None], (0, num_chains - 1))  # the head begins the first chain
    for step in terms[..., _HEAD:stop].split(num_chains, -1):
        chains = chains + step
    while chains.shape[-1] > 1:
        left, right = chains.chunk(2, -1)
        chains = left + right
    return _one_by_one(torch.cat([chains, terms[..., stop:]], -1))


def _one_by_one(terms: Float[Tensor, "batch features terms"]) -> Float[Tensor, "batch features"]:
    first, *others = terms.unbind(-1)
    return sum(others, start=first)
