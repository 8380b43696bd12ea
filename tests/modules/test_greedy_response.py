"""Greedy responses equal transformers' own, whatever the batch."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.greedy_response import GreedyResponse, respond, respond_each
from fairseq_audiochat.modules.llm_loading import load_llm
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState


def test_equal_to_transformers_generate(llm_path: Path):
    llm = load_llm(llm_path, torch.float32)
    stock = AutoModelForCausalLM.from_pretrained(llm_path).eval()
    generator = torch.Generator().manual_seed(3)
    prompts = [
        torch.randint(3, 300, (length,), generator=generator).tolist()
        for length in (4, 30, 2, 11, 12, 9, 3, 21)
    ]
    limits = [9, 30, 1, 12, 5, 40, 20, 7]
    # An id that the LLM generates soon serves as EOS, so that both endings occur.
    eos = respond(llm, prompts, limits, eos_id=-1)[1].ids[4]
    responses = respond(llm, prompts, limits, eos_id=eos)
    assert {response.ended for response in responses} == {"eos", "length"}
    for prompt, limit, response in zip(prompts, limits, responses):
        alone = stock.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=eos,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert response.ids == (alone[:-1] if alone[-1] == eos else alone)
        assert response.ended == ("eos" if alone[-1] == eos else "length")
        assert len(response.ids) <= limit


def random_prompts(number: int, seed: int) -> tuple[list[list[int]], list[int]]:
    """Prompts of 2 to 40 ids, and limits of 1 to 30."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 41, (number,), generator=generator).tolist()
    prompts = [torch.randint(3, 300, (length,), generator=generator).tolist() for length in lengths]
    return prompts, torch.randint(1, 31, (number,), generator=generator).tolist()


def alone(
    llm: FrozenLlm, prompts: list[list[int]], limits: list[int], eos: int
) -> list[GreedyResponse]:
    return [respond(llm, [prompt], [limit], eos)[0] for prompt, limit in zip(prompts, limits)]


@pytest.mark.parametrize("batch_size", [1, 3, 8, 40])
def test_prompts_that_come_in_later_get_what_they_get_alone(llm_path: Path, batch_size: int):
    """Short ones behind long ones and long ones behind short ones, into a cache with gaps."""
    llm = load_llm(llm_path, torch.float32)
    prompts, limits = random_prompts(30, seed=5)
    eos = respond(llm, [prompts[2]], [9], eos_id=-1)[0].ids[3]
    answers = list(respond_each(llm, prompts, limits, eos, batch_size))
    assert sorted(index for index, _ in answers) == list(range(30))
    assert [answer for _, answer in sorted(answers)] == alone(llm, prompts, limits, eos)
    assert {answer.ended for _, answer in answers} == {"eos", "length"}


def test_the_cache_holds_no_more_than_somebody_sees(llm_path: Path, monkeypatch):
    """Where prompts come in all the time, what ended ones left behind is dropped."""
    llm = load_llm(llm_path, torch.float32)
    prompts, limits = random_prompts(120, seed=6)
    longest, step = [0], SharedPrefixState.step

    def watched(state: SharedPrefixState, tokens: torch.Tensor) -> torch.Tensor:
        longest[0] = max(longest[0], state.cache.get_seq_length())
        return step(state, tokens)

    monkeypatch.setattr(SharedPrefixState, "step", watched)
    assert len(list(respond_each(llm, prompts, limits, eos_id=-1, batch_size=8))) == 120
    # A prompt of 40 and 30 new ids, and up to 8 steps until dead entries are left behind
    assert longest[0] <= 40 + 30 + 8


def test_a_response_may_reach_the_last_position(llm_path: Path):
    """Finished ones that wait beside it read no further: some LLMs have no such position."""
    llm = load_llm(llm_path, torch.float32)
    positions = []
    llm.causal_lm.base_model.register_forward_pre_hook(
        lambda _module, _args, kwargs: positions.append(kwargs.get("position_ids")),
        with_kwargs=True,
    )
    prompts = [[1, *range(3, 250)], *([1, 5, 6] for _ in range(15))]
    limits = [256 - len(prompts[0]), *([40] * 15)]
    answers = respond(llm, prompts, limits, eos_id=-1)
    assert [len(answer.ids) for answer in answers] == limits
    assert (
        max(int(ids.max()) for ids in positions if ids is not None) == 255
    )  # from 0: the last one
