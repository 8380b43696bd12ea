"""How far a share of successes can be trusted. Knows nothing of what succeeded."""

import math
from typing import NamedTuple

from fairseq_audiochat.metrics.extra import statsmodels


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion; both ends NaN without trials.

    Unlike the normal approximation it stays within 0 and 1 and has a width where nothing, or
    everything, succeeded.

    Raises:
        ValueError: If there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(
            f"successes must be between 0 and the {trials} trials, but are {successes}."
        )
    if not trials:
        return Interval(math.nan, math.nan)
    proportion = statsmodels("proportion")
    low, high = proportion.proportion_confint(
        successes, trials, alpha=1 - confidence, method="wilson"
    )
    return Interval(float(low), float(high))
