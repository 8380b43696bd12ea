import math
import sys

import pytest

from fairseq_audiochat.metrics.proportions import wilson_interval


def by_hand(successes: int, trials: int, z: float) -> tuple[float, float]:
    """Wilson (1927): where |p - s/n| = z sqrt(p (1 - p) / n), solved for p."""
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials)
    half *= math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return centre - half, centre + half


@pytest.mark.parametrize(("successes", "trials"), [(5, 10), (37, 50), (1, 50), (149, 150)])
def test_the_interval_is_wilsons(successes: int, trials: int):
    # 1.959964 is the 97.5 % quantile of the normal distribution.
    expected = by_hand(successes, trials, 1.959964)
    assert wilson_interval(successes, trials) == pytest.approx(expected, abs=1e-6)


def test_the_confidence_is_that_asked_for():
    # 1.644854 is the 95 % quantile: 5 % are left out on either side.
    expected = by_hand(37, 50, 1.644854)
    assert wilson_interval(37, 50, confidence=0.9) == pytest.approx(expected, abs=1e-6)


def test_nothing_or_everything_succeeding_has_a_width():
    # With no success one end is 0, the other z^2 / (n + z^2): 3.841459 / 13.841459.
    assert wilson_interval(0, 10) == pytest.approx((0, 0.277533), abs=1e-6)
    assert wilson_interval(10, 10) == pytest.approx((1 - 0.277533, 1), abs=1e-6)


def test_no_trials_have_no_interval():
    assert all(math.isnan(end) for end in wilson_interval(0, 0))


@pytest.mark.parametrize("successes", [-1, 11])
def test_more_successes_than_trials_are_refused(successes: int):
    with pytest.raises(ValueError, match=f"between 0 and the 10 trials, but are {successes}"):
        wilson_interval(successes, 10)


def test_a_missing_statsmodels_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "statsmodels.stats.proportion", None)
    with pytest.raises(ModuleNotFoundError, match=r"need statsmodels, which .*\[evaluate\]'"):
        wilson_interval(1, 2)
