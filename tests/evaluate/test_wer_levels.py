import pytest

from fairseq_audiochat.evaluate.wer_levels import WerLevels


@pytest.mark.parametrize(
    ("word_errors", "words", "level"),
    [(0, 7, 0), (1, 1000, 1), (3, 10, 1), (31, 100, 2), (1, 3, 2), (9, 4, 2)],
)
def test_an_upper_end_belongs_to_its_level(word_errors: int, words: int, level: int):
    assert WerLevels([0, 30]).level_of(word_errors, words) == level


def test_every_bound_makes_a_level():
    assert WerLevels([0, 30]).labels == ["0 %", "above 0 to 30 %", "above 30 %"]
    assert WerLevels([12.5]).labels == ["up to 12.5 %", "above 12.5 %"]
    levels = WerLevels([5, 10, 20])
    assert [levels.level_of(wer, 100) for wer in (5, 6, 10, 11, 20, 21)] == [0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("bounds", [[30, 0], [10, 10], [-1, 5], []])
def test_bounds_that_do_not_increase_are_refused(bounds: list[float]):
    with pytest.raises(ValueError, match="--wer-levels must be word error rates in % that incr"):
        WerLevels(bounds)
