"""Bootstrap intervals of ratios of sums: perplexities, word error rates, and their comparisons.

Whole utterances are drawn with replacement. The same seed draws the same utterances for every arm,
so a comparison of two arms is paired if its numerators are differences.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairseq_audiochat.metrics.extra import statistics

Counts = npt.ArrayLike
_RESAMPLES_AT_A_TIME = 100


class Interval(NamedTuple):
    """Bounds of an interval; NaN where there are too few utterances for one."""

    low: float
    high: float


def ratio_interval(
    numerators: Counts,
    denominators: Counts,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """The percentile interval of ``sum(numerators) / sum(denominators)`` over utterances.

    Args:
        numerators: Per utterance, as nats or word errors.
        denominators: Per utterance, as tokens or words; not all zero.
        seed: Of the drawing.
        confidence: The share of drawn data sets whose ratio lies inside.
        resamples: Data sets that are drawn.
    """
    above, below = np.asarray(numerators, float), np.asarray(denominators, float)
    if len(above) < 2:
        return Interval(math.nan, math.nan)
    found = statistics().bootstrap(
        (above, below),
        _ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=confidence,
        n_resamples=resamples,
        batch=_RESAMPLES_AT_A_TIME,
        rng=np.random.default_rng(seed),
    )
    return Interval(*map(float, found.confidence_interval))


def perplexity_interval(nats: Counts, tokens: Counts, seed: int) -> Interval:
    """The 95 % interval of a perplexity, from nats and tokens per utterance."""
    return Interval(*np.exp(ratio_interval(nats, tokens, seed)).tolist())


def perplexity_ratio_interval(nats: Counts, other: Counts, tokens: Counts, seed: int) -> Interval:
    """The paired 95 % interval of one perplexity divided by another over the same tokens."""
    difference = np.asarray(nats, float) - np.asarray(other, float)
    return perplexity_interval(difference, tokens, seed)


def _ratio(
    numerators: npt.NDArray[np.float64], denominators: npt.NDArray[np.float64], axis: int
) -> npt.NDArray[np.float64]:
    ratio: npt.NDArray[np.float64] = numerators.sum(axis) / denominators.sum(axis)
    return ratio
