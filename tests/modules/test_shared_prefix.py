"""What a search reads step by step is what the LLM reads in one go."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairseq_audiochat.modules.beam_cache import BeamCache
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_loading import load_llm
from fairseq_audiochat.modules.prompt_assembly import PromptEmbeddings
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState

BEAMS, LENGTHS = 3, [5, 2, 8]


@pytest.fixture
def llm(llm_path: Path) -> FrozenLlm:
    return load_llm(llm_path, torch.float32)


@pytest.fixture
def prompts(llm: FrozenLlm) -> PromptEmbeddings:
    """Three, padded with what must never be seen."""
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(3, 8, llm.width, generator=generator)
    for row, length in zip(embeddings, LENGTHS):
        row[length:] = 1e4
    return PromptEmbeddings(embeddings, torch.tensor(LENGTHS))


def in_one_go(llm: FrozenLlm, prompt: Tensor, tokens: list[int]) -> Tensor:
    """The last hidden state of a prompt and tokens, without any cache."""
    whole = torch.cat((prompt, llm.embed(torch.tensor(tokens))))
    return llm.packed_hidden(whole, [len(whole)])[-1]


def check(
    llm: FrozenLlm,
    prompts: PromptEmbeddings,
    state: SharedPrefixState,
    beams: list[tuple[int, list[int]]],
) -> None:
    """Let beams, each an utterance and what it read, read on and continue others."""
    generator = torch.Generator().manual_seed(2)
    for step in range(20):
        tokens = torch.randint(3, 300, (len(beams),), generator=generator)
        if step == 0:  # the prompts' last tokens: one for all beams of an utterance
            tokens = tokens.view(-1, BEAMS)[:, :1].expand(-1, BEAMS).flatten()
        beams = [(row, [*ids, token]) for (row, ids), token in zip(beams, tokens.tolist())]
        expected = [
            in_one_go(llm, prompts.embeddings[row, : LENGTHS[row]], ids) for row, ids in beams
        ]
        torch.testing.assert_close(
            state.step(tokens), torch.stack(expected), atol=1e-4, rtol=1e-4, msg=f"step {step}"
        )
        within = torch.randint(0, BEAMS, (len(beams),), generator=generator)
        order = torch.arange(len(beams)) // BEAMS * BEAMS + within
        state.reorder(order)
        beams = [beams[old] for old in order.tolist()]


def start(utterances: list[int]) -> list[tuple[int, list[int]]]:
    return [(row, []) for row in utterances for _ in range(BEAMS)]


@torch.no_grad()
def test_prompts_are_read_with_their_last_tokens(llm: FrozenLlm, prompts: PromptEmbeddings):
    check(llm, prompts, SharedPrefixState(llm, prompts, BEAMS), start([0, 1, 2]))


@torch.no_grad()
def test_others_come_in(llm: FrozenLlm, prompts: PromptEmbeddings):
    """Two under way, of which the second stays; another begins and comes in behind it."""

    def begun(rows: list[int]) -> SharedPrefixState:
        some = PromptEmbeddings(prompts.embeddings[rows], prompts.lengths[rows])
        state = SharedPrefixState(llm, some, BEAMS)
        state.step(torch.full((len(rows) * BEAMS,), 7))
        return state

    state = begun([0, 2])
    state.step(torch.full((2 * BEAMS,), 8))
    state.join(torch.tensor([1]), begun([1]))
    found = state.step(torch.tensor([5] * BEAMS + [9] * BEAMS))
    expected = [in_one_go(llm, prompts.embeddings[2], [7, 8, 5])] * BEAMS
    expected += [in_one_go(llm, prompts.embeddings[1, : LENGTHS[1]], [7, 9])] * BEAMS
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_behind_what_a_cache_holds(llm: FrozenLlm, prompts: PromptEmbeddings):
    """The first five of a prompt's eight positions, and then the rest with its last token."""
    whole, cache = prompts.embeddings[2:], BeamCache(llm.num_layers, spare=0)
    llm.prefill(whole[:, :5], cache)
    rest = PromptEmbeddings(whole[:, 5:], torch.tensor([3]))
    check(llm, prompts, SharedPrefixState(llm, rest, BEAMS, cache), start([2]))
