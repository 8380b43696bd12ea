"""Decoding with K beams behind one prompt per utterance.

The prompt's keys and values are computed once and shared. The beams' own stand in the order in
which they were computed, and an ancestry mask says which of them a beam descends from: a
reorder moves the mask, not the cache. For the LLM the K beams are K positions of one sequence,
all with the same position id. Knows nothing of scores or of the search's rules.
"""

import torch
from torch import Tensor

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.mask import length_mask
from fairseq_audiochat.modules.prompt_assembly import PromptEmbeddings


class SharedPrefixState:
    """What is remembered between the steps of a search.

    Args:
        llm: The LLM.
        prompts: Prompts of the B utterances.
        beams: Beams per utterance, K.
    """

    def __init__(self, llm: FrozenLlm, prompts: PromptEmbeddings, beams: int) -> None:
        self.llm = llm
        self.beams = beams
        self.cache = llm.prefill(prompts.embeddings)
        self.prompt_lengths = prompts.lengths
        self.prompt_mask = length_mask(prompts.lengths, prompts.embeddings.size(1))  # (B, P)
        device = prompts.lengths.device
        # Which of the steps' K tokens each beam descends from: (B, K, steps * K)
        self.ancestry = torch.zeros(len(prompts.lengths), beams, 0, dtype=torch.bool, device=device)

    @property
    def steps(self) -> int:
        """Tokens that every beam has read."""
        return self.ancestry.size(2) // self.beams

    def step(self, tokens: Tensor) -> Tensor:
        """Read each beam's next token.

        Args:
            tokens: Int64 ``(B * K,)``, the beams of an utterance side by side.

        Returns:
            Hidden states ``(B * K, D)``.
        """
        utterances = len(self.prompt_lengths)
        positions = (self.prompt_lengths + self.steps).unsqueeze(1).expand(-1, self.beams)
        itself = torch.eye(self.beams, dtype=torch.bool, device=tokens.device)
        self.ancestry = torch.cat((self.ancestry, itself.expand(utterances, -1, -1)), dim=2)
        prompt = self.prompt_mask.unsqueeze(1).expand(-1, self.beams, -1)
        mask = torch.cat((prompt, self.ancestry), dim=2).unsqueeze(1)
        hidden = self.llm.decode(tokens.view(utterances, self.beams), positions, mask, self.cache)
        return hidden.flatten(0, 1)

    def reorder(self, new_order: Tensor) -> None:
        """Let beams continue others, and drop utterances that are finished.

        Args:
            new_order: Int64 ``(B' * K,)``, for each new beam the old one that it continues.
        """
        kept = new_order.view(-1, self.beams)[:, 0] // self.beams
        self.ancestry = self.ancestry.flatten(0, 1)[new_order].unflatten(0, (-1, self.beams))
        if len(kept) < len(self.prompt_lengths):
            self.cache.batch_select_indices(kept)
            self.prompt_lengths = self.prompt_lengths[kept]
            self.prompt_mask = self.prompt_mask[kept]
