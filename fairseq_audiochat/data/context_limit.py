"""How much fits into the LLM: positions of prompt and response together.

Knows no model: how many positions a recording takes is a function that it is given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER


@dataclass(frozen=True)
class ContextLimit:
    """The LLM's context.

    Args:
        max_positions: Positions of prompt and response together.
        audio_positions: From 10 ms frames (int64 array or tensor) to positions.
    """

    max_positions: int
    audio_positions: Callable[[Any], Any]

    def prompt_positions(self, net_input: dict[str, Tensor]) -> Tensor:
        """Positions of a batch's prompts, without the token that the decoder reads: ``(B,)``."""
        rows = (net_input["src_tokens"] == AUDIO_PLACEHOLDER).nonzero()[:, 0]
        audio = self.audio_positions(net_input["frame_lengths"])
        return net_input["src_lengths"].index_add(0, rows, audio - 1)

    def refuse_long_search(self, sample: dict[str, Any], max_new_tokens: int) -> None:
        """Refuse to search for responses that may leave the context.

        Raises:
            ValueError: With the utterance of the longest prompt, and what would fit.
        """
        prompts = self.prompt_positions(sample["net_input"])
        longest = int(prompts.max())
        room = self.max_positions - longest - 1  # EOS
        if max_new_tokens > room:
            raise ValueError(
                f"--max-len-b must leave prompt and response within the LLM's "
                f"{self.max_positions} positions, but is {max_new_tokens} and the prompt of "
                f"utterance {sample['utterance_ids'][int(prompts.argmax())]!r} has {longest}; "
                f"{room} would fit."
            )
