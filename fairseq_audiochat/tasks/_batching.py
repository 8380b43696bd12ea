"""How fairseq gets its batches: as arrays, for ten million utterances. Registers nothing itself.

Does not know what the limits are: the dataset and `filter_indices_by_size` do.
"""

from typing import Any, Optional

from fairseq.tasks import FairseqTask

from fairseq_audiochat.data.epoch_batches import EpochBatches
from fairseq_audiochat.data.speech_dataset import SpeechDataset


class BatchingTask(FairseqTask):
    """A task whose batches are `Batches`."""

    def get_batch_iterator(
        self,
        dataset: SpeechDataset,
        max_tokens: Optional[int] = None,
        max_sentences: Optional[int] = None,
        max_positions: Any = None,
        ignore_invalid_inputs: bool = False,
        required_batch_size_multiple: int = 1,
        epoch: int = 1,
        data_buffer_size: int = 0,
        disable_iterator_cache: bool = False,
        update_epoch_batch_itr: bool = False,
        **options: Any,
    ) -> EpochBatches:
        """The iterator that fairseq's own method gives, over batches that are no lists.

        Batches are made once and shuffled as wholes in each epoch, as fairseq does by default.
        ``required_batch_size_multiple`` is not applied: fairseq would drop batches for it.
        """
        may_reuse = not disable_iterator_cache and not update_epoch_batch_itr
        if may_reuse and dataset in self.dataset_to_epoch_iter:
            kept: EpochBatches = self.dataset_to_epoch_iter[dataset]
            return kept
        dataset.set_epoch(epoch)
        indices = dataset.ordered_indices()
        if max_positions is not None:
            indices = self.filter_indices_by_size(
                indices, dataset, max_positions, ignore_invalid_inputs
            )
        iterator = EpochBatches(
            dataset.batch_by_size(indices, max_tokens, max_sentences),
            dataset=dataset,
            collate_fn=dataset.collater,
            epoch=epoch,
            buffer_size=data_buffer_size,
            reuse_dataloader=True,
            **options,
        )
        if may_reuse:
            self.dataset_to_epoch_iter[dataset] = iterator
        return iterator
