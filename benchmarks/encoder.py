"""One conformer layer in training: ours against fairseq's, torchaudio's and transformers'.

    python benchmarks/encoder.py             # the settings of RESULTS.md
    python benchmarks/encoder.py --growth    # peak memory for 1 to 30 minutes of speech

All have the paper's size and run forward and backward in turns on one padded batch, with
dropout. Time is the process's CPU time, with one thread. Peak memory is what a fresh process
needs above the weights and their gradients. The layers differ, so their outputs cannot be
compared; tests/modules compares ours with a plain one. Knows no audio: frames are random.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
import torchaudio
import transformers
from fairseq.modules.conformer_layer import ConformerEncoderLayer
from fairseq.modules.positional_encoding import RelPositionalEncoding
from side_by_side import peak_megabytes, printed_by
from torch import Tensor, nn
from transformers import ParakeetEncoderConfig
from transformers.models.parakeet.modeling_parakeet import (
    ParakeetEncoderBlock,
    ParakeetEncoderRelPositionalEncoding,
)

from fairseq_audiochat.modules.conformer import ConformerEncoder, ConformerLayer
from fairseq_audiochat.modules.mask import length_mask
from fairseq_audiochat.modules.packing import Packing
from fairseq_audiochat.modules.relative_attention import relative_positions

WIDTH, FFN_WIDTH, HEADS, KERNEL_SIZE, DROPOUT = 512, 2048, 8, 11, 0.1  # section 3.1
# MLS has 10 to 20 s, 125 to 250 frames of 80 ms; 8 x 250 are 1.5 times the sum.
LENGTHS = [250, 200, 180, 165, 150, 135, 128, 125]
MINUTES = [1, 2, 4, 8, 15, 30]
FRAMES_PER_MINUTE = 6_000  # of 10 ms
Run = Callable[[Tensor], Tensor]  # (B, T, E) -> (B, T, E)
Bind = Callable[[list[int]], Run]  # what an encoder works out once for its layers


def make_ours() -> tuple[nn.Module, Bind]:
    """Ours; packing and unpacking counts, although an encoder does it once for all layers."""
    layer = ConformerLayer(WIDTH, FFN_WIDTH, HEADS, KERNEL_SIZE, DROPOUT)

    def bind(lengths: list[int]) -> Run:
        packing = Packing(lengths, torch.device("cpu"))
        positions = relative_positions(packing.longest, WIDTH, like=layer.norm.weight)
        return lambda x: packing.unpack(layer(packing.pack(x), packing, positions), packing.longest)

    return layer, bind


def make_fairseq() -> tuple[nn.Module, Bind]:
    """Fairseq's, with relative positions."""
    layer = ConformerEncoderLayer(
        WIDTH,
        FFN_WIDTH,
        HEADS,
        DROPOUT,
        use_fp16=False,
        depthwise_conv_kernel_size=KERNEL_SIZE,
        attn_type="espnet",
        pos_enc_type="rel_pos",
    )

    def bind(lengths: list[int]) -> Run:
        padding = ~length_mask(torch.tensor(lengths), max(lengths))
        positions = RelPositionalEncoding(max(lengths), WIDTH)(torch.zeros(max(lengths), 1, WIDTH))
        return lambda x: layer(x.transpose(0, 1), padding, positions)[0].transpose(0, 1)

    return layer, bind


def make_torchaudio() -> tuple[nn.Module, Bind]:
    """Torchaudio's; it has no positions."""
    model = torchaudio.models.Conformer(WIDTH, HEADS, FFN_WIDTH, 1, KERNEL_SIZE, DROPOUT)
    return model, lambda lengths: lambda x: model(x, torch.tensor(lengths))[0]


def make_parakeet() -> tuple[nn.Module, Bind]:
    """Transformers' Parakeet; no dropout behind its modules, and BatchNorm as the two above."""
    config = ParakeetEncoderConfig(
        hidden_size=WIDTH,
        intermediate_size=FFN_WIDTH,
        num_attention_heads=HEADS,
        conv_kernel_size=KERNEL_SIZE,
        activation_dropout=DROPOUT,
        attention_dropout=DROPOUT,
    )
    config._attn_implementation = "sdpa"
    layer = ParakeetEncoderBlock(config, 0)

    def bind(lengths: list[int]) -> Run:
        mask = length_mask(torch.tensor(lengths), max(lengths))
        pairs = (mask.unsqueeze(1) & mask.unsqueeze(2)).unsqueeze(1)
        like = torch.zeros(len(lengths), max(lengths), WIDTH)
        positions = ParakeetEncoderRelPositionalEncoding(config)(like)
        return lambda x: layer(x, attention_mask=pairs, position_embeddings=positions)

    return layer, bind


MAKERS = {
    "fairseq": make_fairseq,
    "torchaudio": make_torchaudio,
    "Parakeet": make_parakeet,
    "ours": make_ours,
}


def make_batch(lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Random frames, zero where there is none, and a gradient of the same shape."""
    generator = torch.Generator().manual_seed(1)
    mask = length_mask(torch.tensor(lengths), max(lengths)).unsqueeze(2)
    frames, gradient = torch.randn(2, len(lengths), max(lengths), WIDTH, generator=generator) * mask
    return frames.requires_grad_(), gradient


def train(run: Run, frames: Tensor, gradient: Tensor) -> None:
    """Forward and backward; gradients of the frames too, as behind another layer."""
    frames.grad = None
    run(frames).backward(gradient)


@torch.no_grad()
def dependence_on_padding(name: str) -> float:
    """Largest change of an utterance's output by its batch, in output standard deviations."""
    torch.manual_seed(0)
    layer, bind = MAKERS[name]()
    layer.eval()
    frames, _ = make_batch(LENGTHS)
    together = bind(LENGTHS)(frames)
    changes = []
    for row, frame, length in zip(together, frames, LENGTHS):
        alone = bind([length])(frame[None, :length])[0]
        changes.append((row[:length] - alone).abs().max() / alone.std())
    return float(torch.stack(changes).max())


def print_table(repeats: int) -> None:
    """Run all in turns and print a line for each."""
    runs, seconds = {}, {name: [] for name in MAKERS}
    for name, make in MAKERS.items():
        layer, bind = make()
        layer.train()
        runs[name] = bind(LENGTHS)
    frames, gradient = make_batch(LENGTHS)
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.process_time()
            train(run, frames, gradient)
            if turn:  # libraries choose kernels at their first call
                seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    memory = {name: in_own_process("--memory-of", name) for name in MAKERS}
    print("| | CPU s | ours is faster | peak MB | ours needs less | change by padding |")
    print("|---|---|---|---|---|---|")
    for name in MAKERS:
        faster, less = medians[name] / medians["ours"], memory[name] / memory["ours"]
        change = dependence_on_padding(name)
        print(
            f"| {name} | {medians[name]:.3f} | {faster:.2f} "
            f"| {memory[name]:.0f} | {less:.2f} | {change:.0e} |"
        )


def in_own_process(*arguments: str) -> float:
    """What this file prints with these arguments, megabytes."""
    return printed_by([__file__, *arguments])


def print_peak(warm_up: Callable[[], object], work: Callable[[], object]) -> None:
    """By how many megabytes the work exceeds what the process holds after the warm-up."""
    warm_up()
    print(peak_megabytes(work))


def print_memory(name: str) -> None:
    """In a process of its own: the peak of one training step."""
    layer, bind = MAKERS[name]()
    layer.train()
    run, (frames, gradient) = bind(LENGTHS), make_batch(LENGTHS)
    small = bind([4, 3]), *make_batch([4, 3])
    print_peak(lambda: train(*small), lambda: train(run, frames, gradient))


def print_encoder_memory(minutes: int, training: bool) -> None:
    """In a process of its own: the peak of a two-layer encoder for one recording."""
    encoder = ConformerEncoder(80, 256, 2, WIDTH, FFN_WIDTH, HEADS, KERNEL_SIZE, DROPOUT)
    encoder.train(training)

    def encode(frames: int) -> None:
        with torch.set_grad_enabled(training):
            output, _ = encoder(torch.zeros(1, frames, 80), torch.tensor([frames]))
            if training:
                output.sum().backward()

    print_peak(lambda: encode(80), lambda: encode(minutes * FRAMES_PER_MINUTE))


def print_growth(training_minutes: int) -> None:
    """Peak memory by duration, and how far it is from a straight line."""
    print("| minutes | inference MB | training MB |")
    print("|---|---|---|")
    peaks: dict[str, list[float]] = {"inference": [], "training": []}
    for minutes in MINUTES:
        for mode, values in peaks.items():
            if mode == "inference" or minutes <= training_minutes:
                values.append(in_own_process("--encoder-memory", mode, str(minutes)))
        trained = f"{peaks['training'][-1]:.0f}" if minutes <= training_minutes else ""
        print(f"| {minutes} | {peaks['inference'][-1]:.0f} | {trained} |", flush=True)
    for mode, values in peaks.items():
        slope, start = statistics.linear_regression(MINUTES[: len(values)], values)
        offs = [abs(start + slope * m - value) for m, value in zip(MINUTES, values)]
        print(
            f"{mode}: {start:.0f} MB and {slope:.1f} MB per minute, at most {max(offs):.0f} MB off"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--growth", action="store_true", help="memory by duration instead")
    parser.add_argument("--training-minutes", type=int, default=8, help="longest with --growth")
    parser.add_argument("--memory-of", choices=MAKERS, help=argparse.SUPPRESS)
    parser.add_argument("--encoder-memory", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.memory_of:
        return print_memory(args.memory_of)
    if args.encoder_memory:
        mode, minutes = args.encoder_memory
        return print_encoder_memory(int(minutes), training=mode == "training")
    versions = f"torchaudio {torchaudio.__version__}, transformers {transformers.__version__}"
    print(f"torch {torch.__version__}, {versions}, fp32, 1 thread")
    print(
        f"{platform.processor() or platform.machine()}, width {WIDTH}, FFN {FFN_WIDTH}, "
        f"{HEADS} heads, kernel {KERNEL_SIZE}, dropout {DROPOUT}"
    )
    if args.growth:
        return print_growth(args.training_minutes)
    print(f"frames {LENGTHS}, {len(LENGTHS) * max(LENGTHS) / sum(LENGTHS):.2f} times with padding")
    return print_table(args.repeats)


if __name__ == "__main__":
    main()
