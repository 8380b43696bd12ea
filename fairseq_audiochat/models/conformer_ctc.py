"""The model ``conformer_ctc``: a conformer encoder with a CTC head, for pre-training."""

from argparse import Namespace
from dataclasses import dataclass, field
from typing import Any, Tuple

import torch
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model, register_model_architecture
from torch import Tensor, nn

from fairseq_audiochat.data.fbank import NUM_MEL_BINS
from fairseq_audiochat.modules.chunks import Chunks
from fairseq_audiochat.modules.conformer import ConformerEncoder
from fairseq_audiochat.modules.ctc_decoding import greedy_decode
from fairseq_audiochat.modules.precision import computing_in


@dataclass
class ConformerConfig(FairseqDataclass):
    """The encoder's size; the defaults are the paper's (section 3.1)."""

    encoder_layers: int = field(
        default=18, metadata={"help": "conformer layers: 18 or 36 (section 3.1)"}
    )
    encoder_width: int = field(default=512, metadata={"help": "model width (section 3.1)"})
    encoder_ffn_width: int = field(
        default=2048, metadata={"help": "inner width of the feed-forward modules (section 3.1)"}
    )
    encoder_heads: int = field(default=8, metadata={"help": "attention heads (section 3.1)"})
    encoder_kernel_size: int = field(
        default=11, metadata={"help": "frames of the depthwise convolution (section 3.1)"}
    )
    encoder_dropout: float = field(
        default=0.1, metadata={"help": "dropout (Gulati et al. 2020; the paper names none)"}
    )
    subsampling_channels: int = field(
        default=256,
        metadata={"help": "channels of the convolutional front end (the paper names none)"},
    )


@dataclass
class ComputationConfig(FairseqDataclass):
    """How the encoder computes; what a checkpoint holds does not depend on it."""

    encoder_dtype: ChoiceEnum(["float32", "bfloat16"]) = field(  # type: ignore[valid-type]
        default="float32",
        metadata={
            "help": "dtype in which the encoder (and the adapter) computes; its weights, their "
            "optimizer and the losses stay float32"
        },
    )

    checkpoint_activations: bool = field(
        default=False,
        metadata={
            "help": "keep only what each layer reads for the backward pass, and compute the rest "
            "again: less memory, about a third more time"
        },
    )


@dataclass
class ConformerCtcConfig(ConformerConfig, ComputationConfig):
    """CTC pre-training needs nothing but the encoder."""


def build_encoder(cfg: ConformerConfig) -> ConformerEncoder:
    """The encoder that a config describes."""
    return ConformerEncoder(
        num_mel_bins=NUM_MEL_BINS,
        subsampling_channels=cfg.subsampling_channels,
        layers=cfg.encoder_layers,
        width=cfg.encoder_width,
        ffn_width=cfg.encoder_ffn_width,
        heads=cfg.encoder_heads,
        kernel_size=cfg.encoder_kernel_size,
        dropout=cfg.encoder_dropout,
    )


@register_model("conformer_ctc", dataclass=ConformerCtcConfig)
class ConformerCtcModel(BaseFairseqModel):
    """Encoder and a linear head over pieces and blank.

    Args:
        encoder: From features to frames.
        vocabulary_size: Classes V, the blank among them.
        encoder_dtype: In which the encoder computes; the head computes in that of its weights.
    """

    def __init__(
        self,
        encoder: ConformerEncoder,
        vocabulary_size: int,
        encoder_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder_dtype = encoder_dtype
        self.head = nn.Linear(encoder.width, vocabulary_size)

    @classmethod
    def build_model(cls, cfg: ConformerCtcConfig, task: Any) -> "ConformerCtcModel":
        """Build the model for a task that has a vocabulary."""
        encoder = build_encoder(cfg)
        if cfg.checkpoint_activations:
            encoder.checkpoint_activations()
        return cls(encoder, len(task.vocabulary), getattr(torch, str(cfg.encoder_dtype)))

    def forward(self, features: Tensor, frame_lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """Class scores of 80 ms frames.

        Args:
            features: Float ``(B, T, 80)``.
            frame_lengths: Int64 ``(B,)``.

        Returns:
            Logits ``(B, ceil(T / 8), V)`` and their lengths ``(B,)``.
        """
        with computing_in(self.encoder_dtype, features.device):
            frames, lengths = self.encoder(features, frame_lengths)
        return self.head(frames.to(self.head.weight.dtype)), lengths

    def transcribe(self, features: Tensor, frame_lengths: Tensor) -> "list[list[int]]":
        """Greedy labels of each utterance; arguments as in `forward`."""
        logits, lengths = self(features, frame_lengths)
        return greedy_decode(logits, lengths, blank=logits.size(-1) - 1)

    def encode_in_chunks(self, chunks: "Chunks | None") -> None:
        """See `ConformerEncoder.encode_in_chunks`."""
        self.encoder.encode_in_chunks(chunks)

    def max_positions(self) -> None:
        """No limit: relative positions reach as far as the memory."""
        return


@register_model_architecture("conformer_ctc", "conformer_ctc_18l")
def conformer_ctc_18l(args: Namespace) -> None:
    """The paper's smaller encoder (section 3.1)."""
    args.encoder_layers = getattr(args, "encoder_layers", 18)


@register_model_architecture("conformer_ctc", "conformer_ctc_36l")
def conformer_ctc_36l(args: Namespace) -> None:
    """The paper's larger encoder (section 3.1)."""
    args.encoder_layers = getattr(args, "encoder_layers", 36)


@register_model_architecture("conformer_ctc", "conformer_ctc_tiny")
def conformer_ctc_tiny(args: Namespace) -> None:
    """Small enough to learn on a CPU in minutes."""
    args.encoder_layers = getattr(args, "encoder_layers", 5)
    args.encoder_width = getattr(args, "encoder_width", 144)
    args.encoder_ffn_width = getattr(args, "encoder_ffn_width", 576)
    args.encoder_heads = getattr(args, "encoder_heads", 4)
    args.subsampling_channels = getattr(args, "subsampling_channels", 32)
