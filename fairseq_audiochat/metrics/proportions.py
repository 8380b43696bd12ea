"""Shares with their uncertainty. Knows no file."""

from typing import NamedTuple

from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Where a quantity lies with a probability of ``CONFIDENCE``."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int) -> Interval:
    """The Wilson score interval of a share.

    Args:
        successes: 0 to ``trials``.
        trials: At least 1.

    Raises:
        ValueError: If there is no such number of successes.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(
            f"`successes` must be from 0 to `trials`, which must be positive, but are {successes} "
            f"and {trials} instead."
        )
    low, high = proportion_confint(successes, trials, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))
