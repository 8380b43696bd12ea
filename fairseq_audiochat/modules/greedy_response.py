"""Greedy responses to text prompts of different lengths, each with a limit of its own.

The same shared-prefix state as in beam search, with one beam: what an utterance gets does not
depend on its batch, and finished utterances leave it. Knows no files and no tokenizer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.prompt_assembly import PromptEmbeddings
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState


class GreedyResponse(NamedTuple):
    """Generated ids without EOS, and ``eos`` or ``length``: how they ended."""

    ids: list[int]
    ended: str


@torch.no_grad()
def respond(
    llm: FrozenLlm, prompts: Sequence[Sequence[int]], max_new_tokens: Sequence[int], eos_id: int
) -> list[GreedyResponse]:
    """Answer prompts, the most probable token at a time.

    Args:
        llm: The LLM.
        prompts: Prompt ids, at least two each.
        max_new_tokens: The limit of each response, at least 1.
        eos_id: Ends a response.
    """
    device = llm.causal_lm.device
    state = SharedPrefixState(llm, _embed(llm, prompts), beams=1)
    tokens = torch.tensor([prompt[-1] for prompt in prompts], device=device)
    active = list(range(len(prompts)))
    generated: list[list[int]] = [[] for _ in prompts]
    ended = ["length"] * len(prompts)
    while active:
        tokens = llm.logits(state.step(tokens)).argmax(-1)
        kept = []
        for row, (index, token) in enumerate(zip(active, tokens.tolist())):
            if token == eos_id:
                ended[index] = "eos"
                continue
            generated[index].append(token)
            if len(generated[index]) < max_new_tokens[index]:
                kept.append(row)
        active = [active[row] for row in kept]
        order = torch.tensor(kept, dtype=torch.int64, device=device)
        tokens = tokens[order]
        state.reorder(order)
    return [GreedyResponse(ids, how) for ids, how in zip(generated, ended)]


def _embed(llm: FrozenLlm, prompts: Sequence[Sequence[int]]) -> PromptEmbeddings:
    """Embeddings of all but each prompt's last token, padded on the right."""
    lengths = torch.tensor([len(prompt) - 1 for prompt in prompts], device=llm.causal_lm.device)
    padded = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.int64, device=lengths.device)
    for row, prompt in zip(padded, prompts):
        row[: len(prompt) - 1] = torch.tensor(prompt[:-1])
    return PromptEmbeddings(llm.embed(padded), lengths)
