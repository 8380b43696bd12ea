"""Batches cut by cost, by hand."""

import numpy as np

from fairseq_audiochat.data.batches import Batches
from fairseq_audiochat.data.cost_limit import cut_by_cost


def cut(batches: list[list[int]], costs: list[int], max_cost: int) -> list[list[int]]:
    stops = np.cumsum([len(batch) for batch in batches], dtype=np.int32)
    starts = stops - np.array([len(batch) for batch in batches], dtype=np.int32)
    indices = np.array([index for batch in batches for index in batch], dtype=np.int32)
    return list(cut_by_cost(Batches(indices, starts, stops), np.array(costs)[indices], max_cost))


def test_a_batch_is_cut_where_it_would_cost_too_much():
    costs = [3, 4, 5, 1, 1]
    # 3 + 4 = 7 fits, 5 more would not; 5 + 1 + 1 = 7 fits; a batch never grows
    assert cut([[0, 1, 2, 3, 4]], costs, 7) == [[0, 1], [2, 3, 4]]
    assert cut([[4], [3, 0], [1], [2]], costs, 5) == [[4], [3, 0], [1], [2]]
    assert cut([[2, 1, 0]], costs, 5) == [[2], [1], [0]]
    assert cut([], costs, 5) == []


def test_batches_are_cut_as_member_by_member():
    """The loop that says what is meant, against the one that takes all batches at once."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        costs = rng.integers(1, 20, 60)
        edges = np.sort(rng.choice(59, 9, replace=False)) + 1
        batches = [part.tolist() for part in np.split(rng.permutation(60), edges)]
        expected: list[list[int]] = []
        for batch in batches:
            expected.append([])
            for index in batch:
                if expected[-1] and costs[expected[-1]].sum() + costs[index] > 25:
                    expected.append([])
                expected[-1].append(index)
        assert cut(batches, costs.tolist(), 25) == expected
