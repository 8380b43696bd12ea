"""What stands in prompts, and prompts that mix text and recordings as a batch.

A batch's axes, here and everywhere: B utterances, C recordings, S samples, T frames of 10 ms,
E encoder width, A audio positions, P prompt positions, L response tokens, D LLM width,
V vocabulary, K beams.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import torch

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.padding import pad_features, pad_tokens


class PromptKind(Enum):
    """What stands in the prompt for the user's words."""

    AUDIO = "audio"
    TEXT = "text"
    NONE = "none"

    @staticmethod
    def of(option: str) -> "PromptKind":
        """The kind for ``--prompt``; a cascade begins with the recording."""
        return PromptKind("audio" if option == "cascade" else option)


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
