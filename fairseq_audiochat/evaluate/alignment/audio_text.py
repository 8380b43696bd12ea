"""Recordings and transcripts as embeddings in the space that the LLM reads.

Knows no metric, and nothing of the LLM but its embeddings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from fairseq.models import FairseqEncoderDecoderModel
from torch import Tensor

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND
from fairseq_audiochat.evaluate.alignment.nearest_tokens import nearest_tokens
from fairseq_audiochat.metrics.alignment import Cosines, Ids

_PROBED_FRAMES = 60 * FRAMES_PER_SECOND


class Heard(NamedTuple):
    """A recording as the LLM is given it.

    Args:
        embeddings: Of length 1, ``(A, D)``.
        nearest: The vocabulary's nearest entries, ``(A, k)``.
    """

    embeddings: Tensor
    nearest: Ids


class AudioText:
    """Embeds recordings with a trained encoder, and tokens with the LLM's embeddings.

    Args:
        model: In eval mode.
        template: The chat template; its tokenizer reads transcripts.
        k: Nearest entries to look for.
    """

    def __init__(self, model: FairseqEncoderDecoderModel, template: ChatTemplate, k: int) -> None:
        self.encoder, self.template = model.encoder, template
        weight = model.decoder.llm.causal_lm.get_input_embeddings().weight
        # Rows behind the tokenizer's last id are padding that nothing was ever written with.
        self.vocabulary = weight[: template.vocabulary_size]
        self.k = min(k, len(self.vocabulary))
        self.seconds_per_position = frames_per_position(model) / FRAMES_PER_SECOND

    @torch.inference_mode()
    def hear(self, features: Tensor, frame_lengths: Tensor) -> list[Heard]:
        """Embed a batch of recordings ``(C, T, 80)`` of ``frame_lengths`` ``(C,)``."""
        device = self.vocabulary.device
        audio, lengths = self.encoder.embed_audio(features.to(device), frame_lengths.to(device))
        clips = [clip[:length].float() for clip, length in zip(audio, lengths.tolist())]
        nearest = nearest_tokens(torch.cat(clips), self.vocabulary, self.k).cpu()
        return [
            Heard(F.normalize(clip, dim=-1), ids.numpy())
            for clip, ids in zip(clips, nearest.split(lengths.tolist()))
        ]

    @torch.inference_mode()
    def cosines(self, tokens: Sequence[int], heard: Heard) -> Cosines:
        """Cosines ``(N, A)`` of tokens and audio positions."""
        ids = torch.tensor(tokens, dtype=torch.int64, device=self.vocabulary.device)
        text = F.normalize(self.encoder.embed_tokens(ids).float(), dim=-1)
        cosines: Cosines = (text @ heard.embeddings.T).cpu().numpy()
        return cosines


def frames_per_position(model: FairseqEncoderDecoderModel) -> int:
    """10 ms frames that an audio position stands for, as the model itself counts positions.

    It is how many lengths of recordings have the same number of positions, so that it holds for
    every encoder and every number of stacked frames.

    Raises:
        ValueError: If a minute of audio has fewer than three positions.
    """
    positions = model.encoder.audio_positions(torch.arange(1, _PROBED_FRAMES + 1))
    if positions[-1] < 3:
        raise ValueError(
            f"The model must have at least three positions for {_PROBED_FRAMES} frames of audio, "
            f"but has {int(positions[-1])}; --stack-frames is too large to draw an axis."
        )
    return int((positions == 2).sum())
