"""Batches cut by cost, by hand."""

import numpy as np

from fairseq_audiochat.data.cost_limit import cut_by_cost


def test_a_batch_is_cut_where_it_would_cost_too_much():
    costs = np.array([3, 4, 5, 1, 1])
    # 3 + 4 = 7 fits, 5 more would not; 5 + 1 + 1 = 7 fits; a batch never grows
    assert cut_by_cost([[0, 1, 2, 3, 4]], costs, 7) == [[0, 1], [2, 3, 4]]
    assert cut_by_cost([[4], [3, 0], [1], [2]], costs, 5) == [[4], [3, 0], [1], [2]]
    assert cut_by_cost([[2, 1, 0]], costs, 5) == [[2], [1], [0]]
    assert cut_by_cost([], costs, 5) == []
