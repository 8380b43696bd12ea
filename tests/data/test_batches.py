"""Batches as arrays are fairseq's batches: the same members, the same order, the same shards."""

import pickle

import numpy as np
import pytest
from fairseq.data import data_utils

from fairseq_audiochat.data.batches import Batches, cut_by_size


def some(*sizes: int) -> Batches:
    """Batches of so many members, which count from 10."""
    stops = np.cumsum(sizes, dtype=np.int32)
    return Batches(np.arange(10, 10 + sum(sizes)), stops - np.array(sizes, dtype=np.int32), stops)


def test_a_batch_is_a_list_of_ints() -> None:
    batches = some(2, 1, 3)
    assert list(batches) == [[10, 11], [12], [13, 14, 15]]
    assert batches[1] == [12]
    assert batches[-1] == [13, 14, 15]
    assert type(batches[0][0]) is int  # fairseq's datasets index with it
    with pytest.raises(IndexError):
        batches[3]


def test_a_choice_of_batches_shares_their_members() -> None:
    batches = some(2, 1, 3)
    for chosen in (batches[1:], batches[np.array([2, 0])]):
        assert chosen.indices is batches.indices
    assert list(batches[1:]) == [[12], [13, 14, 15]]
    assert list(batches[np.array([2, 0])]) == [[13, 14, 15], [10, 11]]
    assert list(batches[3:]) == []


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 7])
def test_shards_hold_every_batch_once_and_are_equally_many(shards: int) -> None:
    batches = some(2, 1, 3, 2, 2)
    parts = [batches.shard(number, shards) for number in range(shards)]
    assert len({len(part) for part in parts}) == 1
    held = sorted(batch for part in parts for batch in part if batch)
    assert held == sorted(batches)
    for number, part in enumerate(parts):
        empty = [position for position, batch in enumerate(part) if not batch]
        assert empty in ([], [len(part) - 1]), f"shard {number} may be short at its end only"


@pytest.mark.parametrize("max_size", [None, 400, 1_000, 10**12])
@pytest.mark.parametrize("max_members", [None, 1, 3, 8, 10**12])
def test_cuts_are_those_of_fairseq(max_size: int | None, max_members: int | None) -> None:
    """fairseq's compiled batcher, with a multiple of 1, with which it drops nothing."""
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 10, 57, 400):
        sizes = np.sort(rng.integers(1, 400, count))[::-1].astype(np.int64)
        indices = rng.permutation(count)
        expected = data_utils.batch_by_size(
            indices, None, sizes, max_tokens=max_size, max_sentences=max_members
        )
        batches = cut_by_size(indices, sizes.astype(np.int32), max_size, max_members)
        assert list(batches) == [list(batch) for batch in expected]


def test_nothing_gives_no_batch() -> None:
    empty = np.zeros(0, dtype=np.int32)
    assert list(cut_by_size(empty, empty, 400, 3)) == []


def test_batches_take_few_bytes() -> None:
    """Four for each member and eight for each batch; as lists, 8 and more for each member."""
    batches = cut_by_size(np.arange(30_000, dtype=np.int32), np.full(30_000, 10), 300, None)
    assert len(batches) == 1_000
    assert len(pickle.dumps(batches)) < 30_000 * 4 + 1_000 * 8 + 1_000
