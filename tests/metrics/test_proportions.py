"""Wilson's interval, from its formula."""

import math

import pytest

from fairseq_audiochat.metrics.proportions import wilson_interval

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (611, 1000)])
def test_formula(successes: int, trials: int):
    """Centre (p + z² / 2n) / (1 + z² / n), as Wilson (1927) has it."""
    share, denominator = successes / trials, 1 + Z**2 / trials
    centre = (share + Z**2 / (2 * trials)) / denominator
    spread = math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2)) * Z / denominator
    low, high = wilson_interval(successes, trials)
    assert math.isclose(low, centre - spread, abs_tol=1e-12)
    assert math.isclose(high, centre + spread, abs_tol=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_impossible_counts_are_refused(successes: int, trials: int):
    with pytest.raises(ValueError, match="`successes` must be from 0 to `trials`, which must be"):
        wilson_interval(successes, trials)
