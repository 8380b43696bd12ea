"""Runs real code on sizes alone: floats are on torch's meta device, integers stay what they are.

A training step decides by its integers (lengths, masks, token ids) how large its floats are, and
never the other way round. So the product's own forward and backward pass run here in seconds and
in no memory, with a 7B LLM in them, and `LiveBytes` counts what they would hold. Knows no model.

What code asks of a tensor's device is answered for the device that is planned for. Two of torch's
functions choose a kernel by the true device, and would choose one for meta that nobody trains
with; here they take the one of that device.
"""

from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Variable
from torch.nn.attention.bias import CausalBias
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only
from torch.utils.checkpoint import _allowed_determinism_checks_to_fns

from fairseq_audiochat.plan.live_bytes import LiveBytes

_META = torch.device("meta")
_aten = torch.ops.aten
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default}


class SizesOnly(ExitStack):
    """A context in which floats are sizes.

    Args:
        device: The device that is planned for.
        live: Counts what is made.
    """

    def __init__(self, device: torch.device, live: LiveBytes) -> None:
        super().__init__()
        self._contexts = (
            # What checkpointing compares of a tensor computed again is the device, too.
            patch.dict(_allowed_determinism_checks_to_fns, default=lambda tensor: None),
            causal_bias_below_modes(),
            _Operations(live),
            _Functions(device),
        )

    def __enter__(self) -> "SizesOnly":
        for context in self._contexts:
            self.enter_context(context)
        return self


def causal_bias_below_modes() -> AbstractContextManager[object]:
    """A context in which `CausalBias` can be made: below a mode, torch's own way raises."""
    return patch.object(
        CausalBias, "__new__", lambda cls, *_: Tensor._make_subclass(cls, torch.empty(0))
    )


class _Operations(TorchDispatchMode):
    """Below autograd: every single operation."""

    def __init__(self, live: LiveBytes) -> None:
        super().__init__()
        self._live = live

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: "dict[str, Any] | None" = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if func is _aten._local_scalar_dense.default and args[0].is_meta:
            return 1.0 if args[0].is_floating_point() else 1  # any number: none decides a size
        if not any(tensor.is_meta for tensor in tensors):
            result = func(*args, **_placed(func, kwargs, tensors))
        elif not tensors[0].is_meta and func._schema.is_mutable:
            return args[0]  # a count of what is not known, such as right predictions
        else:
            result = _sized(func, args, kwargs)
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.is_meta:
                self._live.add(tensor)
        return result


def _placed(func: Any, kwargs: "dict[str, Any]", tensors: "list[Tensor]") -> "dict[str, Any]":
    """Keep integers real: whatever device is asked for, only floats go there."""
    if kwargs.get("device") is None:
        return kwargs
    dtype = kwargs.get("dtype") or (tensors[0].dtype if tensors else _default_dtype(func))
    device = _META if dtype.is_floating_point else torch.device("cpu")
    return {**kwargs, "device": device}


def _default_dtype(func: Any) -> torch.dtype:
    """Of a new tensor without one: `arange` of integers gives integers."""
    return torch.int64 if "arange" in func.name() else torch.get_default_dtype()


def _sized(func: Any, args: Any, kwargs: "dict[str, Any]") -> Any:
    """The operation on the meta device."""
    if func in _INDEXING:
        args = (args[0], _positions(args[1]), *args[2:])
    if func is _aten._ctc_loss.Tensor:
        return _ctc_loss(*args)
    if func is _aten._ctc_loss_backward.Tensor:
        return torch.empty_like(args[1])
    args, kwargs = tree_map_only(Tensor, _to_meta, (args, kwargs))
    return func(*args, **{**kwargs, "device": _META} if kwargs.get("device") else kwargs)


def _positions(indices: "list[Tensor | None]") -> "list[Tensor | None]":
    """Masks as the positions that they choose: on the meta device nobody could count them."""
    chosen: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype == torch.bool:
            chosen += index.nonzero().unbind(1)
        else:
            chosen.append(index)
    return chosen


def _to_meta(tensor: Tensor) -> Tensor:
    if tensor.is_meta:
        return tensor
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device=_META)


def _ctc_loss(
    log_probs: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor, *_: Any
) -> tuple[Tensor, Tensor]:
    """Torch has no meta kernel: a loss and, for each frame, the probabilities of the states."""
    frames, states = int(lengths.max()), 2 * int(target_lengths.max()) + 1
    return log_probs.new_empty(len(lengths)), log_probs.new_empty(len(lengths), frames, states)


class _Functions(TorchFunctionMode):
    """Above autograd: what Python calls."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: "dict[str, Any] | None" = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == Tensor.device.__get__:  # made anew at every look
            return self._device if args[0].is_meta else args[0].device
        if func is Tensor.backward:
            with self:  # what is computed again on the way is computed by the same rules
                return _backward(args[0])
        if func is F.dropout:
            return _dropout(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return _attention(self._device, *args, **kwargs)
        return func(*map(self._elsewhere, args), **tree_map(self._elsewhere, kwargs))

    def _elsewhere(self, argument: Any) -> Any:
        """The planned device may not be there: what is to be on it is on meta."""
        is_planned = isinstance(argument, torch.device) and argument.type == self._device.type
        return _META if is_planned and self._device.type != "cpu" else argument


def _backward(loss: Tensor) -> None:
    """What `torch.autograd.backward` comes to, which itself would leave this mode again."""
    Variable._execution_engine.run_backward(
        (loss,), (torch.ones_like(loss),), False, False, (), True, accumulate_grad=True
    )


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As on a GPU, and as ours on a CPU: of every element a byte is kept."""
    return torch.native_dropout(x, p, True)[0] if training and p else x


def _attention(
    device: torch.device,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The fused kernel: no scores are kept, but their normalisers are."""
    if device.type != "cpu":
        output = _aten._scaled_dot_product_flash_attention(
            query, key, value, dropout_p, True, False, scale=scale
        )
        return output[0]
    causal = is_causal
    if isinstance(attn_mask, CausalBias):
        causal = query.size(2) == key.size(2)
        attn_mask = None if causal else query.new_empty(query.size(2), key.size(2))
    output = _aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, dropout_p, causal, attn_mask=attn_mask, scale=scale
    )
    return output[0]
