"""Dropout that is cheap on CPUs too; elsewhere it is torch's."""

from typing import Any

import torch
from torch import Tensor, nn

_LEVELS = 2**16  # of a 16-bit random number: a probability is off by less than 0.00001
_ELEMENTS_AT_A_TIME = 2**18  # 1 MB in fp32: the steps below find them in the cache


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` from 16 random bits per element.

    torch's CPU generator is asked for one number per element, and takes three times longer for
    it than all of this; here 64 bits serve four elements. For the backward pass a byte per
    element is kept, not four.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of ``(...)`` and scale the others, in training."""
        dropped_levels = round(self.p * _LEVELS)
        if not self.training or not x.is_cpu or dropped_levels in (0, _LEVELS):
            return super().forward(x)
        output: Tensor = _Drop.apply(x, dropped_levels)
        return output


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped_levels: int) -> Tensor:
        """Draw what to keep, and keep it."""
        keep = torch.empty(x.shape, dtype=torch.bool)
        for part in keep.view(-1).split(_ELEMENTS_AT_A_TIME):
            words = torch.empty(-(-len(part) // 4), dtype=torch.int64).random_(-(2**63), None)
            levels = words.view(torch.int16)[: len(part)]
            torch.ge(levels, dropped_levels - _LEVELS // 2, out=part)
        ctx.save_for_backward(keep)
        ctx.scale = _LEVELS / (_LEVELS - dropped_levels)
        return _kept(x, keep, ctx.scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The same elements, the same scale."""
        (keep,) = ctx.saved_tensors
        return _kept(gradient, keep, ctx.scale), None


def _kept(x: Tensor, keep: Tensor, scale: float) -> Tensor:
    output = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows = (t.reshape(-1).split(_ELEMENTS_AT_A_TIME) for t in (x, keep, output))
    for part, keep_part, out in zip(*rows):
        torch.mul(part, keep_part, out=out).mul_(scale)
    return output
