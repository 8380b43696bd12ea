"""Prompt assembly: token embeddings and audio embeddings, in the order of the prompt.

Training, search and evaluation call this one function. Knows no template and no LLM.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_audiochat.modules.mask import length_mask


class PromptEmbeddings(NamedTuple):
    """Prompts ``(B, P, D)``, zero behind each end, and their int64 lengths ``(B,)``."""

    embeddings: Tensor
    lengths: Tensor


def assemble_prompts(
    token_embeddings: Tensor,
    token_lengths: Tensor,
    placeholders: Tensor,
    audio: Tensor,
    audio_lengths: Tensor,
) -> PromptEmbeddings:
    """Put each recording's embeddings in the place of its placeholder.

    Args:
        token_embeddings: ``(B, N, D)``; a placeholder's entry is ignored.
        token_lengths: Entries per prompt, int64 ``(B,)``.
        placeholders: Bool ``(B, N)``, True where a recording stands.
        audio: Embeddings of the C recordings in the order of the placeholders, ``(C, A, D)``.
        audio_lengths: Int64 ``(C,)``.
    """
    is_token = length_mask(token_lengths, placeholders.size(1)) & ~placeholders
    widths = is_token.long().masked_scatter(placeholders, audio_lengths)  # positions per entry
    ends = widths.cumsum(1)
    starts, lengths = ends - widths, ends[:, -1]
    prompt = token_embeddings.new_zeros(len(lengths), int(lengths.max()), token_embeddings.size(2))
    rows = torch.arange(len(lengths), device=lengths.device).unsqueeze(1).expand_as(starts)
    prompt = prompt.index_put((rows[is_token], starts[is_token]), token_embeddings[is_token])
    real = length_mask(audio_lengths, audio.size(1))  # (C, A)
    columns = starts[placeholders].unsqueeze(1) + torch.arange(audio.size(1), device=rows.device)
    audio_rows = rows[placeholders].unsqueeze(1).expand_as(columns)
    prompt = prompt.index_put((audio_rows[real], columns[real]), audio[real].to(prompt.dtype))
    return PromptEmbeddings(prompt, lengths)


def append_embedding(prompts: PromptEmbeddings, embedding: Tensor) -> PromptEmbeddings:
    """Prompts that are a position longer: ``(B, D)`` stands behind each one's end."""
    longer = F.pad(prompts.embeddings, (0, 0, 0, 1))
    rows = torch.arange(len(longer), device=longer.device)
    longer = longer.index_put((rows, prompts.lengths), embedding.to(longer.dtype))
    return PromptEmbeddings(longer, prompts.lengths + 1)


def common_prefix_length(tokens: Tensor, token_lengths: Tensor, placeholders: Tensor) -> int:
    """Leading tokens that all prompts have in common, up to the first recording.

    Args:
        tokens: Int64 ``(B, N)``.
        token_lengths: Entries per prompt, int64 ``(B,)``.
        placeholders: Bool ``(B, N)``, True where a recording stands.
    """
    differs = ((tokens != tokens[:1]) | placeholders).any(0)
    differs |= torch.arange(len(differs), device=differs.device) >= token_lengths.min()
    return int((differs.cumsum(0) == 0).sum())
