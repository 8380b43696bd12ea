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
        self._begun: list[Entry] = []  # of a prompt, what no step may have read yet

    @property
    def positions(self) -> int:
        """Positions that have been read."""
        return sum(positions for _, positions in self._read)

    @property
    def entries(self) -> list[Entry]:
        """What has been read."""
        return [entry for entry, _ in self._read]

    @torch.no_grad()
    def begin(self, prompt: Prompt, beams: int) -> SharedPrefixState:
        """The state of a search behind a prompt but its last token.

        What the cache holds of the prompt stays; the rest is read by the search's first step,
        together with the last token, and remembered when `add` says that this has happened.

        Args:
            prompt: The whole dialogue, at least two entries.
            beams: Beams, K; the search writes behind the prompt.
        """
        *before_last, last = prompt.entries()
        # A state has a position to read: of a prompt that was read already, the last entry again.
        kept = min(common_entries(self.entries, before_last), len(before_last) - 1)
        self._keep(kept)
        self._begun = before_last[kept:]
        unread = embed_prompts(self.encoder, [Prompt.of([*self._begun, last])])
        return SharedPrefixState(self.llm, unread, beams, self.keys_and_values)

    def add(self, tokens: Iterable[int]) -> None:
        """Take over the prompt of the search that has begun, and tokens that it read behind it.

        Args:
            tokens: Those that all beams have read: the prompt's last, and of a search with one
                beam what came then.
        """
        begun, self._begun = self._begun, []
        self._remember([*begun, *tokens])

    def _keep(self, entries: int) -> None:
        """Forget all but the first entries, and whatever a search left behind them."""
        del self._read[entries:]
        self.keys_and_values.cut(self.positions)

    def _remember(self, entries: Sequence[Entry]) -> None:
        self._read += [(entry, positions_of(self.encoder, entry)) for entry in entries]
