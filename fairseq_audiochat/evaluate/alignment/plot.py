"""How alignment grows with training: each measure against updates, with its chance level."""

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from fairseq_audiochat.evaluate.alignment.table import TITLES
from fairseq_audiochat.evaluate.figure import PALETTE, pyplot

_PANEL_INCHES = (3.0, 2.6)
_COLOURS = PALETTE[1:]  # the first is the reference text's
_CHANCE = "another utterance's audio"

Arms = Mapping[str, Mapping[str, Any]]
Points = Mapping[int, Mapping[str, Any]]


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw a row of panels for each test set.

    Args:
        results: As `table.results` gives them.
        path: The PNG file.
    """
    plt = pyplot()
    width, height = _PANEL_INCHES
    figure, axes = plt.subplots(
        len(results),
        len(TITLES),
        figsize=(width * len(TITLES), height * len(results) + 0.4),
        squeeze=False,
        layout="constrained",
    )
    for row, (test_set, found) in zip(axes, results.items()):
        for panel, (name, title) in zip(row, TITLES.items()):
            _draw_panel(panel, name, found["arms"])
            panel.set_title(title.format(k=found["nearest"]), parse_math=False)
        row[0].set_ylabel(test_set, parse_math=False)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    figure.savefig(path)
    plt.close(figure)


def _draw_panel(axes: Any, measure: str, arms: Arms) -> None:
    """A line for each training, and a dashed one for its chance level."""
    trainings = list(dict.fromkeys(arm["training"] for arm in arms.values()))
    for place, training in enumerate(trainings):
        own = {name: arm for name, arm in arms.items() if arm["training"] == training}
        points = {arm["updates"]: arm["measures"][measure] for arm in own.values()}
        colour = _COLOURS[place % len(_COLOURS)]
        _draw_line(axes, points, "value", color=colour, marker="o", label=_name(list(own)))
        _draw_line(axes, points, "chance", color=colour, marker=".", linestyle="--", alpha=0.6)
        for updates, found in points.items():
            if found["value_interval"] is not None:
                axes.vlines(updates, *found["value_interval"], color=colour, alpha=0.6)
    axes.plot([], [], "--", color="black", alpha=0.6, label=_CHANCE)
    axes.set_xlabel("updates")
    axes.grid(alpha=0.25)


def _draw_line(axes: Any, points: Points, which: str, **style: Any) -> None:
    """A line through what was measured: in a test set of single words there is no order."""
    known = {updates: found[which] for updates, found in points.items()}
    known = {updates: value for updates, value in known.items() if value is not None}
    axes.plot(list(known), list(known.values()), markersize=4, **style)


def _name(arms: list[str]) -> str:
    """What the names of a training's checkpoints begin with."""
    same = takewhile(lambda characters: len(set(characters)) == 1, zip(*arms))
    return "".join(characters[0] for characters in same).strip(" _") or arms[0]
