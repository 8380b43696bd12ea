"""How our costs grow, one plot each; nothing here has a peer.

    python benchmarks/growth.py decoding    # a step of the search by the prompt's length
    python benchmarks/growth.py training    # a training step by what the batch holds
    python benchmarks/growth.py opening     # opening a split by its utterances
    python benchmarks/growth.py encoder     # the encoder's memory by minutes of speech

Writes benchmarks/figures/NAME.png and prints the same numbers, with the straight line through
them.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import decoding
import encoder
import matplotlib as mpl
import side_by_side
import torch
import training

mpl.use("agg")
import matplotlib.pyplot as plt
from random_llm import make_frozen_llm

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, ResponseHeader
from fairseq_audiochat.data.responses import Responses

FIGURES = Path(__file__).with_name("figures")
PROMPTS = [60, 125, 250, 500, 1_000]
BATCHES = [1, 2, 4, 8, 12]
UTTERANCES = [1_000, 10_000, 100_000, 1_000_000]
Points = dict[float, float]


def decoding_steps(args: argparse.Namespace) -> Points:
    """Milliseconds of a step of beam 10 behind a prompt: long searches less short ones."""
    points: Points = {}
    for positions in PROMPTS:
        runs = {}
        for tokens in (16, 80):
            options = argparse.Namespace(**{**vars(args), "beams": 10, "tokens": tokens})
            search, prompts = decoding.make_ours(options), decoding.make_prompts(1, positions, args)
            runs[str(tokens)] = lambda search=search, prompts=prompts: search(prompts)
        with torch.no_grad():
            seconds, _ = side_by_side.in_turns(runs, args.repeats)
        points[positions] = 1_000 * (seconds["80"] - seconds["16"]) / 64
    return points


def training_steps(args: argparse.Namespace) -> Points:
    """Seconds of a training step by the batch's positions, templates included."""
    llm = make_frozen_llm(args.model)
    points: Points = {}
    for utterances in BATCHES:
        batch = training.make_batch(utterances, 1, llm.width, args)
        seconds, _ = side_by_side.in_turns({"ours": training.our_step(llm, batch)}, args.repeats)
        points[training.real_positions(batch)] = seconds["ours"]
    return points


def openings(args: argparse.Namespace) -> Points:
    """Milliseconds to open a split's manifest and responses that were indexed before."""
    points: Points = {}
    for utterances in UTTERANCES:
        with tempfile.TemporaryDirectory() as folder:
            open_split = write_split(Path(folder), utterances)
            open_split()  # indexes
            seconds = []
            for _ in range(args.repeats):
                start = time.perf_counter()
                open_split()
                seconds.append(time.perf_counter() - start)
            points[utterances] = 1_000 * statistics.median(seconds)
    return points


def write_split(folder: Path, utterances: int) -> Callable[[], object]:
    """A split of so many utterances; gives what opens it and reads one."""
    path, records = folder / "train.tsv", folder / "train.responses.jsonl"
    rows = (
        Utterance(f"utterance-{i}", f"{i}.flac", 1_500, "a b c", "s") for i in range(utterances)
    )
    write_manifest(path, rows)
    with open(records, "w", encoding="utf-8") as file:
        file.write(ResponseHeader({}, {}).to_json() + "\n")
        record = json.loads(Response("", [1, 2, 3], [4, 5, 6], "d e f", "eos").to_json())
        for index in range(utterances):
            file.write(json.dumps({**record, "id": f"utterance-{index}"}) + "\n")

    def open_split() -> object:
        manifest = Manifest(path)
        return manifest[utterances // 2], Responses(records, manifest)[utterances // 2]

    return open_split


def encoder_memory(args: argparse.Namespace) -> Points:
    """Megabytes that two layers of the paper's size need for a recording, without gradients."""
    return {
        minutes: encoder.in_own_process("--encoder-memory", "inference", str(minutes))
        for minutes in encoder.MINUTES
    }


CURVES: dict[str, tuple[Callable[[argparse.Namespace], Points], str, str]] = {
    "decoding": (decoding_steps, "prompt positions", "ms per step of beam 10"),
    "training": (training_steps, "positions in the batch", "s per training step"),
    "opening": (openings, "utterances", "ms to open a split"),
    "encoder": (encoder_memory, "minutes of speech", "MB at the peak"),
}


def draw(name: str, points: Points) -> Path:
    """The points and the line through them."""
    _, abscissa, ordinate = CURVES[name]
    figure, axes = plt.subplots(figsize=(4.5, 3), layout="constrained")
    slope, start = statistics.linear_regression(list(points), list(points.values()))
    ends = [0, max(points)]
    axes.plot(ends, [start + slope * x for x in ends], color="#9aa5b1")
    axes.plot(list(points), list(points.values()), "o", color="#2a6fbb")
    axes.set(xlabel=abscissa, ylabel=ordinate, ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{name}.png"
    figure.savefig(path, dpi=110)
    return path


def main() -> None:
    """Measure a curve, print it and draw it."""
    parser = side_by_side.parser(__doc__ or "")
    parser.add_argument("curve", choices=CURVES)
    args = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # fairseq turns debugging on
    side_by_side.announce(args)
    measure, abscissa, ordinate = CURVES[args.curve]
    points = measure(args)
    print(f"| {abscissa} | {ordinate} | per 1,000 |\n|---|---|---|")
    for x, y in points.items():
        print(f"| {x:,g} | {y:.4g} | {1_000 * y / x:.4g} |")
    slope, start = statistics.linear_regression(list(points), list(points.values()))
    print(f"\nline: {start:.4g} + {1_000 * slope:.4g} per 1,000; ", end="")
    print(f"last / first: {points[max(points)] / points[min(points)]:.2f}")
    print(draw(args.curve, points))


if __name__ == "__main__":
    main()
