"""Batches cut by what they cost. Knows neither utterances nor models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def cut_by_cost(
    batches: Sequence[Sequence[int]], costs: npt.NDArray[np.int64], max_cost: int
) -> list[list[int]]:
    """Cut batches where their members' costs would sum to more than ``max_cost``.

    Args:
        batches: Indices into ``costs``, in order.
        costs: What each costs, none of them more than ``max_cost``.
        max_cost: Of a batch.

    Returns:
        All members, in the same order, in as many batches or more.
    """
    cut: list[list[int]] = []
    for batch in batches:
        cut.append([])
        spent = 0
        for index in batch:
            if cut[-1] and spent + costs[index] > max_cost:
                cut.append([])
                spent = 0
            cut[-1].append(int(index))
            spent += int(costs[index])
    return cut
