"""Pictures that can be read: what is on the axes, and how large they get."""

import warnings
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest

from fairseq_audiochat.evaluate.alignment.heat_map import (
    HeatMap,
    draw_heat_map,
    pool_largest,
    pooling,
)


def heat_map(tokens: int = 4, positions: int = 10, **changes) -> HeatMap:
    cosines = np.random.default_rng(0).uniform(-1, 1, (tokens, positions)).astype(np.float32)
    labels = [f"·t{index}" for index in range(tokens)]
    return HeatMap("a title", labels, cosines, 0.08, positions * 0.08)._replace(**changes)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Draw, every warning being an error; gives the axes of the cells.

    Drawing takes a moment: unless it is ``rendered`` there is no file.
    """
    figures = []
    save = matplotlib.figure.Figure.savefig

    def draw(picture: HeatMap, rendered: bool = False):
        def keep(figure, path):
            figures.append(figure)
            if rendered:
                save(figure, path)

        monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_heat_map(picture, tmp_path / "picture.png")
        return figures[-1].axes[0]

    return draw


def names(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_tokens_and_seconds_are_on_the_axes(drawn):
    axes = drawn(heat_map(tokens=3, positions=10, seconds_per_position=0.32, seconds=3.1))
    assert names(axes) == ["·t0", "·t1", "·t2"]
    assert axes.get_ylim() == (2.5, -0.5)  # the first token at the top
    assert axes.images[0].get_extent() == pytest.approx((0, 3.2, 2.5, -0.5))  # 10 x 0.32 s
    assert axes.get_xlim() == (0, 3.1)  # where the recording ends
    assert axes.get_xlabel() == "seconds of audio"


def test_dots_are_in_the_middle_of_the_best_positions(drawn):
    cosines = np.zeros((3, 4), dtype=np.float32)
    cosines[0, 2] = cosines[1, 0] = cosines[2, 3] = 1
    picture = heat_map(3, 4, cosines=cosines, seconds_per_position=0.5, seconds=1.75)
    # Positions 2, 0 and 3: seconds 1 to 1.5, 0 to 0.5, and 1.5 to the recording's end.
    assert drawn(picture).lines[0].get_xdata() == pytest.approx([1.25, 0.25, 1.625])


def test_zero_is_white(drawn):
    image = drawn(heat_map()).images[0]
    assert image.norm(0.0) == pytest.approx(0.5)


def test_dollars_are_no_formula(drawn):
    axes = drawn(heat_map(2, labels=["$5", "·$6$"], title="between $5 and $6"), True)
    assert names(axes) == ["$5", "·$6$"]
    assert axes.get_title(loc="left") == "between $5 and $6"


def test_characters_that_no_font_has_are_spelt(drawn):
    axes = drawn(heat_map(2, labels=["a\U000f1234", "b"], title="\U000f1234"), True)
    assert names(axes) == ["a\\U000f1234", "b"]
    assert axes.get_title(loc="left") == "\\U000f1234"


def test_titles_stay_on_one_line(drawn):
    title = drawn(heat_map(title="word\n" * 100)).get_title(loc="left")
    assert title.startswith("word word")
    assert title.endswith("…")
    assert len(title) == 84  # 7 inches


def test_one_token_and_one_position(drawn):
    assert names(drawn(heat_map(1, 1), rendered=True)) == ["·t0"]


def test_ten_minutes_and_a_thousand_tokens(drawn):
    axes = drawn(heat_map(1_500, 7_500))
    assert axes.figure.get_size_inches() == pytest.approx((14, 12 + 1.4))
    # 1,500 names need 0.15 inches each, 12 inches have room for one in 19.
    assert names(axes)[:3] == ["·t0", "·t19", "·t38"]
    assert axes.get_ylabel() == "text tokens, one in 19 named"
    assert axes.get_xlabel() == "seconds of audio (a cell: the largest of 2 x 7 cosines)"
    assert axes.get_xlim() == (0, 600)
    assert len(axes.lines) == 0


def test_all_tokens_are_named_as_long_as_there_is_room(drawn):
    assert len(names(drawn(heat_map(50, 20)))) == 50
    assert len(names(drawn(heat_map(80, 20)))) == 80
    assert len(names(drawn(heat_map(81, 20)))) == 41


def test_pooling_keeps_peaks():
    cosines = np.zeros((3, 5), dtype=np.float32)
    cosines[1, 1], cosines[2, 4], cosines[0, 3] = 0.9, 0.8, -0.5
    # Rows 0 and 1, row 2; columns 0 and 1, 2 and 3, 4.
    expected = np.array([[0.9, 0, 0], [0, 0, 0.8]], dtype=np.float32)
    assert np.array_equal(pool_largest(cosines, 2, 2), expected)
    assert np.array_equal(pool_largest(cosines, 1, 1), cosines)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1_000, 1_200), (1, 1)), ((1_001, 1_200), (2, 1)), ((1, 2_401), (1, 3))],
)
def test_cells_are_pooled_where_there_are_more_than_pixels(shape, expected):
    assert pooling(shape) == expected
