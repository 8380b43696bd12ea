"""Greedy responses to text prompts of different lengths, each with a limit of its own.

The same shared-prefix state as in beam search, with one beam: what an utterance gets does not
depend on its batch. Where utterances have finished, others take their place. Knows no files and
no tokenizer.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.prompt_assembly import PromptEmbeddings
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState

# A change of the batch copies the cache, an utterance that waits for it is computed in vain: an
# eighth of the batch may wait.
_BATCH_PER_CHANGE = 8


class GreedyResponse(NamedTuple):
    """Generated ids without EOS, and ``eos`` or ``length``: how they ended."""

    ids: list[int]
    ended: str


def respond(
    llm: FrozenLlm, prompts: Sequence[Sequence[int]], max_new_tokens: Sequence[int], eos_id: int
) -> list[GreedyResponse]:
    """Answer prompts in one batch; see `respond_each`."""
    finished = dict(respond_each(llm, prompts, max_new_tokens, eos_id, len(prompts)))
    return [finished[index] for index in range(len(prompts))]


@torch.no_grad()
def respond_each(
    llm: FrozenLlm,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: Sequence[int],
    eos_id: int,
    batch_size: int,
) -> Iterator[tuple[int, GreedyResponse]]:
    """Answer prompts, the most probable token at a time, the longest prompts first.

    Args:
        llm: The LLM.
        prompts: Prompt ids, at least two each.
        max_new_tokens: The limit of each response, at least 1.
        eos_id: Ends a response.
        batch_size: Most prompts at a time.

    Yields:
        The place of a prompt and its response, as they are finished.
    """
    waiting = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    batch = _Batch(llm)
    while waiting or batch.rows:
        free = batch_size - len(batch.rows) + len(batch.finished)
        entering = [waiting.pop() for _ in range(min(free, len(waiting)))]
        generated = batch.change(entering, [prompts[index] for index in entering])
        while True:
            for row, token in generated:
                if row in batch.finished:
                    continue
                index, ids = batch.rows[row]
                if token != eos_id:
                    ids.append(token)
                if token == eos_id or len(ids) == max_new_tokens[index]:
                    batch.finished.add(row)
                    yield index, GreedyResponse(ids, "eos" if token == eos_id else "length")
            if not batch.rows or batch.is_due():
                break
            generated = batch.step()


class _Batch:
    """The prompts that are being answered.

    Args:
        llm: The LLM.
    """

    def __init__(self, llm: FrozenLlm) -> None:
        self.llm = llm
        self.rows: list[tuple[int, list[int]]] = []  # the prompt's place, what was generated
        self.finished: set[int] = set()  # rows that wait to be dropped
        self._state: SharedPrefixState
        self._tokens: Tensor  # what each row reads next

    def change(
        self, entering: list[int], prompts: list[Sequence[int]]
    ) -> Iterable[tuple[int, int]]:
        """Drop finished rows, and let prompts come in behind the others.

        Returns:
            The rows that came in, with their first tokens.
        """
        kept = [row for row in range(len(self.rows)) if row not in self.finished]
        self.rows = [self.rows[row] for row in kept] + [(index, []) for index in entering]
        self.finished = set()
        order = torch.tensor(kept, dtype=torch.int64, device=self.llm.causal_lm.device)
        if not prompts:
            if kept:
                self._state.reorder(order)
                self._tokens = self._tokens[order]
            return []
        entered = SharedPrefixState(self.llm, _embed(self.llm, prompts), beams=1)
        tokens = self._next(entered, order.new_tensor([prompt[-1] for prompt in prompts]))
        if kept:
            self._state.join(order, entered)
            self._tokens = torch.cat((self._tokens[order], tokens))
        else:
            self._state, self._tokens = entered, tokens
        return enumerate(tokens.tolist(), start=len(kept))

    def step(self) -> Iterable[tuple[int, int]]:
        """All rows, with their next tokens."""
        self._tokens = self._next(self._state, self._tokens)
        return enumerate(self._tokens.tolist())

    def _next(self, state: SharedPrefixState, tokens: Tensor) -> Tensor:
        return self.llm.logits(state.step(tokens)).argmax(-1)

    def is_due(self) -> bool:
        """Whether enough rows are finished to change the batch, or one has no position left."""
        if not self.finished:
            return False
        return (
            len(self.finished) * _BATCH_PER_CHANGE >= len(self.rows)
            or int(self._state.positions.max()) >= self.llm.max_positions
        )


def _embed(llm: FrozenLlm, prompts: Sequence[Sequence[int]]) -> PromptEmbeddings:
    """Embeddings of all but each prompt's last token, padded on the right."""
    lengths = torch.tensor([len(prompt) - 1 for prompt in prompts], device=llm.causal_lm.device)
    padded = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.int64, device=lengths.device)
    for row, prompt in zip(padded, prompts):
        row[: len(prompt) - 1] = torch.tensor(prompt[:-1])
    return PromptEmbeddings(llm.embed(padded), lengths)
