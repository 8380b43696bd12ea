"""Perplexity: the exponential of nats per token, over all tokens of a data set."""

import math


def perplexity(nats: float, tokens: float) -> float:
    """exp(``nats`` / ``tokens``); infinite where that overflows, NaN without tokens."""
    if not tokens:
        return math.nan
    try:
        return math.exp(nats / tokens)
    except OverflowError:
        return math.inf
