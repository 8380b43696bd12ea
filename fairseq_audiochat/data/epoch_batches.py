"""fairseq's iterator over epochs, with batches as arrays in place of lists.

Shuffled and shared out as fairseq does, in its very order. Knows neither utterances nor how
batches are made.
"""

from typing import Any

import numpy as np
from fairseq.data.data_utils import numpy_seed
from fairseq.data.iterators import EpochBatchIterator

from fairseq_audiochat.data.batches import Batches, Indices


class EpochBatches(EpochBatchIterator):
    """An `EpochBatchIterator` that makes no lists of batches.

    Args:
        batches: The batches; the same in all epochs, in another order in each.
        options: `EpochBatchIterator`'s.
    """

    def __init__(self, batches: Batches, **options: Any) -> None:
        self._batches = batches
        # As a function, or fairseq would make a tuple of lists; it is never asked.
        super().__init__(batch_sampler=lambda dataset, epoch: batches, **options)

    @property
    def frozen_batches(self) -> Batches:
        """The batches, in their first order."""
        return self._batches

    def ordered_batches(self, epoch: int, fix_batches_to_gpus: bool, shuffle: bool) -> Batches:
        """This process's batches of an epoch, in its order.

        With ``--grouped-shuffling`` the last group, which may be smaller, stays the last: fairseq
        drops it.
        """
        order: Indices = np.arange(len(self._batches), dtype=np.int32)
        if shuffle:
            with numpy_seed(self.seed + epoch):
                order = self._shuffled(order)
        return self._batches[order].shard(self.shard_id, self.num_shards)

    def _shuffled(self, order: Indices) -> Indices:
        if not self.grouped_shuffling:
            np.random.shuffle(order)
            return order
        whole = len(order) // self.num_shards * self.num_shards
        groups = order[:whole].reshape(-1, self.num_shards)
        np.random.shuffle(groups)
        return np.append(groups.ravel(), order[whole:])

    def _get_iterator_for_epoch(self, epoch: int, shuffle: bool, *args: Any, **kwargs: Any) -> Any:
        if self.dataloader is not None:
            # fairseq's sampler keeps what it was made with: without this, --curriculum, which
            # begins unshuffled, would never shuffle.
            self.epoch_batch_sampler.shuffle = shuffle
        return super()._get_iterator_for_epoch(epoch, shuffle, *args, **kwargs)
