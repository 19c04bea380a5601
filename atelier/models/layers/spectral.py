"""Convolution under spectral norm with the parameter names that published checkpoints of the SPADE family have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.tensors import Features


class SpectralConv2d(nn.Module):
    """A convolution whose weight is divided by its largest singular value (Miyato et al. 2018).

    Holds `weight_orig`, `weight_u`, `weight_v` as `torch.nn.utils.spectral_norm` does. Training moves `u` and `v` by
    one power iteration per forward pass; evaluation takes sigma from the stored vectors, as published results do.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        plain = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self.weight_orig = nn.Parameter(plain.weight.detach())
        self.bias = plain.bias
        self.register_buffer("weight_u", F.normalize(torch.randn(out_channels), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(self.weight_orig[0].numel()), dim=0))
        self.stride, self.padding = stride, padding
        for _ in range(3):  # random vectors give a sigma far too small, and pictures that saturate until it is found
            self._iterate()

    def forward(self, x: Features) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """The convolution with `weight_orig / sigma`."""
        if self.training:
            self._iterate()
        return F.conv2d(x, self.normalized_weight(), self.bias, self.stride, self.padding)

    def normalized_weight(self) -> Tensor:
        """`weight_orig / sigma`, sigma = uᵀ W v; gradients reach `weight_orig` through both."""
        # Clones: the next iteration changes the buffers in place, which a pending backward pass must not see.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        return self.weight_orig / torch.dot(u, torch.mv(self.weight_orig.flatten(1), v))

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight_orig.flatten(1)
        self.weight_v.copy_(F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=1e-12))
        self.weight_u.copy_(F.normalize(torch.mv(matrix, self.weight_v), dim=0, eps=1e-12))

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """A plain convolution with the normalized weight: the same output in evaluation, without the division."""
        out_channels, in_channels, height, width = self.weight_orig.shape
        # Made without storage: filling it with random values first would cost seconds over 100 M parameters.
        plain = nn.Conv2d(
            in_channels,
            out_channels,
            (height, width),
            self.stride,
            self.padding,
            bias=self.bias is not None,
            device="meta",
        )
        plain.weight = nn.Parameter(self.normalized_weight())
        plain.bias = self.bias
        return plain.train(self.training)


def fold_spectral_norm(module: nn.Module) -> None:
    """Replaces every `SpectralConv2d` inside `module` by the plain convolution it amounts to in evaluation."""
    for name, child in list(module.named_children()):
        if isinstance(child, SpectralConv2d):
            setattr(module, name, child.folded())
        else:
            fold_spectral_norm(child)
