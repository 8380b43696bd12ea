"""What the LLM has read of one dialogue, so that a turn costs only its new tokens.

Whatever a template makes of a longer dialogue, the cache keeps what both prompts begin with and
reads the rest: the result is that of reading everything again. Knows no messages.
"""

from collections.abc import Iterable, Sequence

import torch

from fairseq_audiochat.chat.prompt import Entry, Prompt, common_entries
from fairseq_audiochat.chat.prompt_reading import embed_prompts, positions_of
from fairseq_audiochat.models.prompt_encoder import PromptEncoder
from fairseq_audiochat.modules.beam_cache import BeamCache
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState

_SPARE_ENTRIES = 64  # of a buffer that has to grow: most answers then grow it a few times at most


class DialogueCache:
    """Keys and values of one dialogue, and what they are of.

    Args:
        encoder: Embeds prompts.
        llm: Reads them.
    """

    def __init__(self, encoder: PromptEncoder, llm: FrozenLlm) -> None:
        self.encoder = encoder
        self.llm = llm
        self.keys_and_values = BeamCache(llm.num_layers, spare=_SPARE_ENTRIES)
        # In one list, so that an interrupt finds both or none.
        self._read: list[tuple[Entry, int]] = []  # an entry and its positions

    @property
    def positions(self) -> int:
        """Positions that have been read."""
        return sum(positions for _, positions in self._read)

    @property
    def entries(self) -> list[Entry]:
        """What has been read."""
        return [entry for entry, _ in self._read]

    @torch.no_grad()
    def read(self, prompt: Prompt) -> int:
        """Hold a prompt but its last token, which the first step of a search reads.

        Returns:
            How many positions were read anew.
        """
        *before_last, last = prompt.entries()
        kept = common_entries(self.entries, before_last)
        self._keep(kept)
        known = self.positions
        if new := before_last[kept:]:
            embeddings = embed_prompts(self.encoder, [Prompt.of([*new, last])])
            self.llm.prefill(embeddings.embeddings, self.keys_and_values)
            self._remember(new)
        return self.positions - known

    def begin(self, beams: int) -> SharedPrefixState:
        """The state of a search behind what has been read; it writes behind it."""
        return SharedPrefixState.behind(self.llm, self.keys_and_values, beams)

    def add(self, tokens: Iterable[int]) -> None:
        """Take over what a search with one beam has read."""
        self._remember(list(tokens))

    def _keep(self, entries: int) -> None:
        """Forget all but the first entries, and whatever a search left behind them."""
        del self._read[entries:]
        self.keys_and_values.cut(self.positions)

    def _remember(self, entries: Sequence[Entry]) -> None:
        self._read += [(entry, positions_of(self.encoder, entry)) for entry in entries]
