"""Table 2 as a picture: the perplexity of each arm with its interval, for all and for groups."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq_audiochat.evaluate.figure import PALETTE, draw_columns, plain_log_axis

_INCHES_PER_MARK = 0.13
_INCHES_AROUND = 1.0

Groups = Mapping[str, Mapping[str, Any]]
"""By the group's name, what was found for each arm."""


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw a column of panels for each test set: all of it, then each break-down.

    Args:
        results: As `table.results` gives them.
        path: The PNG file.
    """
    columns = [_panels(name, found) for name, found in results.items()]
    heights = [
        max(_inches(column[row][1]) for column in columns if row < len(column))
        for row in range(max(map(len, columns)))
    ]
    draw_columns(columns, heights, _draw_panel, path)


def _panels(name: str, found: Mapping[str, Any]) -> list[tuple[str, Groups]]:
    """A title and the arms by group, for each panel of a test set."""
    whole = (name, {f"all ({found['utterances']})": found["arms"]})
    groups = [
        (
            f"by {title}",
            {f"{group} ({part['utterances']})": part["arms"] for group, part in parts.items()},
        )
        for title, parts in found["by"].items()
    ]
    return [whole, *groups]


def _inches(groups: Groups) -> float:
    marks = sum(len(arms) + 1 for arms in groups.values())
    return _INCHES_AROUND + _INCHES_PER_MARK * marks


def _draw_panel(axes: Any, title: str, groups: Groups) -> None:
    """A row per group; within it the arms one below the other."""
    arms = list(next(iter(groups.values())))
    for place, name in enumerate(arms):
        rows = [row + (place - (len(arms) - 1) / 2) / (len(arms) + 1) for row in range(len(groups))]
        values = [group[name]["perplexity"] for group in groups.values()]
        lows, highs = zip(*(group[name]["interval"] for group in groups.values()))
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(values, rows, "o", color=colour, markersize=4, label=name)
        axes.hlines(rows, lows, highs, color=colour, alpha=0.6)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    plain_log_axis(axes.xaxis)
    axes.grid(axis="x", alpha=0.25)
    axes.set_title(title)
    axes.set_xlabel("perplexity of the responses")
