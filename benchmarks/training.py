"""A training step with the LLM frozen: ours against transformers, in one run.

    python benchmarks/training.py                                       # as in RESULTS.md
    python benchmarks/training.py --model 7b --device cuda --dtype bfloat16

From the audio embeddings to their gradients: what lies before them is the encoder, and has a
benchmark of its own. Recordings take 30 to 250 positions and responses 20 to 200, at random; the
template before and behind is Llama-2's, 17 and 4 tokens. transformers gets the batch padded,
with labels and frozen weights; ours is the product's path, from the prompt to the loss.

`limit` is the share of our time that the step's matrix products alone take, without padding.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import side_by_side
import torch
import torch.nn.functional as F
from random_llm import make_frozen_llm, make_llama
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.models.llm_decoder import LlmDecoder
from fairseq_audiochat.models.prompt_encoder import PromptEncoder
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.losses import response_loss

PREFIX_TOKENS, SUFFIX_TOKENS = 17, 4
AUDIO_POSITIONS, RESPONSE_TOKENS = (30, 250), (20, 200)
Step = Callable[[], tuple[float, Tensor]]  # gives the loss, and the gradients of the audio


class Batch(NamedTuple):
    """B utterances: audio embeddings ``(B, A, D)``, and token ids."""

    audio: Tensor
    audio_lengths: Tensor
    prefix: Tensor
    suffix: Tensor
    responses: list[Tensor]


class PadsWith:
    """What the decoder asks of a dictionary."""

    def __init__(self, pad: int) -> None:
        self.pad = lambda: pad


class GivenAudio(PromptEncoder):
    """The product's prompt encoder behind audio embeddings that are there already."""

    def embed_audio(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """They are what is given as features."""
        return features, frame_lengths


def make_batch(utterances: int, seed: int, width: int, args: argparse.Namespace) -> Batch:
    """A random batch, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, *size: int) -> Tensor:
        return torch.randint(low, high + 1, size, generator=generator)

    lengths = integers(*AUDIO_POSITIONS, utterances)
    audio = 0.02 * torch.randn(utterances, int(lengths.max()), width, generator=generator)
    responses = [integers(3, 31_999, int(integers(*RESPONSE_TOKENS))) for _ in range(utterances)]
    return Batch(
        audio.to(args.device, getattr(torch, args.dtype)),
        lengths.to(args.device),
        integers(3, 31_999, PREFIX_TOKENS).to(args.device),
        integers(3, 31_999, SUFFIX_TOKENS).to(args.device),
        [response.to(args.device) for response in responses],
    )


def real_positions(batch: Batch) -> int:
    """Positions of all utterances, the template's among them."""
    responses = sum(map(len, batch.responses))
    template = (PREFIX_TOKENS + SUFFIX_TOKENS) * len(batch.responses)
    return responses + int(batch.audio_lengths.sum()) + template


def transformers_step(llm: torch.nn.Module, batch: Batch) -> Step:
    """Embeddings padded on the right, labels at the responses; loss and gradients."""
    embed = llm.get_input_embeddings()

    def step() -> tuple[float, Tensor]:
        audio = batch.audio.detach().requires_grad_()
        rows, labels = [], []
        for row, length, response in zip(audio, batch.audio_lengths.tolist(), batch.responses):
            tokens = embed(batch.prefix), row[:length], embed(batch.suffix), embed(response)
            rows.append(torch.cat(tokens))
            ignored = response.new_full((len(rows[-1]) - len(response),), -100)
            labels.append(torch.cat((ignored, response)))
        targets = pad_sequence(labels, batch_first=True, padding_value=-100)
        lengths = targets.new_tensor([len(row) for row in rows])
        output = llm(
            inputs_embeds=pad_sequence(rows, batch_first=True),
            attention_mask=torch.arange(targets.size(1), device=targets.device) < lengths[:, None],
            labels=targets,
            use_cache=False,
        )
        loss = output.loss * sum(map(len, batch.responses))  # a sum, as ours
        loss.backward()
        return loss.item(), audio.grad

    return step


def our_step(llm: FrozenLlm, batch: Batch) -> Step:
    """The product's path."""
    pad = llm.vocabulary_size
    decoder = LlmDecoder(PadsWith(pad), llm)  # type: ignore[arg-type]
    encoder = GivenAudio(None, None, llm.embed)  # type: ignore[arg-type]
    placeholder = batch.prefix.new_tensor([AUDIO_PLACEHOLDER])
    prompt = torch.cat((batch.prefix, placeholder, batch.suffix[:-1]))
    src_tokens = prompt.expand(len(batch.responses), -1)
    src_lengths = src_tokens.new_full((len(src_tokens),), len(prompt))
    inputs = [torch.cat((batch.suffix[-1:], response[:-1])) for response in batch.responses]
    prev_output_tokens = pad_sequence(inputs, batch_first=True, padding_value=pad)
    targets = torch.cat(batch.responses)

    def step() -> tuple[float, Tensor]:
        audio = batch.audio.detach().requires_grad_()
        encoder_out = encoder(src_tokens, src_lengths, audio, batch.audio_lengths)
        hidden = decoder.extract_features(prev_output_tokens, encoder_out)
        loss, _ = response_loss(hidden, llm.head, targets)
        loss.backward()
        return loss.item(), audio.grad

    return step


def matrix_products(llm: FrozenLlm, batch: Batch) -> Callable[[], None]:
    """The linear layers of a step alone, forward and backward to the inputs."""
    weights = [
        module.weight
        for name, module in llm.causal_lm.base_model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    responses = sum(map(len, batch.responses))
    positions = real_positions(batch) - PREFIX_TOKENS * len(batch.responses)
    make = {"device": batch.audio.device, "dtype": batch.audio.dtype}
    products = [(weight, positions) for weight in weights] + [(llm.head.weight, responses)]
    inputs = {
        (rows, width): torch.randn(rows, width, **make)
        for weight, rows in products
        for width in weight.shape
    }

    def run() -> None:
        for weight, rows in products:
            F.linear(inputs[rows, weight.size(1)], weight)
            inputs[rows, weight.size(0)] @ weight

    return run


def make_step(name: str, utterances: int, seed: int, args: argparse.Namespace) -> Step:
    """A step of ``transformers``, ``ours`` or ``ours_checkpointed`` on a random batch."""
    if name == "transformers":
        peer = make_llama(args.model, args.device, args.dtype)
        return transformers_step(peer, make_batch(utterances, seed, peer.config.hidden_size, args))
    llm = make_frozen_llm(args.model, args.device, args.dtype)
    if name == "ours_checkpointed":
        llm.checkpoint_activations()
    return our_step(llm, make_batch(utterances, seed, llm.width, args))


def measure(utterances: int, seed: int, args: argparse.Namespace) -> None:
    """Print a line of the table."""
    llm = make_frozen_llm(args.model, args.device, args.dtype)
    batch = make_batch(utterances, seed, llm.width, args)
    names = ("transformers", "ours", "ours_checkpointed")
    steps: dict[str, Callable[[], object]] = {
        name: make_step(name, utterances, seed, args) for name in names
    }
    steps["limit"] = matrix_products(llm, batch)
    seconds, results = side_by_side.in_turns(steps, args.repeats, args.device)
    memory = {name: side_by_side.peak_in_own_process(name, utterances, seed) for name in names}
    expected, got = results["transformers"][1], results["ours"][1]  # type: ignore[index]
    difference = float((got - expected).abs().max() / expected.abs().max())
    lengths = batch.audio_lengths.cpu() + torch.tensor([len(r) for r in batch.responses])
    longest = int(lengths.max()) + PREFIX_TOKENS + SUFFIX_TOKENS
    cells = [
        f"B{utterances} #{seed}",
        f"{longest * utterances / real_positions(batch):.2f}",
        *(f"{seconds[name]:.2f}" for name in names),
        f"{seconds['transformers'] / seconds['ours']:.2f}",
        f"{seconds['limit'] / seconds['ours']:.0%}",
        *(f"{memory[name]:.0f}" for name in names),
        f"{memory['transformers'] / memory['ours']:.1f}",
        f"{difference:.0e}",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the table."""
    parser = side_by_side.parser(__doc__ or "")
    parser.add_argument("--utterances", type=int, nargs="+", default=[4, 8], help="per batch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the batches")
    args = parser.parse_args()
    if args.memory_of:
        torch.set_num_threads(1)
        name, utterances, seed = args.memory_of
        make_step(name, 1, 0, args)()  # libraries allocate at their first call
        step = make_step(name, int(utterances), int(seed), args)
        print(side_by_side.peak_megabytes(step, args.device))
        return
    side_by_side.announce(args)
    print(
        "| batch | padded/real | transformers s | ours s | checkpointed s | ratio | limit "
        "| transformers MB | ours MB | checkpointed MB | ratio | gradients differ |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for utterances in args.utterances:
        for seed in args.seeds:
            measure(utterances, seed, args)


if __name__ == "__main__":
    main()
