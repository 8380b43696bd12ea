"""What every dataset over a manifest shares: order, sizes, limits and batches.

Nothing is lost here: a limit that excludes utterances says which limit and how many, and no
batch is dropped. Knows no tokenizer and no model.
"""

import logging
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from fairseq.data import FairseqDataset

from fairseq_audiochat.data.batches import Batches, Indices, cut_by_size
from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Utterance
from fairseq_audiochat.data.spec_augment import SpecAugment

logger = logging.getLogger(__name__)


class Listing(Protocol):
    """What a dataset goes through: a manifest, or something that looks like one."""

    path: Path

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Utterance: ...

    @property
    def n_frames(self) -> npt.NDArray[np.int32]:
        """10 ms frames of each entry."""


class SpeechDataset(FairseqDataset):
    """Utterances of a manifest, ordered and batched by their frames.

    Args:
        manifest: The split's utterances.
        spec_augment: Masks for training; None leaves the features as they are.
    """

    def __init__(self, manifest: Listing, spec_augment: SpecAugment | None = None) -> None:
        self.manifest = manifest
        self.spec_augment = spec_augment
        # Shared with the data loading workers, which live longer than an epoch.
        self._epoch = torch.ones(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.manifest)

    def set_epoch(self, epoch: int) -> None:
        """Tell this process and the workers the epoch, which seeds the augmentation."""
        self._epoch.fill_(epoch)

    @property
    def sizes(self) -> Indices:
        """10 ms frames per utterance, shape ``(len(self),)``."""
        return self.manifest.n_frames

    def num_tokens(self, index: int) -> int:
        """What ``--max-tokens`` counts: 10 ms frames."""
        return int(self.sizes[index])

    def num_tokens_vec(self, indices: Indices) -> Indices:
        """Frames of each of ``indices``, int64 as fairseq's batcher wants them."""
        return self.sizes[indices].astype(np.int64)

    def size(self, index: int) -> int:
        """Frames of one utterance."""
        return self.num_tokens(index)

    def ordered_indices(self) -> Indices:
        """Longest first, equals in random order (neighbours in a manifest share a speaker).

        The same order in every process and epoch: a resumed run batches as the one before.
        """
        rows = np.arange(len(self), dtype=np.int32)
        by_tie = np.empty_like(rows)
        by_tie[np.random.default_rng(0).permutation(rows)] = rows
        # A stable sort by lengths leaves equals in the order of their ties. NumPy sorts 16 bits,
        # which hold eleven minutes, in linear time.
        shortness = np.max(self.sizes) - self.sizes[by_tie]
        small = shortness.astype(np.min_scalar_type(np.max(shortness)))
        order: Indices = by_tie[np.argsort(small, kind="stable")]
        return order

    def unusable(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """What no limit lets in: a sentence and a mask over ``indices`` for each reason."""
        return []

    def exceeding(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """The limits that exclude utterances: a sentence and a mask over ``indices`` for each."""
        return []

    def batch_by_size(
        self,
        indices: Indices,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        required_batch_size_multiple: int = 1,
    ) -> Batches:
        """Batches of at most ``max_tokens`` padded frames and ``max_sentences`` utterances.

        ``indices`` are longest first, as `ordered_indices` gives them.
        ``required_batch_size_multiple`` is not applied: with it fairseq drops the last batch,
        in validation and generation too.

        Raises:
            ValueError: If an utterance alone is longer than ``max_tokens``.
        """
        sizes = self.sizes[indices]
        if len(indices) and max_tokens is not None and sizes[0] > max_tokens:
            longest = int(indices[0])
            raise ValueError(
                f"{self.manifest.path}: --max-tokens (in validation --max-tokens-valid) must hold "
                f"every utterance, but is {max_tokens} frames and utterance "
                f"{self.manifest[longest].id!r} has {self.sizes[longest]}; raise it."
            )
        return cut_by_size(indices, sizes, max_tokens, max_sentences)

    def features(self, index: int) -> Features:
        """The utterance's features, augmented in training: float32 ``(T, 80)``.

        Raises:
            ValueError: If the manifest's length is of another kind: batches are made by it.
        """
        return self.features_of(self.manifest, index)

    def features_of(self, manifest: Listing, index: int) -> Features:
        """The features of a manifest's utterance; see `features`."""
        utterance = manifest[index]
        features = read_features(utterance)
        if not 0.5 < len(features) / utterance.n_frames < 2:
            raise ValueError(
                f"{manifest.path}: 'n_frames' must count 10 ms frames, but is "
                f"{utterance.n_frames} for {len(features)} (utterance {utterance.id!r}); a "
                "manifest for waveforms counts samples: divide by 160."
            )
        if self.spec_augment is None:
            return features
        return self.spec_augment(features, int(self._epoch), index)
