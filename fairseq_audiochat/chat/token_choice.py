"""Which token comes next: the most probable one, or one that is drawn.

Knows one row of logits at a time, and no LLM.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from fairseq_audiochat.chat.decoding import Decoding

TokenChoice = Callable[[Tensor], int]
"""From logits ``(V,)`` to an id."""


def token_choice(decoding: Decoding) -> TokenChoice:
    """The choice of one answer; each answer has its own, because each draws from its own seed."""
    return _Sampler(decoding) if decoding.is_sampling else most_probable


def most_probable(logits: Tensor) -> int:
    """The greedy choice."""
    return int(logits.argmax())


class _Sampler:
    """Draws on the CPU, so that a seed means the same on every device.

    Args:
        decoding: Temperature, top_k, top_p and the seed.
    """

    def __init__(self, decoding: Decoding) -> None:
        self._random = torch.Generator()
        if decoding.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(decoding.seed)
        self._warpers = LogitsProcessorList([TemperatureLogitsWarper(float(decoding.temperature))])
        if decoding.top_k:
            self._warpers.append(TopKLogitsWarper(decoding.top_k))
        if decoding.top_p < 1:
            self._warpers.append(TopPLogitsWarper(float(decoding.top_p)))

    def __call__(self, logits: Tensor) -> int:
        row = logits.detach().to("cpu", torch.float32).unsqueeze(0)
        probabilities = self._warpers(torch.empty(1, 0, dtype=torch.int64), row).softmax(-1)
        return int(torch.multinomial(probabilities, 1, generator=self._random))
