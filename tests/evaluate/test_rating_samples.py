from collections import Counter
from itertools import pairwise

import pytest

from fairseq_audiochat.evaluate.rating.samples import Candidate, available, draw
from fairseq_audiochat.evaluate.wer_levels import WerLevels

LEVELS = WerLevels([0, 30])


def candidates(*counts: int) -> list[Candidate]:
    """So many utterances with 0, 1 and 5 errors in 10 words."""
    return [
        Candidate(f"utt-{errors}-{row}", errors, 10)
        for errors, count in zip((0, 1, 5), counts)
        for row in range(count)
    ]


def test_each_level_gives_as_many_as_are_asked_for():
    drawn = draw(candidates(80, 70, 60), LEVELS, 50, seed=1)
    assert Counter(one.level for one in drawn) == {0: 50, 1: 50, 2: 50}
    assert len({one.candidate.id for one in drawn}) == 150
    assert all(LEVELS.level_of(*one.candidate[1:]) == one.level for one in drawn)


def test_a_level_with_too_few_gives_all_it_has():
    few = candidates(80, 3, 0)
    assert available(few, LEVELS) == [80, 3, 0]
    assert Counter(one.level for one in draw(few, LEVELS, 50, seed=1)) == {0: 50, 1: 3}


def test_the_order_of_the_files_does_not_matter():
    there = candidates(80, 70, 60)
    assert draw(there, LEVELS, 50, seed=1) == draw(there[::-1], LEVELS, 50, seed=1)


def test_another_seed_draws_others():
    there = candidates(80, 70, 60)
    first, second = ({one.candidate.id for one in draw(there, LEVELS, 20, seed)} for seed in (1, 2))
    assert first != second


def test_what_a_seed_draws_stays_the_same():
    """Guards a rating that is under way: its page can be made again."""
    drawn = draw(candidates(3, 3, 3), LEVELS, 2, seed=1)
    assert [(one.candidate.id, one.is_swapped) for one in drawn] == [
        ("utt-5-0", True),
        ("utt-5-2", False),
        ("utt-1-2", False),
        ("utt-1-0", True),
        ("utt-0-2", True),
        ("utt-0-1", False),
    ]


@pytest.mark.parametrize("per_level", [50, 7])
def test_both_systems_stand_left_equally_often(per_level: int):
    drawn = draw(candidates(80, 70, 60), LEVELS, per_level, seed=3)
    for level in range(3):
        swapped = [one.is_swapped for one in drawn if one.level == level]
        assert abs(2 * sum(swapped) - len(swapped)) <= per_level % 2


def test_levels_and_sides_are_shuffled():
    drawn = draw(candidates(80, 70, 60), LEVELS, 50, seed=1)
    # Of 149 neighbours some 99 differ in level and 75 in side if the order is chance; the standard
    # deviation is about 6.
    levels = sum(a.level != b.level for a, b in pairwise(drawn))
    sides = sum(a.is_swapped != b.is_swapped for a, b in pairwise(drawn))
    assert 75 < levels < 125
    assert 50 < sides < 100
