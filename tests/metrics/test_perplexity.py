"""Perplexity by hand."""

import math

from fairseq_audiochat.metrics.perplexity import perplexity


def test_exponential_of_nats_per_token():
    assert math.isclose(perplexity(3 * math.log(5), 3), 5.0)


def test_no_tokens_have_no_perplexity():
    assert math.isnan(perplexity(0.0, 0))


def test_overflow_is_infinite():
    assert perplexity(1e6, 1) == math.inf
