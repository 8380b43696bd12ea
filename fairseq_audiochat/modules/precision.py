"""In which dtype a part of the model computes, while its weights stay what they are."""

from contextlib import AbstractContextManager, nullcontext

import torch

DTYPES = ("float32", "bfloat16", "float16")
"""In which an LLM can compute, and weights be stored, by their names in torch."""


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    """A context in which matrix products and convolutions compute in a dtype.

    Args:
        dtype: float32 means: as without the context, which leaves fairseq's ``--amp`` at work.
        device: Where the inputs are.
    """
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)
