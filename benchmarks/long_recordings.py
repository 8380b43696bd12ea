"""Recordings of 1 to 30 minutes: the encoder whole and in chunks, ours against ours.

    python benchmarks/long_recordings.py    # memory and time, random weights
    python benchmarks/long_recordings.py --checkpoint checkpoint_best.pt --manifest data/test.tsv

The first runs the front end and two layers of the paper's size on random frames. Peak memory is
what a fresh process needs above the weights. The second joins a test set's recordings to long ones
and compares what a CTC checkpoint recognises whole and in chunks: word errors, and the share of
frames with the same best class. Time is the process's CPU time with one thread. Knows no LLM.
"""

import argparse
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import encoder
import numpy as np
import side_by_side
import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from torch import Tensor

import fairseq_audiochat  # noqa: F401  registers the task
from fairseq_audiochat.data.audio import SAMPLE_RATE, read_audio
from fairseq_audiochat.data.fbank import fbank
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.metrics.word_errors import word_errors
from fairseq_audiochat.modules.chunks import Chunks
from fairseq_audiochat.modules.conformer import ConformerEncoder
from fairseq_audiochat.modules.ctc_decoding import greedy_decode
from fairseq_audiochat.tasks._chunking import chunks_of_seconds

LAYERS = 2
Recording = tuple[str, Tensor]  # what was said, and features (T, 80)


def make_encoder(chunks: Chunks | None) -> ConformerEncoder:
    """Random weights, without dropout."""
    torch.manual_seed(0)
    made = ConformerEncoder(
        80,
        256,
        LAYERS,
        encoder.WIDTH,
        encoder.FFN_WIDTH,
        encoder.HEADS,
        encoder.KERNEL_SIZE,
        encoder.DROPOUT,
    ).eval()
    made.encode_in_chunks(chunks)
    return made


@torch.no_grad()
def encode(model: ConformerEncoder, frames: int) -> None:
    """Encode silence of so many 10 ms frames."""
    model(torch.zeros(1, frames, 80), torch.tensor([frames]))


def print_cost(minutes: float, chunks: Chunks | None) -> None:
    """In a process of its own: CPU seconds, and the peak in megabytes."""
    model = make_encoder(chunks)
    encode(model, 80)
    start = time.process_time()
    peak = side_by_side.peak_megabytes(
        lambda: encode(model, round(minutes * encoder.FRAMES_PER_MINUTE))
    )
    print(time.process_time() - start, peak)


def print_growth(minutes_asked: list[float], args: argparse.Namespace) -> None:
    """Memory and time by duration."""
    ways = ((), (args.chunk_seconds[0], args.chunk_overlap_seconds))
    print("| minutes | whole MB | chunks MB | whole CPU s | chunks CPU s | ratio |")
    print("|---|---|---|---|---|---|")
    for minutes in minutes_asked:
        seconds, megabytes = zip(
            *(
                side_by_side.numbers_printed_by(
                    [__file__, "--cost-of", str(minutes), *map(str, way)]
                )
                for way in ways
            )
        )
        print(
            f"| {minutes:g} | {megabytes[0]:.0f} | {megabytes[1]:.0f} | {seconds[0]:.1f} "
            f"| {seconds[1]:.1f} | {seconds[0] / seconds[1]:.2f} |",
            flush=True,
        )


def joined(manifest: Manifest, minutes: float) -> Iterator[Recording]:
    """A test set's recordings one behind the other, in pieces of at least so many minutes.

    What is left at the end is a piece if it has half of that; 0 minutes leave each alone.
    """
    texts: list[str] = []
    samples: list[np.ndarray] = []
    wanted, total = minutes * 60 * SAMPLE_RATE, 0
    for utterance in map(manifest.__getitem__, range(len(manifest))):
        texts.append(utterance.text)
        samples.append(read_audio(utterance.audio))
        total += len(samples[-1])
        if total >= wanted:
            yield " ".join(texts), torch.from_numpy(fbank(np.concatenate(samples)))
            texts, samples, total = [], [], 0
    if samples and 2 * total >= wanted:
        yield " ".join(texts), torch.from_numpy(fbank(np.concatenate(samples)))


def print_recognition(minutes_asked: list[float], args: argparse.Namespace) -> None:
    """WER of a checkpoint by duration, whole and in chunks of several lengths."""
    (model,), _, task = load_model_ensemble_and_task([str(args.checkpoint)])
    model.eval()
    manifest = Manifest(args.manifest)
    print("| recordings | chunks s | WER % | same class as whole % | CPU s |")
    print("|---|---|---|---|---|")
    for minutes in [0.0, *minutes_asked]:
        recordings = list(joined(manifest, minutes))
        name = (
            f"{len(recordings)} of {minutes:g} min"
            if minutes
            else f"{len(recordings)}, as they are"
        )
        whole: list[Tensor] = []
        for seconds in [None, *(args.chunk_seconds if minutes else [])]:
            model.encode_in_chunks(chunks_of_seconds(seconds, args.chunk_overlap_seconds))
            start = time.process_time()
            with torch.no_grad():
                logits = [model(x[None], torch.tensor([len(x)]))[0][0] for _, x in recordings]
            spent = time.process_time() - start
            paths = [
                greedy_decode(x[None], torch.tensor([len(x)]), x.size(1) - 1)[0] for x in logits
            ]
            errors = word_errors([text for text, _ in recordings], task.decode_all(paths))
            best = [x.argmax(1) for x in logits]
            whole = whole or best
            same = torch.cat([a == b for a, b in zip(best, whole)]).double().mean()
            print(
                f"| {name} | {'whole' if seconds is None else f'{seconds:g}'} "
                f"| {100 * errors.errors / errors.words:.1f} | {100 * same:.1f} | {spent:.1f} |",
                flush=True,
            )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, nargs="+", help="durations (1 to 30; with --checkpoint 0.5, 3, 9)"
    )
    parser.add_argument(
        "--chunk-seconds", type=float, nargs="+", help="(30; with --checkpoint 6, 10, 20)"
    )
    parser.add_argument("--chunk-overlap-seconds", type=float, default=4.0)
    parser.add_argument("--checkpoint", type=Path, help="of audio_ctc")
    parser.add_argument("--manifest", type=Path, help="of short recordings")
    parser.add_argument("--cost-of", type=float, nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    if args.cost_of:
        minutes, *way = args.cost_of
        return print_cost(minutes, chunks_of_seconds(*way) if way else None)
    overlap = f"overlap {args.chunk_overlap_seconds:g} s"
    print(f"torch {torch.__version__}, fp32, 1 thread, {overlap}\n", flush=True)
    if args.checkpoint:
        args.chunk_seconds = args.chunk_seconds or [6.0, 10.0, 20.0]
        return print_recognition(args.minutes or [0.5, 3.0, 9.0], args)
    args.chunk_seconds = args.chunk_seconds or [30.0]
    return print_growth(args.minutes or [float(m) for m in encoder.MINUTES], args)


if __name__ == "__main__":
    main()
