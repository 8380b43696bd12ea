"""Answers, a token at a time: the loop that greedy choice and sampling share.

What a row gets does not depend on the others. Knows neither text nor messages; beam search is
fairseq's, see `beam_search`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fairseq_audiochat.chat.token_choice import TokenChoice
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState


class GeneratedToken(NamedTuple):
    """A row of the batch, and the id that it goes on with."""

    row: int
    token: int


@torch.no_grad()
def generate(
    state: SharedPrefixState,
    first: Tensor,
    choices: Sequence[TokenChoice],
    max_new_tokens: int,
    eos_id: int,
) -> Iterator[GeneratedToken]:
    """Answer prompts in one batch.

    Args:
        state: Behind B prompts but their last tokens, with one beam.
        first: Those last tokens, int64 ``(B,)``.
        choices: For each row, what chooses its tokens.
        max_new_tokens: Longest answer.
        eos_id: Ends an answer; it is yielded too.

    Yields:
        Each row's tokens in order, as they are chosen.
    """
    rows, tokens = list(range(len(choices))), first
    for length in range(max_new_tokens):
        logits = state.llm.logits(state.step(tokens))
        if length == 0:  # fairseq's rule: an answer is never empty
            logits[:, eos_id] = float("-inf")
        chosen = [choices[row](logits[place]) for place, row in enumerate(rows)]
        yield from map(GeneratedToken, rows, chosen)
        going_on = [place for place, token in enumerate(chosen) if token != eos_id]
        if not going_on:
            return
        if len(going_on) < len(rows):
            state.reorder(first.new_tensor(going_on))
        rows = [rows[place] for place in going_on]
        tokens = first.new_tensor([chosen[place] for place in going_on])
