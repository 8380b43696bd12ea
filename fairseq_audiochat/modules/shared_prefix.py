"""Decoding with K beams behind one prompt per utterance.

The prompt's keys and values are computed once and shared. The beams' own stand behind them in
the order in which they were computed, and a mask says which entries a beam descends from: a
reorder moves the mask, not the cache. For the LLM the K beams are K positions of one sequence,
all with the same position id. Knows nothing of scores or of the search's rules.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_audiochat.modules.beam_cache import BeamCache
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.mask import length_mask
from fairseq_audiochat.modules.prompt_assembly import PromptEmbeddings, append_embedding

_STEPS_PER_CLEARANCE = 8  # until then dead entries are attended to, and masked
_STEPS_PER_BUFFER = 16  # that a buffer has room for; dead entries make room for more


class SharedPrefixState:
    """What is remembered between the steps of a search; the first comes before all else.

    Steps run in torch's inference mode, which spares a twentieth of their time on a CPU: what they
    give can be computed with, but not differentiated.

    Args:
        llm: The LLM.
        prompts: Prompts of the B utterances, but their last tokens. They are read together with
            these, in the first step.
        beams: Beams per utterance, K.
        cache: What has been read already and stands before the prompt, of which there is then
            one; what is decoded is appended to it.
    """

    def __init__(
        self, llm: FrozenLlm, prompts: PromptEmbeddings, beams: int, cache: BeamCache | None = None
    ) -> None:
        self.llm = llm
        self.beams = beams
        if cache is None:
            cache = BeamCache(llm.num_layers, spare=_STEPS_PER_BUFFER * beams)
        self.cache = cache
        self.steps = 0
        self._unread: PromptEmbeddings | None = prompts
        known = self.cache.get_seq_length()
        self.positions = known + prompts.lengths  # of the next token, (B,)
        # The cache's entries that each beam sees: (B, K, entries)
        self.visible = prompts.lengths.new_ones(len(prompts.lengths), beams, known).bool()

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """Read each beam's next token.

        Args:
            tokens: Int64 ``(B * K,)``, the beams of an utterance side by side. The first are the
                prompts' last tokens: those of an utterance are the same.

        Returns:
            Hidden states ``(B * K, D)``.
        """
        self.steps += 1
        if self._unread is not None:
            return self._first_step(self._unread, tokens)
        if self.steps % _STEPS_PER_CLEARANCE == 0:
            self._leave_dead_entries()
        itself = torch.eye(self.beams, dtype=torch.bool, device=tokens.device)
        self.visible = torch.cat((self.visible, itself.expand(len(self.positions), -1, -1)), dim=2)
        hidden = self.llm.decode(
            tokens.view(-1, self.beams),
            self.positions.unsqueeze(1).expand(-1, self.beams),
            self.visible.unsqueeze(1),
            self.cache,
        )
        self.positions = self.positions + 1
        return hidden.flatten(0, 1)

    @torch.inference_mode()
    def reorder(self, new_order: Tensor) -> None:
        """Let beams continue others, and drop utterances that are finished.

        Args:
            new_order: Int64 ``(B' * K,)``, for each new beam the old one that it continues.
        """
        kept = new_order.view(-1, self.beams)[:, 0] // self.beams
        self.visible = self.visible.flatten(0, 1)[new_order].unflatten(0, (-1, self.beams))
        if len(kept) < len(self.positions):
            self.cache.batch_select_indices(kept)
            self.positions = self.positions[kept]

    @torch.inference_mode()
    def join(self, kept: Tensor, other: "SharedPrefixState") -> None:
        """Drop utterances that are finished, and let others come in behind those that stay.

        Args:
            kept: Int64, the utterances that stay.
            other: The state of those that come in, with as many beams.
        """
        self.visible, self.positions = self.visible[kept], self.positions[kept]
        self.cache.batch_select_indices(kept)
        self._leave_dead_entries()
        self.cache.join(other.cache)
        entries = self.cache.get_seq_length()
        both = (self.visible, other.visible)
        self.visible = torch.cat([F.pad(rows, (0, entries - rows.size(2))) for rows in both])
        self.positions = torch.cat((self.positions, other.positions))

    def _first_step(self, prompts: PromptEmbeddings, tokens: Tensor) -> Tensor:
        """Read prompts to their ends, once for all beams of an utterance."""
        last = self.llm.embed(tokens.view(-1, self.beams)[:, 0])
        whole = append_embedding(prompts, last)
        hidden = self.llm.prefill(whole.embeddings, self.cache)
        is_prompt = length_mask(whole.lengths, whole.embeddings.size(1)).unsqueeze(1)
        self.visible = torch.cat((self.visible, is_prompt.expand(-1, self.beams, -1)), dim=2)
        self.positions = self.positions + 1
        self._unread = None
        ends = hidden[torch.arange(len(last), device=last.device), prompts.lengths]
        return ends.repeat_interleave(self.beams, dim=0)

    def _leave_dead_entries(self) -> None:
        """Keep what some beam descends from; the utterance with the most of it sets the size."""
        alive = self.visible.any(dim=1)
        entries = alive.int().argsort(dim=1, descending=True, stable=True)
        entries = entries[:, : int(alive.sum(1).max())]
        self.visible = self.visible.gather(2, entries.unsqueeze(1).expand(-1, self.beams, -1))
        self.cache.keep(entries)
