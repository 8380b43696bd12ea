"""Attention of the LLM in training and in search, registered with transformers.

The LLM's own code stays untouched: its layers call the attention function named
``ATTENTION_NAME``. With the keyword ``sequence_lengths`` it attends causally within each
sequence of a packed row, so that training computes nothing for padding; with a mask, as the
mask says; and else it is transformers' own causal attention.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION_NAME = "audiochat"


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    sequence_lengths: Sequence[int] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature.

    Args:
        module: The calling layer.
        query: ``(1, H, N, d)`` if packed.
        key: ``(1, H_kv, N, d)`` if packed.
        value: Like ``key``.
        attention_mask: A 4-D mask or None; unused if packed.
        sequence_lengths: Lengths of the packed sequences; their sum is N.
        **kwargs: ``scaling`` and whatever else the layer passes on.

    Returns:
        ``(1, N, H, d)``, and no attention weights.
    """
    scale = kwargs.get("scaling")
    if sequence_lengths is not None:
        return _packed(query, key, value, sequence_lengths, scale).transpose(1, 2), None
    if attention_mask is not None:
        return _masked(query, key, value, attention_mask, scale).transpose(1, 2), None
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return output, None


def _packed(
    query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scale: float | None
) -> Tensor:
    grouped = query.size(1) != key.size(1)
    sequences = zip(*(x.split(list(lengths), dim=2) for x in (query, key, value)))
    attended = [
        F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=grouped)
        for q, k, v in sequences
    ]
    return torch.cat(attended, dim=2)


def _masked(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float | None) -> Tensor:
    """Heads that share keys become queries side by side: no copy of the keys is made."""
    groups = query.size(1) // key.size(1)
    # (B, H, K, d) -> (B, H_kv, groups * K, d)
    folded = query.unflatten(1, (-1, groups)).flatten(2, 3)
    attended = F.scaled_dot_product_attention(
        folded, key, value, attn_mask=mask.repeat(1, 1, groups, 1), scale=scale
    )
    return attended.unflatten(2, (groups, -1)).flatten(1, 2)


# No mask function is registered under this name: transformers then builds none, and hands a
# 4-D mask through as it is.
AttentionInterface.register(ATTENTION_NAME, attention)
