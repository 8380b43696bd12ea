import math

import pytest

from fairseq_audiochat.metrics.agreement import agreement


def judgements(*raters: str) -> list[list[bool]]:
    """``"++-"``: success, success, failure."""
    return [[character == "+" for character in rater] for rater in raters]


def test_cohens_kappa_of_a_textbook_table():
    # 20 times both success, 15 times both failure, 5 and 10 times one of each: observed 35/50 =
    # 0.7; chance (25/50)(30/50) + (25/50)(20/50) = 0.5; kappa (0.7 - 0.5) / (1 - 0.5) = 0.4.
    first = "+" * 20 + "+" * 5 + "-" * 10 + "-" * 15
    second = "+" * 20 + "-" * 5 + "+" * 10 + "-" * 15
    found = agreement(judgements(first, second))
    assert found[:3] == (35, 50, "Cohen")
    assert found.kappa == pytest.approx(0.4)


def test_fleiss_kappa_worked_out():
    # Three raters, successes 3, 2, 0, 1 of 3. Pairs that agree per item: 3/3, 1/3, 3/3, 1/3, mean
    # 2/3. Successes are 6 of 12, so chance agrees on half: kappa (2/3 - 1/2) / (1/2) = 1/3.
    found = agreement(judgements("++--", "++--", "+--+"))
    assert found[:3] == (2, 4, "Fleiss")
    assert found.kappa == pytest.approx(1 / 3)


@pytest.mark.parametrize("raters", [2, 3])
def test_full_agreement_on_both_judgements_is_one(raters: int):
    assert agreement(judgements(*["+-+"] * raters)).kappa == pytest.approx(1)


@pytest.mark.parametrize("raters", [2, 3])
@pytest.mark.parametrize("same", ["+++", "---", ""])
def test_kappa_is_undefined_where_one_judgement_was_ever_given(raters: int, same: str):
    found = agreement(judgements(*[same] * raters))
    assert found.unanimous == found.items == len(same)
    assert math.isnan(found.kappa)


def test_the_opposite_of_each_other_is_minus_one():
    # Observed 0, chance 2 * (1/2)(1/2) = 1/2: (0 - 1/2) / (1/2).
    assert agreement(judgements("+-", "-+")).kappa == pytest.approx(-1)


def test_the_order_of_raters_does_not_matter():
    raters = judgements("++-+-", "+--+-", "-+-++")
    assert agreement(raters).kappa == pytest.approx(agreement(raters[::-1]).kappa)


def test_one_rater_agrees_with_nobody():
    with pytest.raises(ValueError, match="must be of at least 2 raters, but is of 1"):
        agreement(judgements("+-"))


def test_raters_of_other_items_are_refused():
    with pytest.raises(ValueError, match=r"must judge the same items, but their .* are \[2, 3\]"):
        agreement(judgements("+-", "+-+"))
