"""Attention of the LLM in training and in search, registered with transformers.

The LLM's own code stays untouched: its layers call the attention function named
``ATTENTION_NAME``, and hand it the keywords that its model was called with. With ``packed`` it
attends causally within each sequence of a packed row, so that training computes nothing for
padding; with a mask, as the mask says; behind what a cache holds, causally; and else it is
transformers' own causal attention.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION_NAME = "audiochat"


class KeysAndValues(NamedTuple):
    """What a layer attends to: keys and values ``(1, H_kv, Q, d)``."""

    keys: Tensor
    values: Tensor


class PackedSequences(NamedTuple):
    """How a row is made up of sequences.

    Args:
        lengths: Positions of each sequence; their sum is N.
        prefix: For each layer what stands before every one of the sequences; none if empty.
    """

    lengths: Sequence[int]
    prefix: Sequence[KeysAndValues] = ()


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packed: PackedSequences | None = None,
    remember: list[KeysAndValues] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature.

    Args:
        module: The calling layer.
        query: ``(1, H, N, d)`` if packed.
        key: ``(1, H_kv, N, d)`` if packed.
        value: Like ``key``.
        attention_mask: A 4-D mask or None; unused if packed.
        packed: The sequences of a packed row.
        remember: Where every layer leaves its keys and values, for a `PackedSequences`'s prefix.
        **kwargs: ``scaling`` and whatever else the layer passes on.

    Returns:
        ``(1, N, H, d)``, and no attention weights.
    """
    scale = kwargs.get("scaling")
    if remember is not None:
        remember.append(KeysAndValues(key, value))
    if packed is not None:
        prefix = packed.prefix[int(module.layer_idx)] if packed.prefix else None  # type: ignore[arg-type]
        return _packed(query, key, value, packed.lengths, prefix, scale).transpose(1, 2), None
    if attention_mask is not None:
        return _masked(query, key, value, attention_mask, scale).transpose(1, 2), None
    if query.size(2) < key.size(2):  # transformers' own takes the first keys for the queries'
        return _causal(query, key, value, scale).transpose(1, 2), None
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return output, None


def _packed(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: Sequence[int],
    prefix: KeysAndValues | None,
    scale: float | None,
) -> Tensor:
    attended = []
    for q, k, v in zip(*(x.split(list(lengths), dim=2) for x in (query, key, value))):
        if prefix is not None:
            k, v = torch.cat((prefix.keys, k), dim=2), torch.cat((prefix.values, v), dim=2)
        attended.append(_causal(q, k, v, scale))
    return torch.cat(attended, dim=2)


def _causal(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    """The last query sees all keys, and each one before it one key fewer."""
    causal = causal_lower_right(query.size(2), key.size(2))
    grouped = query.size(1) != key.size(1)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=causal, scale=scale, enable_gqa=grouped
    )


def _masked(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float | None) -> Tensor:
    """Heads that share keys become queries side by side: no copy of the keys is made."""
    groups = query.size(1) // key.size(1)
    # (B, H, K, d) -> (B, H_kv, groups * K, d)
    folded = query.unflatten(1, (-1, groups)).flatten(2, 3)
    masks = mask.repeat(1, 1, groups, 1) if groups > 1 else mask
    attended = F.scaled_dot_product_attention(folded, key, value, attn_mask=masks, scale=scale)
    return attended.unflatten(2, (groups, -1)).flatten(1, 2)


# No mask function is registered under this name: transformers then builds none, and hands a
# 4-D mask through as it is.
AttentionInterface.register(ATTENTION_NAME, attention)
