"""Frozen linear layers whose weights lie as a CPU's products read them.

Fast products want a matrix in blocks. torch's linear layer keeps it row by row, so that it is
brought into blocks at every call, and for a search's few rows that takes as long as the product.
Here it is done once, by oneDNN, and the rows are given up: ``benchmarks/products.py`` says what it
saves. Knows no LLM.
"""

import platform
from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor, nn

_X86 = ("x86_64", "AMD64")
_ROWS = 4  # told oneDNN: its blocks then suit one row, and ten take no longer than torch's layer
_SMALL = 512 * 512  # weights; a single row loses by such blocks where there are no more


class PackedLinear(nn.Module):
    """A linear layer for inference only: no gradient flows through it, and it stays on the CPU.

    Args:
        linear: The layer, one that `can_pack` accepts.
        one_row: Whether its products mostly have one row; if not, or if the layer is small, its
            blocks suit any number.

    Raises:
        RuntimeError: If it is moved to another device, copied or pickled.
    """

    def __init__(self, linear: nn.Linear, one_row: bool = False) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        rows = _ROWS if one_row and linear.weight.numel() > _SMALL else None
        # Neither parameters nor buffers: nothing is to be cast, moved or saved.
        self._blocks = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), rows)
        self.bias = None if linear.bias is None else linear.bias.detach()
        self.eval()

    @property
    def weight(self) -> Tensor:
        """The rows ``(out, in)``, a new copy at every call: for code that asks for their dtype."""
        return self._blocks.to_dense()

    def forward(self, inputs: Tensor) -> Tensor:
        """``(..., in)`` to ``(..., out)``, in the layer's dtype.

        Raises:
            RuntimeError: If a gradient is asked for.
        """
        if inputs.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                "A packed linear layer gives no gradients, but its inputs require them; load the "
                "LLM again for training."
            )
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise.default(
            inputs, self._blocks, self.bias, "none", [], ""
        )
        return outputs

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "PackedLinear":
        """Refuse to be moved; casts do nothing, as nothing here is a parameter."""
        device = fn(torch.empty(0)).device
        if device.type != "cpu":
            raise RuntimeError(
                f"A packed linear layer must stay on the CPU, but was to move to {device}; load "
                "the LLM again, and move it before it is made fast."
            )
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied: oneDNN's blocks cannot be."""
        raise RuntimeError(
            "A packed linear layer can be neither copied nor pickled; copy the LLM before it is "
            "made fast, or load it again."
        )


def can_pack(linear: nn.Linear) -> bool:
    """Whether a layer is torch's own, in a place and dtype in which oneDNN multiplies."""
    if type(linear) is not nn.Linear or type(linear.weight.data) is not Tensor:
        return False  # quantised and sharded weights are tensors of other types
    if linear.weight.device.type != "cpu" or not _has_blocks():
        return False
    if linear.weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return linear.weight.dtype == torch.float32


def pack_linear_layers(module: nn.Module, one_row: bool = False) -> None:
    """Replace a module's linear layers, where it is possible, one by one: no two copies of all.

    A weight that something else holds too, such as an embedding that is tied to the head, stays
    beside its blocks.

    Args:
        module: What holds the layers.
        one_row: See `PackedLinear`.
    """
    for parent in [part for part in module.modules() if not isinstance(part, nn.Linear)]:
        for name in [name for name, _ in parent.named_children()]:
            child = getattr(parent, name)
            if isinstance(child, nn.Linear) and can_pack(child):
                setattr(parent, name, PackedLinear(child, one_row))


def _has_blocks() -> bool:
    """Whether this is a CPU on which packing has been measured."""
    return torch.backends.mkldnn.is_available() and platform.machine() in _X86
