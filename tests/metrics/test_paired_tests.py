import math

import pytest

from fairseq_audiochat.metrics.paired_tests import PairedCounts, mcnemar_p_value, paired_counts


def test_pairs_are_counted():
    first = [True, True, True, False, False, False]
    second = [True, False, False, True, False, False]
    assert paired_counts(first, second) == PairedCounts(1, 2, 1, 2)


def test_mcnemars_exact_test_is_the_binomial_one():
    # Of 8 items on which they differ 1 goes to the first: twice the chance of at most 1 head in
    # 8 tosses, 2 (1 + 8) / 256.
    assert mcnemar_p_value(PairedCounts(30, 1, 7, 12)) == pytest.approx(18 / 256)
    assert mcnemar_p_value(PairedCounts(30, 7, 1, 12)) == pytest.approx(18 / 256)


def test_items_on_which_they_agree_do_not_count():
    few, many = PairedCounts(0, 1, 7, 0), PairedCounts(500, 1, 7, 500)
    assert mcnemar_p_value(few) == mcnemar_p_value(many)


def test_an_even_split_is_no_difference():
    # Twice the chance of at most 3 heads in 6 tosses is above 1.
    assert mcnemar_p_value(PairedCounts(0, 3, 3, 0)) == 1


def test_no_item_on_which_they_differ_is_no_difference():
    assert mcnemar_p_value(PairedCounts(5, 0, 0, 5)) == 1


def test_no_items_have_no_p_value():
    assert math.isnan(mcnemar_p_value(paired_counts([], [])))


def test_systems_with_other_items_are_refused():
    with pytest.raises(ValueError, match="on the same items, but have 1 and 2"):
        paired_counts([True], [True, False])
