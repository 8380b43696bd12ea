"""Right answers as a picture: of each arm, for all questions and by a cascade's word errors."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq_audiochat.evaluate.figure import PALETTE, draw_columns

_PANEL_INCHES = 2.8
_WIDTH = 0.8  # of all bars of a group
_LABEL_CHARACTERS = 10  # of a line; six groups fit beside each other

Groups = Mapping[str, Mapping[str, Any]]
"""By the group's name, what was found for each arm."""


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw a column of panels for each test set.

    Args:
        results: As `table.results` gives them.
        path: The PNG file.
    """
    columns = [_panels(name, found) for name, found in results.items()]
    heights = [_PANEL_INCHES] * max(map(len, columns))
    draw_columns(columns, heights, _draw_panel, path)


def _panels(name: str, found: Mapping[str, Any]) -> list[tuple[str, Groups]]:
    """A title and the arms by group, for each panel of a test set."""
    groups = [
        (
            f"by {title}",
            {_label(group, part["questions"]): part["arms"] for group, part in parts.items()},
        )
        for title, parts in found["by"].items()
    ]
    return [(name, {_label("all", found["questions"]): found["arms"]}), *groups]


def _label(group: str, questions: int) -> str:
    """Narrow enough to stand beside others."""
    return "\n".join([*textwrap.wrap(group, _LABEL_CHARACTERS), f"({questions})"])


def _draw_panel(axes: Any, title: str, groups: Groups) -> None:
    """Bars side by side in each group, with their intervals."""
    arms = list(next(iter(groups.values())))
    width = _WIDTH / len(arms)
    for place, name in enumerate(arms):
        at = [group + (place - (len(arms) - 1) / 2) * width for group in range(len(groups))]
        shares = [group[name]["occurs"] for group in groups.values()]
        values = [share["value"] for share in shares]
        lows, highs = zip(*(share["interval"] for share in shares))
        # Wilson's interval of 0 and of 100 % ends there, but for rounding.
        below = [max(0.0, value - low) for value, low in zip(values, lows)]
        above = [max(0.0, high - value) for value, high in zip(values, highs)]
        colour = PALETTE[place % len(PALETTE)]
        axes.bar(at, values, width * 0.9, color=colour, label=name)
        axes.errorbar(at, values, (below, above), fmt="none", ecolor="black", elinewidth=0.8)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylim(0, 100)
    axes.set_title(title)
    axes.set_ylabel("an alias occurs, %")
