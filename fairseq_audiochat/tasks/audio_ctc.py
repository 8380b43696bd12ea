"""The task ``audio_ctc``: pre-train the audio encoder on transcripts (section 3.1)."""

from dataclasses import dataclass, field
from typing import Any, Dict, List

import torch
from fairseq.tasks import register_task

from fairseq_audiochat.data.asr_dataset import AsrDataset
from fairseq_audiochat.data.vocabulary import Vocabulary
from fairseq_audiochat.tasks._speech_task import SpeechTask, SpeechTaskConfig, is_training_call

_VOCABULARY = "vocabulary"


@dataclass
class AudioCtcConfig(SpeechTaskConfig):
    """CTC pre-training on an ASR manifest."""

    vocabulary: str = field(
        default="spm.model",
        metadata={
            "help": "SentencePiece model in the data folder (1,500 pieces, section 3.1); a "
            "checkpoint holds its own"
        },
    )


@register_task("audio_ctc", dataclass=AudioCtcConfig)
class AudioCtcTask(SpeechTask):
    """Speech and transcripts."""

    cfg: AudioCtcConfig

    def __init__(self, cfg: AudioCtcConfig) -> None:
        super().__init__(cfg)
        # In the checkpoint, as a tensor: it needs no file beside it, and no pickled code.
        self.state.add_factory(_VOCABULARY, self._read_vocabulary)
        self._vocabulary: Vocabulary | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The checkpoint's vocabulary, or else the data folder's."""
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self.state.vocabulary.numpy().tobytes())
        return self._vocabulary

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Take over a checkpoint's vocabulary.

        Raises:
            ValueError: If another one is in use already, as when training is resumed with
                another vocabulary in the data folder.
        """
        super().load_state_dict(state_dict)
        stored = Vocabulary(self.state.vocabulary.numpy().tobytes())
        if self._vocabulary is not None and stored.model != self._vocabulary.model:
            raise ValueError(
                f"{self.path(self.cfg.vocabulary)}: the vocabulary must be the checkpoint's, but "
                f"has {len(self._vocabulary) - 1} other pieces; restore it or start a new run."
            )
        self._vocabulary = stored

    def load_dataset(self, split: str, **kwargs: Any) -> None:
        """Open a split; only the one that is trained on is augmented."""
        is_training = is_training_call(kwargs)
        self.datasets[split] = AsrDataset(
            self.manifest(split),
            self.vocabulary,
            spec_augment=self.spec_augment(is_training),
            max_audio_seconds=self.cfg.max_audio_seconds if is_training else None,
        )
        self.announce(split, is_training)

    def decode_all(self, paths: List[List[int]]) -> List[str]:
        """The texts of decoded pieces."""
        return [self.vocabulary.decode(path) for path in paths]

    def _read_vocabulary(self) -> torch.Tensor:
        model = Vocabulary.load(self.path(self.cfg.vocabulary)).model
        return torch.frombuffer(bytearray(model), dtype=torch.uint8)
