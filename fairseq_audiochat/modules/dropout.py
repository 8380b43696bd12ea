"""Dropout that is cheap on CPUs too; elsewhere it is torch's."""

from typing import Any

import torch
from torch import Tensor, nn

_LEVELS = 2**16  # of a 16-bit random number: a probability is off by less than 0.00001
_LEVELS_AT_A_TIME = 2**18  # 512 KB: the comparison finds them in the cache


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
        # uint8, not bool: torch's CPU kernels turn bools into floats one by one
        keep = torch.empty(x.shape, dtype=torch.uint8)
        words = torch.empty(-(-min(x.numel(), _LEVELS_AT_A_TIME) // 4), dtype=torch.int64)
        for part in keep.view(-1).split(_LEVELS_AT_A_TIME):
            levels = words.random_(-(2**63), None).view(torch.int16)[: len(part)]
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
    return keep.to(x.dtype).mul_(scale).mul_(x)  # in place: new memory costs more than the products
