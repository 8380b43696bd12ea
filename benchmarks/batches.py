"""Padding in batches: what is computed for each position that is there, ours against others.

    python benchmarks/batches.py
    python benchmarks/batches.py --utterances 1000000

A manifest of random lengths as in Multilingual LibriSpeech: 10 to 20 s, few shorter (the corpus
was cut so), 2.8 words a second, responses of up to four times the transcript's tokens. Batches of
`--max-tokens` frames, in fairseq's shuffled order, come from the product's own dataset; others make
theirs of the same utterances and of as many frames on average. Nothing is timed.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fairseq.data.iterators import EpochBatchIterator
from transformers.trainer_pt_utils import get_length_grouped_indices

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.speech_dataset import SpeechDataset

TEMPLATE_TOKENS = 21
FRAMES_PER_POSITION = 8
Lengths = npt.NDArray[np.int64]
Batches = Sequence[Sequence[int]]


def make_lengths(utterances: int, seed: int) -> tuple[Lengths, Lengths]:
    """10 ms frames and response tokens of each utterance."""
    generator = np.random.default_rng(seed)
    seconds = 10 + 10 * generator.beta(1.6, 1.6, utterances)
    tokens = 2.8 * 1.3 * seconds  # of the transcript
    responses = np.minimum(generator.lognormal(np.log(110), 0.6, utterances), 4 * tokens)
    return (100 * seconds).astype(np.int64), np.maximum(responses, 5).astype(np.int64)


def our_batches(frames: Lengths, max_tokens: int, folder: Path) -> Batches:
    """Those of an epoch, as fairseq's trainer gets them."""
    rows = [Utterance(f"u{i}", "u.flac", int(n), "a", "s") for i, n in enumerate(frames)]
    write_manifest(folder / "train.tsv", rows)
    dataset = SpeechDataset(Manifest(folder / "train.tsv"))
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=max_tokens)
    iterator = EpochBatchIterator(dataset, lambda items: items, batches, seed=1)
    iterator.next_epoch_itr(shuffle=True)
    shuffled: Batches = iterator.frozen_batches
    return shuffled


def in_groups(order: Sequence[int], size: int) -> Batches:
    """Neighbours in an order, a fixed number each."""
    return [order[start : start + size] for start in range(0, len(order), size)]


def padding(batches: Batches, lengths: Lengths) -> float:
    """Padded over real positions."""
    padded = sum(int(lengths[list(batch)].max()) * len(batch) for batch in batches)
    return padded / int(lengths.sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=100_000)
    parser.add_argument("--max-tokens", type=int, default=48_000, help="10 ms frames per batch")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    frames, responses = make_lengths(args.utterances, args.seed)
    positions = TEMPLATE_TOKENS + -(-frames // FRAMES_PER_POSITION) + responses
    with tempfile.TemporaryDirectory() as folder:
        ours = our_batches(frames, args.max_tokens, Path(folder))
    size = round(args.utterances / len(ours))
    shuffled = np.random.default_rng(args.seed).permutation(args.utterances).tolist()
    grouped = get_length_grouped_indices(frames.tolist(), size)
    others = {
        "random": in_groups(shuffled, size),
        "transformers group_by_length": in_groups(grouped, size),
    }
    print(f"{args.utterances} utterances, {size} per batch on average, seed {args.seed}\n")
    print("| batches | encoder padded/real | LLM padded/real |\n|---|---|---|")
    for name, batches in others.items():
        print(f"| {name} | {padding(batches, frames):.3f} | {padding(batches, positions):.3f} |")
    print(f"| ours | {padding(ours, frames):.3f} | 1.000: packed, nothing is padded |")
    costs = np.array([positions[list(batch)].sum() for batch in ours])
    print(f"\nLLM positions per batch of ours: {costs.mean():.0f}, at most {costs.max()}")


if __name__ == "__main__":
    main()
