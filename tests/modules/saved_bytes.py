"""How much autograd keeps for the backward pass."""

from collections.abc import Callable

import torch


def saved_bytes(function: Callable[[], torch.Tensor]) -> int:
    """Bytes of all storages that a call keeps, each counted once; parameters are not."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter) and not _of_parameter(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = function()
    del output
    return sum(storage.nbytes() for storage in kept.values())


def _of_parameter(tensor: torch.Tensor) -> bool:
    return isinstance(tensor._base, torch.nn.Parameter)
