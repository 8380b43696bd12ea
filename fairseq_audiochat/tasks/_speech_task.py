"""What both tasks share: manifests, augmentation, limits. Registers nothing itself."""

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
from fairseq.dataclass import FairseqDataclass
from omegaconf import II, MISSING, DictConfig

from fairseq_audiochat.data.batches import Indices
from fairseq_audiochat.data.epoch_position import Batching, remember_batching
from fairseq_audiochat.data.limits import exclude, leave_out_unusable
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.spec_augment import SpecAugment
from fairseq_audiochat.data.speech_dataset import SpeechDataset
from fairseq_audiochat.tasks._batching import BatchingTask
from fairseq_audiochat.tasks._chunking import chunks_of_seconds
from fairseq_audiochat.tasks._processes import refuse_unconnected_processes

logger = logging.getLogger(__name__)


@dataclass
class SpeechTaskConfig(FairseqDataclass):
    """Where the data is, and how speech is read."""

    data: str = field(default=MISSING, metadata={"help": "folder with one SPLIT.tsv per split"})
    max_audio_seconds: Optional[float] = field(
        default=None,
        metadata={"help": "leave longer utterances out of training, and say how many (no limit)"},
    )
    freq_masks: int = field(
        default=2, metadata={"help": "SpecAugment: frequency masks (Gulati et al. 2020)"}
    )
    freq_mask_bins: int = field(
        default=27, metadata={"help": "SpecAugment: mel bins per mask (Gulati et al. 2020)"}
    )
    time_masks: int = field(
        default=10, metadata={"help": "SpecAugment: time masks (Gulati et al. 2020)"}
    )
    time_mask_frames: int = field(
        default=100, metadata={"help": "SpecAugment: 10 ms frames per mask (Park et al. 2019)"}
    )
    time_mask_share: float = field(
        default=0.05,
        metadata={"help": "SpecAugment: widest mask as a share of the utterance (Gulati et al.)"},
    )
    chunk_seconds: Optional[float] = field(
        default=None,
        metadata={
            "help": "encode longer recordings in overlapping chunks of so many seconds, in "
            "validation and generation (recordings are encoded whole)"
        },
    )
    chunk_overlap_seconds: float = field(
        default=4.0, metadata={"help": "seconds that neighbouring chunks have in common, at least"}
    )
    seed: int = II("common.seed")
    update_freq: List[int] = field(default=II("optimization.update_freq"))


class SpeechTask(BatchingTask):
    """A task over manifests.

    Args:
        cfg: Its configuration.

    Raises:
        ValueError: If ``--chunk-seconds`` and ``--chunk-overlap-seconds`` do not fit together.
    """

    cfg: SpeechTaskConfig

    def __init__(self, cfg: SpeechTaskConfig) -> None:
        super().__init__(cfg)
        self.chunks = chunks_of_seconds(cfg.chunk_seconds, cfg.chunk_overlap_seconds)

    @classmethod
    def setup_task(cls, cfg: Any, **kwargs: Any) -> "SpeechTask":
        """Build the task; whether it comes from a checkpoint makes no difference to it.

        Raises:
            RuntimeError: If this is one of several processes that do not know of each other.
        """
        refuse_unconnected_processes()
        return cls(cfg)

    def build_model(self, cfg: DictConfig, from_checkpoint: bool = False) -> Any:
        """Build a model, which takes long recordings as ``--chunk-seconds`` says."""
        model = super().build_model(cfg, from_checkpoint)
        model.encode_in_chunks(self.chunks)
        return model

    def max_positions(self) -> int:
        """A number beyond every size: fairseq then always asks `filter_indices_by_size`."""
        return sys.maxsize

    def filter_indices_by_size(
        self,
        indices: Indices,
        dataset: SpeechDataset,
        max_positions: Any = None,
        ignore_invalid_inputs: bool = False,
    ) -> Indices:
        """Apply the limits, and say which of them excludes how many.

        Raises:
            ValueError: If one excludes an utterance in validation or generation, or all are
                excluded.
        """
        max_frames = None if max_positions == sys.maxsize else max_positions
        return exclude(dataset, indices, max_frames, may_exclude=ignore_invalid_inputs)

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """The batches of a split; a checkpoint tells of what it counts them."""
        iterator = super().get_batch_iterator(dataset, *args, **kwargs)

        def batching() -> Batching:  # asked for in training alone
            frequencies = self.cfg.update_freq
            return Batching(
                processes=iterator.num_shards,
                update_freq=int(frequencies[min(iterator.epoch, len(frequencies)) - 1]),
                batches=len(iterator.frozen_batches),
                max_tokens=kwargs.get("max_tokens"),
                max_sentences=kwargs.get("max_sentences"),
                seed=iterator.seed,
                grouped=iterator.grouped_shuffling,
            )

        return remember_batching(iterator, batching)

    def valid_step(self, sample: Dict[str, Any], model: Any, criterion: Any) -> Any:
        """Score a batch; with several processes, fairseq fills shards up with empty ones.

        The counts are plain numbers: fairseq-validate gathers them from all processes, and
        pickled tensors are ten times as long.
        """
        if not sample:
            return 0, 0, {}
        loss, sample_size, counts = super().valid_step(sample, model, criterion)
        return loss, sample_size, {name: float(count) for name, count in counts.items()}

    def announce(self, split: str, is_training: bool) -> None:
        """Log a split's size, and at once which limits it will break: validation comes late."""
        dataset: SpeechDataset = self.datasets[split]
        logger.info("split %s: %d utterances", split, len(dataset))
        if is_training:
            return  # reported when the limits are applied
        usable = leave_out_unusable(dataset, np.arange(len(dataset)))
        for rule, excluded in dataset.exceeding(usable):
            if excluded.any():
                logger.warning("split %s: %d utterances %s", split, excluded.sum(), rule)

    def manifest(self, split: str) -> Manifest:
        """The utterances of a split."""
        return Manifest(self.path(f"{split}.tsv"))

    def path(self, name: str) -> Path:
        """A file in the data folder.

        Raises:
            FileNotFoundError: If there is no such folder.
        """
        folder = Path(self.cfg.data)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: the data folder must exist, but does not; check the path (with Hydra "
                "it must be absolute)."
            )
        return folder / name

    def spec_augment(self, is_training: bool) -> Optional[SpecAugment]:
        """The masks for training; none elsewhere."""
        if not is_training:
            return None
        return SpecAugment(
            freq_masks=self.cfg.freq_masks,
            freq_mask_bins=self.cfg.freq_mask_bins,
            time_masks=self.cfg.time_masks,
            time_mask_frames=self.cfg.time_mask_frames,
            time_mask_share=self.cfg.time_mask_share,
            seed=self.cfg.seed,
        )


def is_training_call(load_dataset_kwargs: "dict[str, Any]") -> bool:
    """Whether fairseq loads a split to train on it: only its trainer passes a data selector."""
    return "data_selector" in load_dataset_kwargs
