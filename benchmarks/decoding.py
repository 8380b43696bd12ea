"""Beam search behind an audio prompt: ours against transformers' generate, in one run.

    python benchmarks/decoding.py                     # the settings of RESULTS.md
    python benchmarks/decoding.py --utterances 1 --prompt 300
    python benchmarks/decoding.py --model 7b --device cuda --dtype bfloat16

Both search with K beams for N new tokens on the same random Llama and the same prompt
embeddings, in turns, and their hypotheses are compared. Knows no audio: an audio prompt is a row
of embeddings.
"""

import argparse
from collections.abc import Callable
from functools import partial

import side_by_side
import torch
from fairseq.models import FairseqEncoder, FairseqEncoderDecoderModel
from fairseq.sequence_generator import SequenceGenerator
from random_llm import SIZES, make_frozen_llm, make_llama
from torch import Tensor

from fairseq_audiochat.models.llm_decoder import LlmDecoder

SETTINGS = [(1, 60), (1, 300), (4, 300), (1, 1000)]  # utterances, prompt positions
EOS = 2
Hypotheses = list[set[tuple[int, ...]]]
Search = Callable[[Tensor], Hypotheses]


class PlainDictionary:
    """What fairseq's search asks of a dictionary: V ids, and a padding id behind them."""

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def __len__(self) -> int:
        return self.vocabulary_size + 1

    def pad(self) -> int:
        """Behind the LLM's ids."""
        return self.vocabulary_size

    def unk(self) -> int:
        """As Llama-2's."""
        return 0

    def eos(self) -> int:
        """As Llama-2's."""
        return EOS


class GivenPrompts(FairseqEncoder):
    """Hands prompts through to the decoder."""

    def forward(self, src_tokens: Tensor) -> dict[str, list[Tensor]]:
        """Prompts ``(B, P, D)``, none padded."""
        batch, positions, _ = src_tokens.shape
        return {
            "prompt_embeddings": [src_tokens],
            "prompt_lengths": [torch.full((batch,), positions, device=src_tokens.device)],
            "utterance_index": [torch.arange(batch, device=src_tokens.device)],
        }

    def reorder_encoder_out(
        self, encoder_out: dict[str, list[Tensor]], new_order: Tensor
    ) -> dict[str, list[Tensor]]:
        """As in the product: prompts are never copied."""
        index = encoder_out["utterance_index"][0].index_select(0, new_order)
        return {**encoder_out, "utterance_index": [index]}


def make_ours(args: argparse.Namespace) -> Search:
    """Fairseq's own search on the shared-prefix decoder; the prompt's last token is the BOS."""
    llm = make_frozen_llm(args.model, args.device, args.dtype)
    dictionary = PlainDictionary(llm.vocabulary_size)
    model = FairseqEncoderDecoderModel(GivenPrompts(None), LlmDecoder(dictionary, llm))
    model.make_generation_fast_()  # as fairseq-generate does
    generator = SequenceGenerator(
        [model], dictionary, beam_size=args.beams, max_len_b=args.tokens, min_len=args.tokens
    )

    def search(prompts: Tensor) -> Hypotheses:
        sample = {"net_input": {"src_tokens": prompts}}
        found = generator.generate([model], sample, bos_token=1)
        return [{tuple(h["tokens"][:-1].tolist()) for h in row} for row in found]

    return search


def make_peer(args: argparse.Namespace) -> Search:
    """Transformers' generate, as one would call it."""
    llm = make_llama(args.model, args.device, args.dtype)

    def search(prompts: Tensor) -> Hypotheses:
        first = torch.full((len(prompts), 1), 1, device=prompts.device)
        last = llm.get_input_embeddings()(first)
        whole = torch.cat((prompts, last), dim=1)
        output = llm.generate(
            inputs_embeds=whole,
            attention_mask=first.new_ones(whole.shape[:2]),
            num_beams=args.beams,
            num_return_sequences=args.beams,
            max_new_tokens=args.tokens,
            min_new_tokens=args.tokens,
            do_sample=False,
            eos_token_id=EOS,
            pad_token_id=0,
        )
        rows = output.view(len(prompts), args.beams, -1).tolist()
        return [{tuple(ids) for ids in row} for row in rows]

    return search


MAKERS = {"ours": make_ours, "transformers": make_peer}


def make_prompts(utterances: int, positions: int, args: argparse.Namespace) -> Tensor:
    """Random embeddings of the LLM's scale; the last position is the first token's."""
    generator = torch.Generator().manual_seed(1)
    width = SIZES[args.model].hidden_size
    prompts = 0.02 * torch.randn(utterances, positions - 1, width, generator=generator)
    return prompts.to(args.device, getattr(torch, args.dtype))


def measure(utterances: int, positions: int, args: argparse.Namespace) -> None:
    """Run both in turns and print a line of the table."""
    prompts = make_prompts(utterances, positions, args)
    runs = {name: partial(make(args), prompts) for name, make in MAKERS.items()}
    seconds, found = side_by_side.in_turns(runs, args.repeats, args.device)
    memory = {name: side_by_side.peak_in_own_process(name, utterances, positions) for name in runs}
    # A need within what the process has in reserve already shows as nothing.
    saved = f"{memory['transformers'] / memory['ours']:.1f}" if memory["ours"] > 1 else ""
    equal = sum(len(a & b) for a, b in zip(found["ours"], found["transformers"]))
    print(
        f"| B{utterances} P{positions} | {seconds['transformers']:.2f} | {seconds['ours']:.2f} "
        f"| {seconds['transformers'] / seconds['ours']:.2f} | {memory['transformers']:.0f} "
        f"| {memory['ours']:.0f} | {saved} "
        f"| {equal} of {utterances * args.beams} |",
        flush=True,
    )


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = side_by_side.parser(__doc__ or "")
    parser.add_argument("--utterances", type=int, help="with --prompt: one setting only")
    parser.add_argument("--prompt", type=int, help="prompt positions")
    parser.add_argument("--beams", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=64, help="new tokens")
    args = parser.parse_args()
    if args.memory_of:
        torch.set_num_threads(1)
        name, utterances, positions = args.memory_of
        search = MAKERS[name](args)
        search(make_prompts(1, 8, args))  # libraries allocate at their first call
        prompts = make_prompts(int(utterances), int(positions), args)
        print(side_by_side.peak_megabytes(partial(search, prompts), args.device))
        return
    side_by_side.announce(args)
    print(f"{args.beams} beams, {args.tokens} new tokens; B utterances, P prompt positions\n")
    print("| | transformers s | ours s | ratio | transformers MB | ours MB | ratio | equal |")
    print("|---|---|---|---|---|---|---|---|")
    for setting in [(args.utterances, args.prompt)] if args.prompt else SETTINGS:
        measure(*setting, args)


if __name__ == "__main__":
    main()
