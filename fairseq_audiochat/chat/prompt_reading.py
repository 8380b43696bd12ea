"""Prompts as the encoder reads them: batches, embeddings, and how many positions they take.

Knows no messages and no search.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fairseq_audiochat.chat.prompt import Entry, Prompt
from fairseq_audiochat.data.prompt_batch import collate_prompts
from fairseq_audiochat.models.prompt_encoder import PromptEncoder, prompts_of
from fairseq_audiochat.modules.prompt_assembly import PromptEmbeddings

_PADDING = 0  # any id: lengths say what is padding


def net_input(encoder: PromptEncoder, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """What the encoder reads of a batch, on its device; see `collate_prompts`."""
    ids = [list(prompt.ids) for prompt in prompts]
    collated = collate_prompts(ids, [prompt.clips for prompt in prompts], _PADDING)
    return {name: value.to(_device(encoder)) for name, value in collated.items()}


def embed_prompts(encoder: PromptEncoder, prompts: Sequence[Prompt]) -> PromptEmbeddings:
    """Embeddings of all but each prompt's last token, padded on the right."""
    return prompts_of(encoder(**net_input(encoder, prompts)))


def last_tokens(encoder: PromptEncoder, prompts: Sequence[Prompt]) -> Tensor:
    """What the first step of a search reads, int64 ``(B,)``."""
    return torch.tensor([prompt.ids[-1] for prompt in prompts], device=_device(encoder))


def positions_of(encoder: PromptEncoder, entry: Entry) -> int:
    """The LLM's positions that an entry of a prompt takes."""
    if isinstance(entry, int):
        return 1
    return int(encoder.audio_positions(torch.tensor([len(entry)])))


def _device(encoder: PromptEncoder) -> torch.device:
    return next(encoder.parameters()).device
