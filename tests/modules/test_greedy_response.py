"""Greedy responses equal transformers' own, whatever the batch."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from fairseq_audiochat.modules.greedy_response import respond
from fairseq_audiochat.modules.llm_loading import load_llm


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
