"""The cascade: a CTC checkpoint recognises the recordings, and the LLM reads the transcripts."""

from pathlib import Path
from typing import Any, Dict, List, Optional

import torch
from fairseq import checkpoint_utils
from torch import Tensor

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.prompt_batch import collate_prompts
from fairseq_audiochat.metrics.word_errors import WordErrors, word_errors
from fairseq_audiochat.models.conformer_ctc import ConformerCtcModel
from fairseq_audiochat.modules.chunks import Chunks
from fairseq_audiochat.tasks.audio_ctc import AudioCtcTask


class Cascade:
    """Puts what is recognised in the place of the recordings.

    Args:
        checkpoint_path: A checkpoint of the task ``audio_ctc``, or an exported folder of it.
        template: The LLM's chat template.
        pad: Padding id of token tensors.
        chunks: In which the recogniser takes long recordings, whatever it was trained with.

    Raises:
        FileNotFoundError: If the checkpoint is missing.
        ValueError: If it is another task's.
    """

    def __init__(
        self,
        checkpoint_path: str,
        template: ChatTemplate,
        pad: int,
        chunks: Optional[Chunks] = None,
    ) -> None:
        if not Path(checkpoint_path).exists():
            raise FileNotFoundError(
                f"{checkpoint_path}: --asr-checkpoint must exist, but does not; give that of a "
                "training with --task audio_ctc."
            )
        state = checkpoint_utils.load_checkpoint_to_cpu(checkpoint_path)
        name = state["cfg"].task.get("_name")
        if name != "audio_ctc":
            raise ValueError(
                f"{checkpoint_path}: --asr-checkpoint must be a checkpoint of audio_ctc, but is "
                f"one of {name!r}; give the one that pre-training made."
            )
        models, _, task = checkpoint_utils.load_model_ensemble_and_task(
            [checkpoint_path], state=state
        )
        self.task: AudioCtcTask = task
        self.model: ConformerCtcModel = models[0].eval()
        self.model.encode_in_chunks(chunks)
        self.template, self.pad = template, pad

    @torch.no_grad()
    def transcribe(self, features: Tensor, frame_lengths: Tensor) -> List[str]:
        """Transcripts of recordings ``(C, T, 80)`` with lengths ``(C,)``, greedily."""
        self.model.to(features.device)
        return self.task.decode_all(self.model.transcribe(features, frame_lengths))

    def replace_audio(self, sample: Dict[str, Any], max_positions: int) -> WordErrors:
        """Give a batch text prompts instead of spoken ones.

        Args:
            sample: The batch; its prompts are replaced.
            max_positions: What prompt and response may need together.

        Returns:
            The word errors of the new prompts.

        Raises:
            ValueError: If a prompt and its response need more.
        """
        net_input = sample["net_input"]
        features, frame_lengths = net_input["features"], net_input["frame_lengths"]
        transcripts = self.transcribe(features, frame_lengths)
        left = iter(transcripts)
        prompts = [
            self.template.prompt(conversation.written([next(left) for _ in conversation.clips()]))
            for conversation in sample["conversations"]
        ]
        self._refuse_long(sample, prompts, max_positions)
        text_input = collate_prompts(prompts, [[] for _ in prompts], self.pad)
        net_input.update({name: part.to(features.device) for name, part in text_input.items()})
        return word_errors(sample["transcripts"], transcripts)

    def _refuse_long(
        self, sample: Dict[str, Any], prompts: List[List[int]], max_positions: int
    ) -> None:
        targets = (sample["target"] != self.pad).sum(1).tolist()
        for utterance_id, prompt, target in zip(sample["utterance_ids"], prompts, targets):
            if len(prompt) + target > max_positions:
                raise ValueError(
                    f"utterance {utterance_id!r}: what --asr-checkpoint recognises must fit into "
                    f"the LLM's {max_positions} positions with its response, but needs "
                    f"{len(prompt) + target}; leave the utterance out of every arm."
                )
