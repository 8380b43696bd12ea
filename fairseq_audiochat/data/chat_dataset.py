"""Spoken prompts and the LLM's responses to their transcripts, for distillation.

A batch's axes, here and everywhere: B utterances, C recordings, S samples, T frames of 10 ms,
E encoder width, A audio positions, P prompt positions, L response tokens, D LLM width,
V vocabulary, K beams. Knows no model: how many positions a recording takes is a function that
it is given.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fairseq_audiochat.data.batches import Batches, Indices
from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER, ChatTemplate
from fairseq_audiochat.data.context_limit import ContextLimit
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.cost_limit import cut_by_cost
from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.limits import audio_limit
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.padding import pad_features, pad_tokens
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.data.spec_augment import SpecAugment
from fairseq_audiochat.data.speech_dataset import SpeechDataset


class PromptKind(Enum):
    """What stands in the prompt for the user's words."""

    AUDIO = "audio"
    TEXT = "text"
    NONE = "none"

    @staticmethod
    def of(option: str) -> "PromptKind":
        """The kind for ``--prompt``; a cascade begins with the recording."""
        return PromptKind("audio" if option == "cascade" else option)


class ChatDataset(SpeechDataset):
    """Utterances with their responses.

    Args:
        manifest: The split's utterances.
        responses: Their responses, aligned with the manifest.
        template: The LLM's chat template.
        prompts: What the LLM reads: the recordings, their transcripts, or nothing.
        pad: Padding id of token tensors; no id of the LLM.
        spec_augment: See `SpeechDataset`.
        max_audio_seconds: Longer utterances are excluded, and counted.
        context: What fits into the LLM; utterances over it are excluded, and counted.
        max_llm_positions: Positions of prompts and responses per batch; None is no limit.
    """

    def __init__(
        self,
        manifest: Manifest,
        responses: Responses,
        template: ChatTemplate,
        prompts: PromptKind,
        pad: int,
        spec_augment: SpecAugment | None = None,
        max_audio_seconds: float | None = None,
        context: ContextLimit | None = None,
        max_llm_positions: int | None = None,
    ) -> None:
        super().__init__(manifest, spec_augment)
        self.responses = responses
        self.template = template
        self.prompts = prompts
        self.pad = pad
        self.max_audio_seconds = max_audio_seconds
        self.context = context
        self.max_llm_positions = max_llm_positions
        self._audio_prompt = template.prompt(Conversation.of_audio())
        self._empty_prompt = template.prompt(Conversation.of_text(""))

    def unusable(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Utterances whose responses are excluded, by reason."""
        return [
            (f"have a response that is excluded ({reason})", excluded[indices])
            for reason, excluded in self.responses.exclusions().items()
        ]

    def exceeding(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Utterances over ``max_audio_seconds``, or over the LLM's context."""
        limits = audio_limit(self.sizes[indices], self.max_audio_seconds)
        if self.context is not None:
            rule = f"need more than the {self.context.max_positions} positions of the LLM"
            limits.append((rule, self._positions(indices) > self.context.max_positions))
        return limits

    def batch_by_size(
        self,
        indices: Indices,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        required_batch_size_multiple: int = 1,
    ) -> Batches:
        """Batches of at most ``max_llm_positions`` besides what `SpeechDataset` limits.

        The encoder computes padded frames, the LLM its positions without padding.

        Raises:
            ValueError: If an utterance alone exceeds a limit.
        """
        batches = super().batch_by_size(indices, max_tokens, max_sentences)
        if self.max_llm_positions is None or self.context is None or not batches:
            return batches
        positions = self._positions(indices)
        longest = int(np.argmax(positions))
        if positions[longest] > self.max_llm_positions:
            raise ValueError(
                f"{self.manifest.path}: --max-llm-positions must hold every utterance, but is "
                f"{self.max_llm_positions} and utterance "
                f"{self.manifest[int(indices[longest])].id!r} needs {positions[longest]}; raise it."
            )
        return cut_by_cost(batches, positions, self.max_llm_positions)

    def _positions(self, indices: Indices) -> Indices:
        assert self.context is not None
        template = len(self._audio_prompt) - 1  # the placeholder is replaced by the audio
        audio = template + self.context.audio_positions(self.sizes[indices])
        # The longer of the two in every arm: all arms are measured on the same utterances.
        prompts: Indices = np.maximum(audio, self.responses.prompt_lengths()[indices])
        return prompts + self.responses.lengths()[indices]

    def __getitem__(self, index: int) -> dict[str, Any]:
        utterance = self.manifest[index]
        response = self.responses.to_transcript(index, self.template)
        spoken = self.prompts is PromptKind.AUDIO
        prompts = {
            PromptKind.AUDIO: self._audio_prompt,
            PromptKind.TEXT: response.prompt,
            PromptKind.NONE: self._empty_prompt,
        }
        return {
            "index": index,
            "utterance": utterance,
            "prompt": prompts[self.prompts],
            "clips": [self.features(index)] if spoken else [],
            "target": response.target(self.template.eos_id),
        }

    def collater(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch: prompts (see `collate_prompts`), targets ``(B, L)`` and decoder inputs.

        The decoder reads the prompt's last token first, so the first response token is
        predicted in training as it is in search.
        """
        if not items:
            return {}
        targets = [item["target"] for item in items]
        prompts = [item["prompt"] for item in items]
        previous = [[prompt[-1], *target[:-1]] for prompt, target in zip(prompts, targets)]
        net_input = collate_prompts(prompts, [item["clips"] for item in items], self.pad)
        net_input["prev_output_tokens"] = pad_tokens(previous, self.pad)
        return {
            "id": torch.tensor([item["index"] for item in items]),
            "nsentences": len(items),
            "ntokens": sum(map(len, targets)),
            "net_input": net_input,
            "target": pad_tokens(targets, self.pad),
            "utterance_ids": [item["utterance"].id for item in items],
            "transcripts": [item["utterance"].text for item in items],
        }


def collate_prompts(
    prompts: Sequence[Sequence[int]], clips: Sequence[Sequence[Features]], pad: int
) -> dict[str, Any]:
    """Batch prompts that mix text and recordings.

    Args:
        prompts: Per utterance, the template's ids with ``AUDIO_PLACEHOLDER`` for recordings.
        clips: Per utterance, the features of its recordings in order.
        pad: Padding id.

    Returns:
        ``src_tokens`` ``(B, N)``: the ids but the last, which is the decoder's first input;
        ``src_lengths`` ``(B,)``; ``features`` ``(C, T, 80)`` and ``frame_lengths`` ``(C,)`` of
        all recordings, in the order of the placeholders.

    Raises:
        ValueError: If a prompt has not one placeholder for each of its recordings.
    """
    for row, (prompt, recordings) in enumerate(zip(prompts, clips)):
        placeholders = list(prompt).count(AUDIO_PLACEHOLDER)
        if placeholders != len(recordings):
            raise ValueError(
                f"Prompt {row} must have one recording for each of its {placeholders} audio "
                f"parts, but has {len(recordings)}."
            )
    features, frame_lengths = pad_features([clip for row in clips for clip in row])
    return {
        "src_tokens": pad_tokens([list(prompt[:-1]) for prompt in prompts], pad),
        "src_lengths": torch.tensor([len(prompt) - 1 for prompt in prompts]),
        "features": features,
        "frame_lengths": frame_lengths,
    }
