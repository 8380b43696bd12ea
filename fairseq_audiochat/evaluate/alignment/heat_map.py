"""Draws cosines of token and audio embeddings: tokens down, seconds across (the paper's Figure 3).

A long recording or transcript gives a larger picture up to a limit; beyond it, cells are pooled
and fewer tokens are named, and the axes say so. Knows neither models nor recordings.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fairseq_audiochat.evaluate.alignment.fonts import font_families, with_escapes
from fairseq_audiochat.evaluate.figure import pyplot

_INCHES_PER_SECOND = 0.4
_INCHES_PER_TOKEN = 0.24
_MIN_INCHES_PER_NAME = 0.15  # names below one another, 9 points high, do not touch
_MARGIN_INCHES = 1.4  # title and the axis below
_WIDTHS, _HEIGHTS = (7.0, 14.0), (1.0, 12.0)  # inches
_MAX_COLUMNS, _MAX_ROWS = 1_200, 1_000  # about what pixels there are
_TITLE_CHARACTERS_PER_INCH = 12
_MARKED_TOKENS = 60  # beyond these, dots would hide the cells

Cosines = npt.NDArray[np.float32]


class HeatMap(NamedTuple):
    """What is drawn of an utterance.

    Args:
        title: Above the picture.
        labels: A label for each token.
        cosines: ``(N, A)``, at least one of each.
        seconds_per_position: That an audio position stands for.
        seconds: Duration of the recording.
    """

    title: str
    labels: Sequence[str]
    cosines: Cosines
    seconds_per_position: float
    seconds: float


def draw_heat_map(heat_map: HeatMap, path: Path) -> None:
    """Draw into a PNG file; dots mark each token's best-matching position."""
    plt = pyplot()
    families = font_families([heat_map.title, *heat_map.labels])
    with plt.rc_context({"font.family": families}):
        figure, axes = plt.subplots(figsize=_size(heat_map), layout="constrained")
        rows, columns = pooling(heat_map.cosines.shape)
        image = _draw_cells(axes, heat_map, rows, columns)
        figure.colorbar(image, label="cosine", fraction=0.04, pad=0.02)
        if len(heat_map.labels) <= _MARKED_TOKENS:
            _mark_best(axes, heat_map)
        _name_tokens(axes, heat_map, families)
        pooled = f" (a cell: the largest of {rows} x {columns} cosines)"
        axes.set_xlabel("seconds of audio" + pooled * (rows * columns > 1))
        axes.set_xlim(0, heat_map.seconds)
        axes.set_title(_title(heat_map, families), parse_math=False)
        axes.spines[:].set_visible(False)
        figure.savefig(path)
    plt.close(figure)


def pooling(shape: tuple[int, ...]) -> tuple[int, int]:
    """Tokens and positions that one cell stands for, where there are more than pixels."""
    tokens, positions = shape
    return -(-tokens // _MAX_ROWS), -(-positions // _MAX_COLUMNS)


def pool_largest(cosines: Cosines, rows: int, columns: int) -> Cosines:
    """Let each cell be the largest of ``rows`` x ``columns`` cosines; the last ones of fewer."""
    starts = (range(0, size, step) for size, step in zip(cosines.shape, (rows, columns)))
    pooled: Cosines = cosines
    for axis, indices in enumerate(starts):
        pooled = np.maximum.reduceat(pooled, list(indices), axis=axis)
    return pooled


def _size(heat_map: HeatMap) -> tuple[float, float]:
    width = np.clip(_INCHES_PER_SECOND * heat_map.seconds, *_WIDTHS)
    height = np.clip(_INCHES_PER_TOKEN * len(heat_map.labels), *_HEIGHTS)
    return float(width), float(height) + _MARGIN_INCHES


def _draw_cells(axes: Any, heat_map: HeatMap, rows: int, columns: int) -> Any:
    limit = float(np.abs(heat_map.cosines).max())
    cells = pool_largest(heat_map.cosines, rows, columns)
    right = cells.shape[1] * columns * heat_map.seconds_per_position
    image = axes.imshow(
        cells,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=(0, right, cells.shape[0] * rows - 0.5, -0.5),
        interpolation="nearest",
    )
    axes.set_ylim(len(heat_map.labels) - 0.5, -0.5)
    return image


def _mark_best(axes: Any, heat_map: HeatMap) -> None:
    starts = heat_map.cosines.argmax(axis=1) * heat_map.seconds_per_position
    ends = np.minimum(starts + heat_map.seconds_per_position, heat_map.seconds)
    axes.plot((starts + ends) / 2, range(len(starts)), "o", color="black", markersize=3)


def _name_tokens(axes: Any, heat_map: HeatMap, families: list[str]) -> None:
    height = _size(heat_map)[1] - _MARGIN_INCHES
    step = int(np.ceil(_MIN_INCHES_PER_NAME * len(heat_map.labels) / height))
    named = range(0, len(heat_map.labels), step)
    labels = [with_escapes(heat_map.labels[index], families) for index in named]
    axes.set_yticks(list(named), labels, parse_math=False)
    axes.tick_params(axis="y", length=0 if step == 1 else 3)
    axes.set_ylabel("text tokens" if step == 1 else f"text tokens, one in {step} named")


def _title(heat_map: HeatMap, families: list[str]) -> str:
    room = int(_TITLE_CHARACTERS_PER_INCH * _size(heat_map)[0])
    title = with_escapes(" ".join(heat_map.title.split()), families)
    return title if len(title) <= room else title[: room - 1] + "…"
