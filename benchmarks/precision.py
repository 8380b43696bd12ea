"""Our training step and our search in bfloat16 against the same in float32, in one run.

    python benchmarks/precision.py    # on a processor with bfloat16 instructions

The same random Llama and the same inputs. What bfloat16 changes is shown too: the loss, and how
many hypotheses of the search are the same (random weights make near-ties that real ones do not).
"""

import argparse
from functools import partial

import decoding
import side_by_side
import torch
import training

DTYPES = ("float32", "bfloat16")


def in_dtype(args: argparse.Namespace, dtype: str) -> argparse.Namespace:
    """The same options with another dtype."""
    return argparse.Namespace(**{**vars(args), "dtype": dtype})


def measure_training(args: argparse.Namespace) -> None:
    """Print the ratio for a batch of 4."""
    steps = {
        dtype: training.make_step("ours", 4, args.seed, in_dtype(args, dtype)) for dtype in DTYPES
    }
    seconds, results = side_by_side.in_turns(steps, args.repeats, args.device)
    losses = ", ".join(f"{results[dtype][0]:.2f}" for dtype in DTYPES)
    show("training step, B4", seconds, f"loss {losses}")


@torch.no_grad()
def measure_decoding(utterances: int, positions: int, args: argparse.Namespace) -> None:
    """Print the ratio for one setting of the search."""
    runs = {}
    for dtype in DTYPES:
        options = in_dtype(args, dtype)
        prompts = decoding.make_prompts(utterances, positions, options)
        runs[dtype] = partial(decoding.make_ours(options), prompts)
    seconds, found = side_by_side.in_turns(runs, args.repeats, args.device)
    equal = sum(len(a & b) for a, b in zip(*(found[dtype] for dtype in DTYPES)))
    what = f"beam {args.beams}, B{utterances} P{positions}"
    show(what, seconds, f"{equal} of {utterances * args.beams} hypotheses equal")


def show(what: str, seconds: dict[str, float], outcome: str) -> None:
    """Print a line of the table."""
    full, half = (seconds[dtype] for dtype in DTYPES)
    print(f"| {what} | {full:.2f} | {half:.2f} | {full / half:.2f} | {outcome} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = side_by_side.parser(__doc__ or "")
    parser.add_argument("--seed", type=int, default=1, help="of the training batch")
    parser.set_defaults(beams=10, tokens=64)
    args = parser.parse_args()
    side_by_side.announce(args)
    print("| | float32 s | bfloat16 s | ratio | |\n|---|---|---|---|---|")
    measure_training(args)
    for setting in decoding.SETTINGS:
        measure_decoding(*setting, args)


if __name__ == "__main__":
    main()
