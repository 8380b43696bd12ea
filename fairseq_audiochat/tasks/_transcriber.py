"""A CTC checkpoint as the first half of a cascade: recordings in, transcripts out."""

from typing import List

from fairseq.checkpoint_utils import load_checkpoint_to_cpu, load_model_ensemble_and_task
from torch import Tensor

from fairseq_audiochat.models.conformer_ctc import ConformerCtcModel
from fairseq_audiochat.tasks.audio_ctc import AudioCtcTask


class Transcriber:
    """Recognises speech greedily.

    Args:
        checkpoint_path: A checkpoint of the task ``audio_ctc``.

    Raises:
        ValueError: If it is another task's.
    """

    def __init__(self, checkpoint_path: str) -> None:
        state = load_checkpoint_to_cpu(checkpoint_path)
        name = state["cfg"].task.get("_name")
        if name != "audio_ctc":
            raise ValueError(
                f"{checkpoint_path}: --asr-checkpoint must be a checkpoint of audio_ctc, but is "
                f"one of {name!r}."
            )
        models, _, task = load_model_ensemble_and_task([checkpoint_path], state=state)
        self.task: AudioCtcTask = task
        self.model: ConformerCtcModel = models[0].eval()

    def __call__(self, features: Tensor, frame_lengths: Tensor) -> List[str]:
        """Transcripts of recordings ``(C, T, 80)`` with lengths ``(C,)``."""
        self.model.to(features.device)
        return self.task.decode_all(self.model.transcribe(features, frame_lengths))
