"""Trade time for memory: what is quick to compute again is not kept for the backward pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Call a function, keeping only its inputs; dropout falls on the same elements again.

    The second run stops as soon as the backward pass has what it needs, so a matrix product at
    the function's end is not repeated.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    output: Tensor = checkpoint(function, *inputs, use_reentrant=False)
    return output
