"""Bootstrap intervals, against enumeration of every draw and against their own definitions."""

import math
from itertools import product

import numpy as np
import pytest

from fairseq_audiochat.metrics.bootstrap import (
    perplexity_interval,
    perplexity_ratio_interval,
    ratio_interval,
)


def test_interval_is_that_of_all_possible_draws():
    """Of three utterances there are 27 draws; their quantiles are what drawing converges to."""
    numerators, denominators = np.array([1.0, 6.0, 2.0]), np.array([2.0, 3.0, 5.0])
    draws = [list(draw) for draw in product(range(3), repeat=3)]
    ratios = [numerators[draw].sum() / denominators[draw].sum() for draw in draws]
    low, high = ratio_interval(numerators, denominators, seed=1, confidence=0.6, resamples=50_000)
    assert low == pytest.approx(np.quantile(ratios, 0.2, method="inverted_cdf"), abs=1e-9)
    assert high == pytest.approx(np.quantile(ratios, 0.8, method="inverted_cdf"), abs=1e-9)


def test_interval_covers_as_often_as_it_says():
    """95 % intervals of 300 drawn data sets hold the true ratio about 95 times in a hundred."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        denominators = rng.integers(1, 20, size=60)
        numerators = rng.poisson(0.3 * denominators)
        low, high = ratio_interval(numerators, denominators, seed=seed, resamples=400)
        hits += low <= 0.3 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_perplexity_interval_is_exp_of_nats_per_token():
    nats, tokens = [3.0, 9.0, 4.0, 7.0], [2, 5, 1, 6]
    low, high = ratio_interval(nats, tokens, seed=3)
    assert perplexity_interval(nats, tokens, seed=3) == pytest.approx(
        (math.exp(low), math.exp(high))
    )


def test_pairing_takes_out_what_two_arms_share():
    """Arms whose nats differ by 0.1 per token: the ratio is certain, the perplexities are not."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(1, 30, size=50)
    nats = tokens * rng.uniform(0, 3, size=50)
    low, high = perplexity_ratio_interval(nats + 0.1 * tokens, nats, tokens, seed=1)
    assert (low, high) == pytest.approx((math.exp(0.1), math.exp(0.1)))
    assert perplexity_interval(nats, tokens, seed=1).high > 1.2 * math.exp(
        nats.sum() / tokens.sum()
    )


def test_same_seed_gives_the_same_interval_and_another_another():
    nats, tokens = np.arange(1.0, 30.0), np.arange(29) % 7 + 1
    assert perplexity_interval(nats, tokens, 1) == perplexity_interval(nats, tokens, 1)
    assert perplexity_interval(nats, tokens, 1) != perplexity_interval(nats, tokens, 2)


def test_one_utterance_has_no_interval():
    assert all(map(math.isnan, ratio_interval([3], [4], seed=1)))
