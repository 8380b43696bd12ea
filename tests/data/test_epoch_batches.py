"""Our iterator gives what fairseq's gives, without its lists of batches."""

from itertools import chain

import numpy as np
import pytest
from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator

from fairseq_audiochat.data.batches import Batches, cut_by_size
from fairseq_audiochat.data.epoch_batches import EpochBatches


class Numbers(FairseqDataset):
    """Each utterance is its number."""

    def __getitem__(self, index: int) -> int:
        return index

    def __len__(self) -> int:
        return 50

    def collater(self, samples: list[int]) -> list[int]:
        return samples


def make(batches: Batches, **options: object) -> EpochBatches:
    dataset = Numbers()
    return EpochBatches(batches, dataset=dataset, collate_fn=dataset.collater, seed=3, **options)


@pytest.fixture
def batches() -> Batches:
    """17 batches of 3 and a last one of 2."""
    return cut_by_size(np.arange(50, dtype=np.int32), np.full(50, 10), None, 3)


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
@pytest.mark.parametrize("shuffle", [True, False])
def test_order_is_fairseqs(batches: Batches, shards: int, shuffle: bool) -> None:
    """In every epoch and shard; 17 batches do not divide, so some shards end with an empty one."""
    for shard in range(shards):
        options = {"num_shards": shards, "shard_id": shard, "reuse_dataloader": True}
        ours = make(batches, **options)
        dataset = Numbers()
        theirs = EpochBatchIterator(dataset, dataset.collater, list(batches), seed=3, **options)
        assert len(ours) == len(theirs)
        assert ours.first_batch == theirs.first_batch
        for _ in range(3):
            expected = list(theirs.next_epoch_itr(shuffle=shuffle))
            assert list(ours.next_epoch_itr(shuffle=shuffle)) == expected
            assert ours.state_dict() == theirs.state_dict()


@pytest.mark.parametrize("shards", [1, 2, 3, 5])
def test_grouped_shuffling_loses_nothing(batches: Batches, shards: int) -> None:
    """fairseq drops the batches behind the last whole group; its other groups are ours."""
    parts = [
        make(batches, num_shards=shards, shard_id=shard, grouped_shuffling=True)
        for shard in range(shards)
    ]
    ours = [list(part.next_epoch_itr()) for part in parts]
    assert sorted(chain.from_iterable(chain.from_iterable(ours))) == list(range(50))
    dataset = Numbers()
    for shard in range(shards):
        theirs = EpochBatchIterator(
            dataset,
            dataset.collater,
            list(batches),
            seed=3,
            num_shards=shards,
            shard_id=shard,
            grouped_shuffling=True,
        )
        expected = theirs.ordered_batches(1, False, True)
        assert ours[shard][: len(expected)] == expected


def test_a_curriculum_ends(batches: Batches) -> None:
    """fairseq's own iterator would never shuffle after ``--curriculum`` with one data loader."""
    iterator = make(batches, reuse_dataloader=True)
    assert list(iterator.next_epoch_itr(shuffle=False)) == list(batches)
    shuffled = list(iterator.next_epoch_itr(shuffle=True))
    assert shuffled != list(batches)
    assert sorted(shuffled) == sorted(batches)


def test_epochs_differ_and_seeds_repeat_them(batches: Batches) -> None:
    epochs = [list(itr) for itr in three_epochs(make(batches))]
    assert epochs == [list(itr) for itr in three_epochs(make(batches))]
    assert epochs[0] != epochs[1] != epochs[2]


def three_epochs(iterator: EpochBatches) -> list[object]:
    return [list(iterator.next_epoch_itr()) for _ in range(3)]


def test_no_list_of_batches_is_held(batches: Batches) -> None:
    """Guards against fairseq's tuple of lists coming back: gigabytes, copied by each worker."""
    iterator = make(batches, num_shards=2, reuse_dataloader=True)
    iterator.next_epoch_itr()
    assert isinstance(iterator.frozen_batches, Batches)
    assert isinstance(iterator.epoch_batch_sampler.batches, Batches)
    assert iterator.epoch_batch_sampler.batches.indices is batches.indices
