"""fairseq's encoder: from a conversation's text and recordings to the LLM's prompt."""

from typing import Any, Callable, Dict, List

import torch
from fairseq.models import FairseqEncoder
from torch import Tensor

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.modules.audio_adapter import AudioAdapter
from fairseq_audiochat.modules.conformer import ConformerEncoder
from fairseq_audiochat.modules.mask import length_mask
from fairseq_audiochat.modules.precision import computing_in
from fairseq_audiochat.modules.prompt_assembly import (
    PromptEmbeddings,
    assemble_prompts,
    common_prefix_length,
)

EncoderOut = Dict[str, List[Tensor]]


class TextPromptEncoder(FairseqEncoder):
    """Looks up the embeddings of the prompt's tokens; there are no recordings.

    Args:
        embed_tokens: The frozen LLM's embedding lookup.
    """

    def __init__(self, embed_tokens: Callable[[Tensor], Tensor]) -> None:
        super().__init__(dictionary=None)
        self.embed_tokens = embed_tokens

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        features: Tensor,
        frame_lengths: Tensor,
    ) -> EncoderOut:
        """Build prompts; the arguments are those of `collate_prompts`.

        Returns:
            ``prompt_embeddings`` ``(B, P, D)``, ``prompt_lengths`` ``(B,)``;
            ``common_prefix`` ``(Q, D)``: what all prompts begin with; and ``utterance_index``
            ``(B,)``: the prompt that each row of the decoder reads, which is all that a reorder
            changes.
        """
        placeholders = src_tokens == AUDIO_PLACEHOLDER
        is_entry = length_mask(src_lengths, src_tokens.size(1))
        tokens = src_tokens.masked_fill(placeholders | ~is_entry, 0)  # any id: not looked at
        embeddings = self.embed_tokens(tokens)
        if len(features):
            audio, audio_lengths = self.embed_audio(features, frame_lengths)
        else:
            audio, audio_lengths = features.new_zeros(0, 0, embeddings.size(-1)), frame_lengths
        prompts = assemble_prompts(embeddings, src_lengths, placeholders, audio, audio_lengths)
        rows = torch.arange(len(src_tokens), device=src_tokens.device)
        prefix = embeddings[0, : common_prefix_length(tokens, src_lengths, placeholders)]
        return {
            "prompt_embeddings": [prompts.embeddings],
            "prompt_lengths": [prompts.lengths],
            "common_prefix": [prefix],
            "utterance_index": [rows],
        }

    def embed_audio(self, features: Tensor, frame_lengths: Tensor) -> "tuple[Tensor, Tensor]":
        """Embeddings of recordings, which only a `PromptEncoder` makes."""
        raise NotImplementedError("Recordings need a PromptEncoder.")

    def reorder_encoder_out(self, encoder_out: EncoderOut, new_order: Tensor) -> EncoderOut:
        """Let rows read other prompts; the prompts themselves are never copied."""
        index = encoder_out["utterance_index"][0].index_select(0, new_order)
        return {**encoder_out, "utterance_index": [index]}

    def max_positions(self) -> None:
        """No limit of its own."""
        return


class PromptEncoder(TextPromptEncoder):
    """Encodes recordings and puts them between the embeddings of the prompt's tokens.

    Args:
        audio_encoder: From features to frames.
        adapter: From frames to embeddings of the LLM's width.
        embed_tokens: The frozen LLM's embedding lookup.
        dtype: In which the audio encoder and the adapter compute.
    """

    def __init__(
        self,
        audio_encoder: ConformerEncoder,
        adapter: AudioAdapter,
        embed_tokens: Callable[[Tensor], Tensor],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(embed_tokens)
        self.audio_encoder = audio_encoder
        self.adapter = adapter
        self.dtype = dtype

    def embed_audio(self, features: Tensor, frame_lengths: Tensor) -> "tuple[Tensor, Tensor]":
        """Embeddings ``(C, A, D)`` of recordings ``(C, T, 80)``, and their lengths ``(C,)``."""
        with computing_in(self.dtype, features.device):
            frames, lengths = self.audio_encoder(features, frame_lengths)
            adapted: tuple[Tensor, Tensor] = self.adapter(frames, lengths)
        return adapted

    def audio_positions(self, frame_lengths: Any) -> Any:
        """Prompt positions of recordings with that many 10 ms frames (tensor or array)."""
        return self.adapter.output_lengths(self.audio_encoder.output_lengths(frame_lengths))


def prompts_of(encoder_out: EncoderOut) -> PromptEmbeddings:
    """The prompts in an encoder's output, one per utterance."""
    return PromptEmbeddings(encoder_out["prompt_embeddings"][0], encoder_out["prompt_lengths"][0])
