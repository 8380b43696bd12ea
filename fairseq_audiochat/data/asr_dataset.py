"""Speech and transcripts, for CTC pre-training.

Axes: B utterances, T frames of 10 ms, L pieces. Knows no model.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fairseq_audiochat.data.batches import Indices
from fairseq_audiochat.data.limits import audio_limit
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.padding import pad_features, pad_tokens
from fairseq_audiochat.data.spec_augment import SpecAugment
from fairseq_audiochat.data.speech_dataset import SpeechDataset
from fairseq_audiochat.data.vocabulary import Vocabulary


class AsrDataset(SpeechDataset):
    """Utterances with their transcripts as pieces.

    Args:
        manifest: The split's utterances.
        vocabulary: The CTC vocabulary.
        spec_augment: See `SpeechDataset`.
        max_audio_seconds: Longer utterances are excluded, and counted.
    """

    def __init__(
        self,
        manifest: Manifest,
        vocabulary: Vocabulary,
        spec_augment: SpecAugment | None = None,
        max_audio_seconds: float | None = None,
    ) -> None:
        super().__init__(manifest, spec_augment)
        self.without_text = manifest.without_text
        self.vocabulary = vocabulary
        self.max_audio_seconds = max_audio_seconds

    def unusable(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Utterances without a word."""
        return [("have an empty transcript", self.without_text()[indices])]

    def exceeding(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Utterances over ``max_audio_seconds``."""
        return audio_limit(self.sizes[indices], self.max_audio_seconds)

    def __getitem__(self, index: int) -> dict[str, Any]:
        utterance = self.manifest[index]
        return {
            "index": index,
            "utterance": utterance,
            "features": self.features(index),
            "target": self.vocabulary.encode(utterance.text),
        }

    def collater(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch: features ``(B, T, 80)``, their lengths, targets ``(B, L)``, and the texts."""
        if not items:
            return {}
        features, frame_lengths = pad_features([item["features"] for item in items])
        targets = [item["target"] for item in items]
        return {
            "id": torch.tensor([item["index"] for item in items]),
            "nsentences": len(items),
            "ntokens": sum(map(len, targets)),
            "net_input": {"features": features, "frame_lengths": frame_lengths},
            "target": pad_tokens(targets, pad=self.vocabulary.blank),
            "target_lengths": torch.tensor([len(target) for target in targets]),
            "utterance_ids": [item["utterance"].id for item in items],
            "transcripts": [item["utterance"].text for item in items],
        }
