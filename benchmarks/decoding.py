"""Beam search behind an audio prompt: ours against transformers' generate, in one run.

    python benchmarks/decoding.py                     # the settings of RESULTS.md
    python benchmarks/decoding.py --utterances 1 --prompt 300 --repeats 3

Both search with K beams for N new tokens on the same random Llama and the same prompt
embeddings, in turns, and their hypotheses are compared. Time is the process's CPU time, with
one thread. Peak memory is what a fresh process needs above what it held before the search.
Knows no audio: an audio prompt is a row of embeddings.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from fairseq.models import FairseqEncoder, FairseqEncoderDecoderModel
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from fairseq_audiochat.models.llm_decoder import LlmDecoder
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_attention import ATTENTION_NAME
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint

SETTINGS = [(1, 60), (1, 300), (4, 300), (1, 1000)]  # utterances, prompt positions
EOS = 2
Hypotheses = list[set[tuple[int, ...]]]


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
            "prompt_lengths": [torch.full((batch,), positions)],
            "utterance_index": [torch.arange(batch)],
        }

    def reorder_encoder_out(
        self, encoder_out: dict[str, list[Tensor]], new_order: Tensor
    ) -> dict[str, list[Tensor]]:
        """As in the product: prompts are never copied."""
        index = encoder_out["utterance_index"][0].index_select(0, new_order)
        return {**encoder_out, "utterance_index": [index]}


def make_llm(attention: str) -> LlamaForCausalLM:
    """Model "s": width 512, 8 layers, 8 heads, FFN 1,376, vocabulary 32,000; random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=512,
        intermediate_size=1_376,
        num_hidden_layers=8,
        num_attention_heads=8,
        max_position_embeddings=4_096,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config).eval()


def make_ours(beams: int, tokens: int) -> Callable[[Tensor], Hypotheses]:
    """Fairseq's own search on the shared-prefix decoder; the prompt's last token is the BOS."""
    llm = FrozenLlm(make_llm(ATTENTION_NAME), LlmFingerprint("0" * 64, "0" * 64, "0" * 64))
    dictionary = PlainDictionary(llm.vocabulary_size)
    model = FairseqEncoderDecoderModel(GivenPrompts(None), LlmDecoder(dictionary, llm))
    generator = SequenceGenerator(
        [model], dictionary, beam_size=beams, max_len_b=tokens, min_len=tokens
    )

    def search(prompts: Tensor) -> Hypotheses:
        sample = {"net_input": {"src_tokens": prompts}}
        found = generator.generate([model], sample, bos_token=1)
        return [{tuple(h["tokens"][:-1].tolist()) for h in row} for row in found]

    return search


def make_peer(beams: int, tokens: int) -> Callable[[Tensor], Hypotheses]:
    """Transformers' generate, as one would call it."""
    llm = make_llm("sdpa")

    def search(prompts: Tensor) -> Hypotheses:
        last = llm.get_input_embeddings()(torch.full((len(prompts), 1), 1))
        whole = torch.cat((prompts, last), dim=1)
        output = llm.generate(
            inputs_embeds=whole,
            attention_mask=torch.ones(whole.shape[:2], dtype=torch.int64),
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            eos_token_id=EOS,
            pad_token_id=0,
        )
        rows = output.view(len(prompts), beams, -1).tolist()
        return [{tuple(ids) for ids in row} for row in rows]

    return search


MAKERS = {"ours": make_ours, "transformers": make_peer}


def make_prompts(utterances: int, positions: int) -> Tensor:
    """Random embeddings of the LLM's scale; the last position is the first token's."""
    generator = torch.Generator().manual_seed(1)
    return 0.02 * torch.randn(utterances, positions - 1, 512, generator=generator)


@torch.no_grad()
def measure(utterances: int, positions: int, args: argparse.Namespace) -> None:
    """Run both in turns and print a line of the table."""
    prompts = make_prompts(utterances, positions)
    searches = {name: maker(args.beams, args.tokens) for name, maker in MAKERS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    found: dict[str, Hypotheses] = {}
    for _ in range(args.repeats):
        for name, search in searches.items():
            start = time.process_time()
            found[name] = search(prompts)
            seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    memory = {name: peak_megabytes(name, utterances, positions, args) for name in searches}
    # A need within what the process has in reserve already shows as nothing.
    saved = f"{memory['transformers'] / memory['ours']:.1f}" if memory["ours"] > 1 else ""
    equal = sum(len(a & b) for a, b in zip(found["ours"], found["transformers"]))
    print(
        f"| B{utterances} P{positions} | {medians['transformers']:.2f} | {medians['ours']:.2f} "
        f"| {medians['transformers'] / medians['ours']:.2f} | {memory['transformers']:.0f} "
        f"| {memory['ours']:.0f} | {saved} "
        f"| {equal} of {utterances * args.beams} |",
        flush=True,
    )


def peak_megabytes(name: str, utterances: int, positions: int, args: argparse.Namespace) -> float:
    """What one search needs at most above the weights, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name, "--beams", str(args.beams)]
    command += ["--utterances", str(utterances), "--prompt", str(positions)]
    command += ["--tokens", str(args.tokens)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@torch.no_grad()
def print_memory(args: argparse.Namespace) -> None:
    """In the process of `peak_megabytes`: search once and print by how much the peak exceeds."""
    search = MAKERS[args.memory_of](args.beams, args.tokens)
    search(make_prompts(1, 8))  # libraries allocate at their first call
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of loading
    before = resident_kilobytes("VmRSS")
    search(make_prompts(args.utterances, args.prompt))
    print((resident_kilobytes("VmHWM") - before) / 1024)


def resident_kilobytes(field: str) -> int:
    """Resident memory of this process: ``VmRSS`` now, ``VmHWM`` at its peak."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, help="with --prompt: one setting only")
    parser.add_argument("--prompt", type=int, help="prompt positions")
    parser.add_argument("--beams", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=64, help="new tokens")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-of", choices=MAKERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.memory_of:
        return print_memory(args)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, fp32, 1 thread")
    print(f"{platform.processor() or platform.machine()}, {args.beams} beams, {args.tokens} tokens")
    print("| | transformers s | ours s | ratio | transformers MB | ours MB | ratio | equal |")
    print("|---|---|---|---|---|---|---|---|")
    for setting in [(args.utterances, args.prompt)] if args.prompt else SETTINGS:
        measure(*setting, args)
    return None


if __name__ == "__main__":
    main()
