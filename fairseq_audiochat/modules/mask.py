"""Masks from lengths: True where there is something."""

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Mark the first ``lengths[b]`` of ``size`` places.

    Args:
        lengths: Counts, int64 ``(B,)``.
        size: Number of places.

    Returns:
        Bool ``(B, size)``.
    """
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)
