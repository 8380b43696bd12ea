"""Draws a run: its training curves, and what the audio embeddings of an utterance resemble.

    python examples/mini/pictures.py examples/mini/output --llm examples/mini/llm

Writes ``training.png`` and ``alignment.png`` (the paper's Figure 3). Judges nothing.
"""

import argparse
import logging
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from logs import Curve, curve
from matplotlib.axes import Axes

from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.padding import pad_features

_STYLE = {
    "figure.dpi": 110,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "legend.frameon": False,
}
_BLUE, _ORANGE, _GREY = "#2a6fbb", "#d9772b", "#9aa5b1"
_SECONDS_PER_FRAME = 0.08
_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's mark


def main() -> None:
    """Draw both."""
    args = _parser().parse_args()
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # fairseq turns debugging on
    plt.rcParams.update(_STYLE)
    draw_training(args.output / "logs", args.output / "training.png")
    draw_alignment(args.output, args.llm, args.utterance)


def draw_training(logs: Path, path: Path) -> None:
    """CTC and its continuation on the left, distillation on the right; dev is unseen speech."""
    ctc, longer, chat = (
        (logs / f"{name}.json").read_text() for name in ("ctc", "ctc_longer", "chat")
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained")
    pretrained = curve(ctc, "dev_wer")
    goes_on = curve(longer, "dev_wer")
    start = pretrained.updates[-1]
    continued = [start, *(start + update for update in goes_on.updates)]
    left.plot(*pretrained, "-o", color=_BLUE, markersize=3, label="pre-training")
    values = [pretrained.values[-1], *goes_on.values]
    left.plot(continued, values, "-o", color=_GREY, markersize=3, label="equal-compute control")
    _label(left, "CTC: word error rate on dev", "updates", "%")
    left.set_ylim(0, 105)
    losses, dev = curve(chat, "loss"), curve(chat, "dev_loss")
    right.plot(*_perplexities(losses), color=_ORANGE, alpha=0.45, label="train")
    right.plot(*_perplexities(dev), "-o", color=_ORANGE, markersize=3, label="dev")
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


def draw_alignment(output: Path, llm: Path, index: int) -> None:
    """Cosines of an utterance's audio embeddings and its transcript's token embeddings."""
    utterance = Manifest(output / "data/test.tsv")[index]
    cosines, pieces = similarity(output / "checkpoints/chat/checkpoint_best.pt", llm, utterance)
    seconds = cosines.size(1) * _SECONDS_PER_FRAME
    figure, axes = plt.subplots(figsize=(7, 0.24 * len(pieces) + 1.4), layout="constrained")
    limit = float(cosines.abs().max())
    image = axes.imshow(
        cosines,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=(0, seconds, len(pieces) - 0.5, -0.5),
        interpolation="nearest",
    )
    axes.set_yticks(range(len(pieces)), [piece.replace(_WORD_START, "·") for piece in pieces])
    axes.tick_params(axis="y", length=0)
    _label(axes, f"“{utterance.text}” ({utterance.speaker})", "seconds of audio", "text tokens")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label="cosine", fraction=0.04, pad=0.02)
    figure.savefig(output / "alignment.png")


@torch.inference_mode()
def similarity(checkpoint: Path, llm: Path, utterance: Utterance) -> tuple[torch.Tensor, list[str]]:
    """Cosines ``(tokens, A)``, and the pieces of the tokens."""
    overrides = {"llm": str(llm), "prompt": "audio"}
    (model,), _, task = load_model_ensemble_and_task([str(checkpoint)], overrides)
    encoder = model.eval().encoder
    audio, _ = encoder.embed_audio(*pad_features([read_features(utterance)]))
    ids = task.template.encode(utterance.text)
    text = encoder.embed_tokens(torch.tensor(ids))
    pieces = task.template.pieces()
    cosines = F.normalize(text, dim=-1) @ F.normalize(audio[0], dim=-1).T
    return cosines, [pieces[token] for token in ids]


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
    add = parser.add_argument
    add("output", type=Path, help="the run's folder")
    add("--llm", type=Path, required=True, help="folder of the chat LLM")
    add("--utterance", type=int, default=0, help="row of the test split to draw (default: 0)")
    return parser


if __name__ == "__main__":
    main()
