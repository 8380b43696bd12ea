"""Responses to transcripts: ours against transformers' generate and continuous batching.

    python benchmarks/responses.py                 # the settings of RESULTS.md
    python benchmarks/responses.py --prompts 64 --repeats 1

Every engine answers the same prompts greedily with the same weights, in turns in one process.
The prompts are as long as MLS's, in random order; ours orders them by length, transformers'
`generate` takes batches of 16 as they come, padded on the left, and its continuous batching all
of them. The mini LLM ends its responses itself; the random LLM never does, so that each of its
responses has a limit of its own, drawn from realistic lengths, of which no engine knows before.
Time is the process's CPU time, with one thread. Knows no files of responses.
"""

import argparse
import logging
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import side_by_side
import torch
import transformers
from random_llm import make_frozen_llm, make_llama
from transformers import (
    AutoModelForCausalLM,
    ContinuousBatchingConfig,
    GenerationConfig,
    PreTrainedModel,
)

from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.greedy_response import respond_each
from fairseq_audiochat.modules.llm_loading import load_llm

MINI = Path(__file__).parents[1] / "examples" / "mini" / "llm"
TRANSCRIPT_TOKENS = (30, 60)
TEMPLATE_TOKENS = 20  # of Llama-2's template
RESPONSE_TOKENS = (20, 200)  # of the random LLM, which has no EOS
PEER_BATCH = 16
NEVER = -1  # no token

Responses = list[list[int]]


class Work(NamedTuple):
    """What is to be answered: prompt ids, their limits, and the EOS."""

    prompts: list[list[int]]
    limits: list[int]
    eos: int


class Models(NamedTuple):
    """One LLM twice: as ours, and as transformers'."""

    ours: FrozenLlm
    stock: PreTrainedModel


def mini(count: int, seed: int) -> tuple[Models, Work]:
    """The mini LLM, and transcripts of several of the questions that it knows."""
    template = Llama2Chat(MINI / "tokenizer.model")
    rng = random.Random(seed)
    prompts, limits = [], []
    while len(prompts) < count:
        text = " ".join(rng.choice(QUESTIONS) for _ in range(rng.randint(2, 6)))
        tokens = len(template.encode(text))
        if TRANSCRIPT_TOKENS[0] <= tokens <= TRANSCRIPT_TOKENS[1]:
            prompts.append(template.prompt(Conversation.of_text(text)))
            limits.append(4 * tokens)
    stock = AutoModelForCausalLM.from_pretrained(MINI, dtype=torch.float32).eval()
    ours = load_llm(MINI, torch.float32)
    ours.make_generation_fast_()  # as data_prep/generate_responses.py does
    return Models(ours, stock), Work(prompts, limits, template.eos_id)


QUESTIONS = (
    "do you know the italian word for wine",
    "what is the capital of france",
    "please tell me the german word for bread",
    "what is two plus three",
    "which city is the capital of spain",
    "say hello to my brother please",
    "what colour is the sky",
)


def random_llama(count: int, seed: int) -> tuple[Models, Work]:
    """Model "s", and random prompts of MLS's lengths."""
    ours = make_frozen_llm("s")
    ours.make_generation_fast_()
    rng = random.Random(seed)
    prompts = [
        [rng.randrange(3, 32_000) for _ in range(TEMPLATE_TOKENS + rng.randint(*TRANSCRIPT_TOKENS))]
        for _ in range(count)
    ]
    limits = [rng.randint(*RESPONSE_TOKENS) for _ in prompts]
    return Models(ours, make_llama("s")), Work(prompts, limits, NEVER)


def ours(models: Models, work: Work, batch_size: int) -> Responses:
    """Batches by length on the shared-prefix state; others enter where responses end."""
    found = dict(respond_each(models.ours, work.prompts, work.limits, work.eos, batch_size))
    return [found[index].ids for index in range(len(work.prompts))]


@torch.no_grad()
def generate(models: Models, work: Work) -> Responses:
    """Transformers' generate on batches as they come; a batch runs until its last one ends."""
    found = []
    for first in range(0, len(work.prompts), PEER_BATCH):
        batch = work.prompts[first : first + PEER_BATCH]
        limits = work.limits[first : first + PEER_BATCH]
        width = max(map(len, batch))
        padded = torch.tensor([[0] * (width - len(row)) + row for row in batch])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        output = models.stock.generate(
            padded,
            attention_mask=mask,
            max_new_tokens=max(limits),
            do_sample=False,
            eos_token_id=None if work.eos == NEVER else work.eos,
            pad_token_id=0,
        )
        rows = output[:, width:].tolist()
        found += [_cut(row, limit, work.eos) for row, limit in zip(rows, limits)]
    return found


def continuous(models: Models, work: Work) -> Responses:
    """Transformers' continuous batching, with room for 64 requests and a limit for each."""
    config = GenerationConfig(
        do_sample=False, eos_token_id=work.eos, pad_token_id=0, max_new_tokens=max(work.limits)
    )
    longest = max(map(len, work.prompts)) + max(work.limits)
    pages = 64 * -(-longest // 256)  # of 256 tokens, its default
    batching = ContinuousBatchingConfig(
        num_blocks=pages, max_batch_tokens=512, allow_block_sharing=False
    )
    found: dict[int, list[int]] = {}
    with models.stock.continuous_batching_context_manager(
        generation_config=config, continuous_batching_config=batching, block=True, timeout=5
    ) as manager:
        for index, (prompt, limit) in enumerate(zip(work.prompts, work.limits)):
            manager.add_request(prompt, str(index), max_new_tokens=limit, eos_token_id=work.eos)
        while len(found) < len(work.prompts):
            result = manager.get_result(timeout=1)
            if result is not None and result.is_finished():
                index = int(result.request_id)
                found[index] = _cut(result.generated_tokens, work.limits[index], work.eos)
    return [found[index] for index in range(len(found))]


def _cut(ids: list[int], limit: int, eos: int) -> list[int]:
    ids = ids[:limit]
    return ids[: ids.index(eos)] if eos in ids else ids


def engines(batch_sizes: list[int]) -> Iterator[tuple[str, Callable[[Models, Work], Responses]]]:
    """The peers first."""
    yield f"generate, {PEER_BATCH} as they come", generate
    yield "continuous batching", continuous
    for size in batch_sizes:
        yield f"ours, {size}", lambda models, work, size=size: ours(models, work, size)


def measure(name: str, models: Models, work: Work, args: argparse.Namespace) -> None:
    """Run all engines in turns and print a line for each."""
    runs = {engine: partial(answer, models, work) for engine, answer in engines(args.batch_sizes)}
    seconds, found = side_by_side.in_turns(runs, args.repeats)
    peer = next(iter(runs))
    reference = found[peer]
    tokens = sum(map(len, reference))
    print(f"| {name}: {len(work.prompts)} prompts, {tokens} tokens | | | | |")
    for engine, median in seconds.items():
        equal = sum(one == other for one, other in zip(found[engine], reference))
        print(
            f"| {engine} | {median:.1f} | {tokens / median:.0f} | {seconds[peer] / median:.2f} "
            f"| {equal} of {len(work.prompts)} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = side_by_side.parser(__doc__ or "")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 64], help="ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--llm", choices=["mini", "random"], nargs="+", default=["mini", "random"])
    parser.set_defaults(repeats=3)
    args = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # fairseq turns debugging on
    transformers.utils.logging.disable_progress_bar()
    side_by_side.announce(args)
    print("| | CPU s | tokens/s | times generate | equal |")
    print("|---|---|---|---|---|")
    makers = {"mini": mini, "random": random_llama}
    for name in args.llm:
        measure(name, *makers[name](args.prompts, args.seed), args)


if __name__ == "__main__":
    main()
