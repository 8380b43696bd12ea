"""Attention of the LLM over sequences packed into one row, registered with transformers.

The LLM's own code stays untouched: its layers call the attention function named
``ATTENTION_NAME``. With the keyword ``sequence_lengths`` that function attends causally within
each sequence of a packed row, so that training computes nothing for padding; without, it is
transformers' own scaled-dot-product attention.
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
    if sequence_lengths is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return output, None
    grouped = query.size(1) != key.size(1)
    attended = [
        F.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=kwargs.get("scaling"), enable_gqa=grouped
        )
        for q, k, v in zip(*(x.split(list(sequence_lengths), dim=2) for x in (query, key, value)))
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


# No mask function is registered under this name: transformers then builds none, and hands a
# 4-D mask through as it is.
AttentionInterface.register(ATTENTION_NAME, attention)
