"""How the pictures of the package look, and the library that draws them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
BLUE, ORANGE, GREEN, GREY = "#2a6fbb", "#d9772b", "#4c956c", "#9aa5b1"
PALETTE = (GREY, ORANGE, BLUE, GREEN, "#8e5ea2", "#c0392b", "#17a2b8", "#7f6a3f")
"""For arms, in their order; the reference text comes first."""

_INCHES_PER_COLUMN = 5.6
_TICKS = (1, 2, 3, 5)
_STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "legend.frameon": False,
}


def pyplot() -> Any:
    """``matplotlib.pyplot``, which draws into files here.

    Raises:
        ModuleNotFoundError: If the extra is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Pictures need matplotlib, which is not installed; pip install "
            "'fairseq-audiochat[evaluate]'."
        ) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot

    matplotlib.pyplot.rcParams.update(_STYLE)
    return matplotlib.pyplot


def draw_columns(
    columns: Sequence[Sequence[tuple[str, T]]],
    heights: Sequence[float],
    draw_panel: Callable[[Any, str, T], None],
    path: Path,
) -> None:
    """Draw columns of panels under one legend, that of the first panel, into a PNG file.

    Args:
        columns: Each panel's title and what it shows; a shorter column ends earlier.
        heights: Of the rows, in inches.
        draw_panel: Draws into axes, with a title, what a panel shows.
        path: The file.
    """
    plt = pyplot()
    figure, axes = plt.subplots(
        len(heights),
        len(columns),
        figsize=(_INCHES_PER_COLUMN * len(columns), sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for place, column in enumerate(columns):
        for row in range(len(heights)):
            if row < len(column):
                draw_panel(axes[row][place], *column[row])
            else:
                axes[row][place].set_axis_off()
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    figure.savefig(path)
    plt.close(figure)


def plain_log_axis(axis: Any) -> None:
    """A logarithmic axis whose ticks read 1, 2, 3, 5, 10, 20 and so on."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    axis.set_major_locator(LogLocator(subs=_TICKS))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
