"""Draws the training curves of a run.

    python examples/mini/pictures.py examples/mini/output

Writes ``training.png``; the other pictures are those of the evaluation. Judges nothing.
"""

import argparse
import logging
from pathlib import Path

import torch
from logs import Curve, curve
from matplotlib.axes import Axes

from fairseq_audiochat.evaluate.figure import BLUE, GREY, ORANGE, pyplot


def main() -> None:
    """Draw them."""
    args = _parser().parse_args()
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # fairseq turns debugging on
    draw_training(args.output / "logs", args.output / "training.png")


def draw_training(logs: Path, path: Path) -> None:
    """CTC and its continuation on the left, distillation on the right; dev is unseen speech."""
    ctc, longer, chat = (
        (logs / f"{name}.json").read_text() for name in ("ctc", "ctc_longer", "chat")
    )
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(8.4, 3.2), layout="constrained")
    pretrained = curve(ctc, "dev_wer")
    goes_on = curve(longer, "dev_wer")
    start = pretrained.updates[-1]
    continued = [start, *(start + update for update in goes_on.updates)]
    left.plot(*pretrained, "-o", color=BLUE, markersize=3, label="pre-training")
    values = [pretrained.values[-1], *goes_on.values]
    left.plot(continued, values, "-o", color=GREY, markersize=3, label="equal-compute control")
    _label(left, "CTC: word error rate on dev", "updates", "%")
    left.set_ylim(0, 105)
    losses, dev = curve(chat, "loss"), curve(chat, "dev_loss")
    right.plot(*_perplexities(losses), color=ORANGE, alpha=0.45, label="train")
    right.plot(*_perplexities(dev), "-o", color=ORANGE, markersize=3, label="dev")
    _label(right, "Distillation: perplexity of the LLM's responses", "updates", "")
    right.set_yscale("log")
    ticks = [1, 1.5, 2, 3, 5, 10, 20, 50]
    right.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    right.minorticks_off()
    right.set_ylim(bottom=1)
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.25)
    figure.savefig(path)


def _perplexities(losses: Curve) -> Curve:
    return Curve(losses.updates, torch.tensor(losses.values).exp().tolist())


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="the run's folder")
    return parser


if __name__ == "__main__":
    main()
