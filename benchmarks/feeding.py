"""Whether data loading keeps up: what a worker does for an utterance, and what the encoder does.

    python benchmarks/feeding.py

Recordings of 15 s, as in MLS, through the product's own code: read and decode, filterbanks,
SpecAugment, and the same from `data_prep/cache_features.py`'s archives. Against it stands a
training step of the paper's 18-layer encoder. On a CPU that is CPU seconds against CPU seconds. For
a GPU there is arithmetic only: the operations that torch counts in the step, at a rate that you
believe your GPU reaches. Files lie in the system's cache: no disk is measured. The recordings are
coloured noise with pauses.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import side_by_side
import soundfile
import torch
from torch.utils.flop_counter import FlopCounterMode

from fairseq_audiochat.data.audio import SAMPLE_RATE, read_audio
from fairseq_audiochat.data.fbank import NUM_MEL_BINS, fbank, num_frames
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.spec_augment import SpecAugment
from fairseq_audiochat.data.speech_dataset import SpeechDataset
from fairseq_audiochat.models.conformer_ctc import ConformerConfig, build_encoder

CACHE = Path(__file__).parents[1] / "data_prep/cache_features.py"
SECONDS = 15
FORMATS = {"flac": {}, "opus": {"format": "OGG", "subtype": "OPUS"}, "wav": {}}
TERAFLOPS = [50, 100, 200, 400]
MASKS = SpecAugment(2, 27, 10, 100, 0.05, seed=1)


def make_recording(seed: int) -> np.ndarray:
    """Noise whose spectrum falls as that of speech, four syllables a second."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal(SECONDS * SAMPLE_RATE))
    hertz = np.fft.rfftfreq(SECONDS * SAMPLE_RATE, 1 / SAMPLE_RATE)
    coloured = np.fft.irfft(spectrum / (1 + (hertz / 500) ** 2))
    time = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    loudness = np.maximum(0.001, np.sin(2 * np.pi * 2 * time)) ** 2
    return 0.3 * loudness * coloured / np.abs(coloured).max()


def write_split(folder: Path, suffix: str, utterances: int) -> Path:
    """A manifest of recordings in a format."""
    rows = []
    for number in range(utterances):
        path = folder / f"{number}.{suffix}"
        soundfile.write(path, make_recording(number), SAMPLE_RATE, **FORMATS[suffix])
        frames = num_frames(SECONDS * SAMPLE_RATE)
        rows.append(Utterance(f"u{number}", path.name, frames, "yes", "s"))
    write_manifest(folder / f"{suffix}.tsv", rows)
    return folder / f"{suffix}.tsv"


def make_runs(folder: Path, utterances: int) -> dict[str, Callable[[], object]]:
    """What is measured, each for all utterances."""
    manifests = {suffix: write_split(folder, suffix, utterances) for suffix in FORMATS}
    command = [sys.executable, CACHE, manifests["flac"], folder / "cached", "--workers", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows = {suffix: list(Manifest(path)) for suffix, path in manifests.items()}
    waveforms = [read_audio(row.audio) for row in rows["flac"]]
    features = [fbank(waveform) for waveform in waveforms]
    cached = SpeechDataset(Manifest(folder / "cached/flac.tsv"), MASKS)
    whole = SpeechDataset(Manifest(manifests["flac"]), MASKS)
    return {
        "read and decode flac": lambda: [read_audio(row.audio) for row in rows["flac"]],
        "read and decode opus": lambda: [read_audio(row.audio) for row in rows["opus"]],
        "read and decode wav": lambda: [read_audio(row.audio) for row in rows["wav"]],
        "filterbanks": lambda: [fbank(waveform) for waveform in waveforms],
        "SpecAugment": lambda: [MASKS(one, 1, index) for index, one in enumerate(features)],
        "features from an archive": lambda: [read_features(row) for row in cached.manifest],
        "**all, from flac**": lambda: [whole.features(index) for index in range(utterances)],
        "**all, from an archive**": lambda: [cached.features(i) for i in range(utterances)],
    }


def make_step(utterances: int) -> Callable[[], object]:
    """A training step of the paper's encoder: forward and backward."""
    torch.manual_seed(0)
    encoder = build_encoder(ConformerConfig()).train()
    frames = num_frames(SECONDS * SAMPLE_RATE)
    batch = torch.randn(utterances, frames, NUM_MEL_BINS)

    def step() -> object:
        encoded, _ = encoder(batch, torch.full((utterances,), frames))
        return encoded.square().mean().backward()

    return step


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        runs = make_runs(Path(folder), args.utterances)
        seconds, _ = side_by_side.in_turns(runs, args.repeats)
    print(f"| for {SECONDS} s of speech | CPU ms | a second, per worker |\n|---|---|---|")
    each = {name: taken / args.utterances for name, taken in seconds.items()}
    for name, taken in each.items():
        print(f"| {name} | {1_000 * taken:.1f} | {1 / taken:.0f} |")
    step = make_step(2)
    with FlopCounterMode(display=False) as counter:
        step()
    taken = side_by_side.in_turns({"step": step}, 1)[0]["step"] / 2
    print(f"| training step, 18 layers | {1_000 * taken:.0f} | {1 / taken:.2f} |")
    work = counter.get_total_flops() / 2
    print(f"\n{work / 1e9:.0f} billion operations for {SECONDS} s\n")
    print("| GPU does, TFLOP/s | takes, utterances/s | workers, flac | workers, archive |")
    print("|---|---|---|---|")
    for rate in TERAFLOPS:
        wanted = 1e12 * rate / work
        workers = [wanted * each[f"**all, from {name}**"] for name in ("flac", "an archive")]
        print(f"| {rate} | {wanted:.0f} | {workers[0]:.1f} | {workers[1]:.1f} |")


if __name__ == "__main__":
    main()
