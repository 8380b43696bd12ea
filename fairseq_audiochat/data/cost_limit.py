"""Batches cut by what they cost. Knows neither utterances nor models."""

import numpy as np

from fairseq_audiochat.data.batches import Batches, Indices


def cut_by_cost(batches: Batches, costs: Indices, max_cost: int) -> Batches:
    """Cut batches where their members' costs would sum to more than ``max_cost``.

    Args:
        batches: One behind the other.
        costs: Of each of ``batches.indices``, none of them more than ``max_cost``.
        max_cost: Of a batch.

    Returns:
        All members, in the same order, in as many batches or more.
    """
    spent = np.cumsum(costs, dtype=np.int64)  # up to each member and with it
    pieces = [batches.starts[:0]]
    starts, stops = batches.starts, batches.stops
    while len(starts):  # of all batches at once: the first piece, the second, and so on
        pieces.append(starts)
        before = spent[starts] - costs[starts]
        ends = np.searchsorted(spent, before + max_cost, side="right").astype(starts.dtype)
        unfinished = ends < stops
        starts, stops = ends[unfinished], stops[unfinished]
    first = np.sort(np.concatenate(pieces))
    end = batches.stops[-1:]
    return Batches(batches.indices, first, np.append(first[1:], end))
