"""Robustness as a picture: perplexity over the SNR, and under every other distortion."""

from collections.abc import Mapping
from itertools import compress
from pathlib import Path
from typing import Any

from fairseq_audiochat.data.distortion.specification import CLEAN
from fairseq_audiochat.evaluate.figure import PALETTE, plain_log_axis, pyplot
from fairseq_audiochat.evaluate.robustness.table import heard

_INCHES = (9.6, 3.6)  # a test set's row
_FEWEST_SNRS = 2  # of a line


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw two panels for each test set: noise, and the other distortions.

    Args:
        results: As `table.results` gives them.
        path: The PNG file.
    """
    plt = pyplot()
    width, height = _INCHES
    figure, axes = plt.subplots(
        len(results),
        2,
        figsize=(width, height * len(results)),
        squeeze=False,
        sharey="row",
        layout="constrained",
    )
    for (over_snr, others), (name, found) in zip(axes, results.items()):
        snrs = {name: snr for name, snr in found["snr_db"].items() if snr is not None}
        if len(set(snrs.values())) < _FEWEST_SNRS or len(set(snrs.values())) < len(snrs):
            snrs = {}  # no line, or noises of several kinds
        _draw_others(others, found, [name for name in found["distortions"] if name not in snrs])
        if snrs:
            _draw_snrs(over_snr, found, snrs)
        else:
            over_snr.set_axis_off()
            others.tick_params(
                axis="y", which="both", labelleft=True
            )  # shared with what is not there
        (over_snr if snrs else others).set_title(name)
        (over_snr if snrs else others).set_ylabel("perplexity of the responses")
    handles, labels = axes[0][1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    figure.savefig(path)
    plt.close(figure)


def _draw_snrs(axes: Any, found: Mapping[str, Any], snrs: Mapping[str, float]) -> None:
    """A line per arm; the clean recordings stand at the right end."""
    names = sorted(snrs, key=snrs.__getitem__)
    gap = (snrs[names[-1]] - snrs[names[0]]) / (len(names) - 1)
    places = [*(snrs[name] for name in names), snrs[names[-1]] + gap]
    _draw_arms(axes, found, [*names, CLEAN], places, "o-", spread=0.0)
    axes.set_xticks(places, [*(f"{snrs[name]:g}" for name in names), CLEAN])
    axes.set_xlabel("SNR, dB")
    axes.grid(alpha=0.25)


def _draw_others(axes: Any, found: Mapping[str, Any], names: list[str]) -> None:
    _draw_arms(axes, found, names, list(range(len(names))), "o", spread=0.6)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.grid(axis="y", alpha=0.25)


def _draw_arms(
    axes: Any,
    found: Mapping[str, Any],
    names: list[str],
    places: "list[float] | list[int]",
    marks: str,
    spread: float,
) -> None:
    """The arms that listen, beside one another, and a line for those that do not."""
    plain_log_axis(axes.yaxis)
    unheard, listening = list(found["unheard"]), list(heard(found))
    for place, arm in enumerate(listening):
        scored = [arm in found["distortions"][name] for name in names]
        made = [found["distortions"][name][arm] for name in compress(names, scored)]
        if not made:
            continue
        colour = PALETTE[(len(unheard) + place) % len(PALETTE)]
        aside = spread * ((place + 0.5) / len(listening) - 0.5)
        xs = [x + aside for x in compress(places, scored)]
        axes.plot(xs, [m["perplexity"] for m in made], marks, color=colour, markersize=4, label=arm)
        lows, highs = zip(*(m["interval"] for m in made))
        axes.vlines(xs, lows, highs, color=colour, alpha=0.6)
    for place, arm in enumerate(unheard):
        level = found["unheard"][arm]["perplexity"]
        axes.axhline(level, color=PALETTE[place], linewidth=1, linestyle="--", label=arm)
