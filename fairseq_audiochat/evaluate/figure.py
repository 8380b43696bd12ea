"""How the pictures of the package look, and the library that draws them."""

from typing import Any

BLUE, ORANGE, GREEN, GREY = "#2a6fbb", "#d9772b", "#4c956c", "#9aa5b1"
PALETTE = (GREY, ORANGE, BLUE, GREEN, "#8e5ea2", "#c0392b", "#17a2b8", "#7f6a3f")
"""For arms, in their order; the reference text comes first."""

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


def plain_log_axis(axis: Any) -> None:
    """A logarithmic axis whose ticks read 1, 2, 3, 5, 10, 20 and so on."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    axis.set_major_locator(LogLocator(subs=_TICKS))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
