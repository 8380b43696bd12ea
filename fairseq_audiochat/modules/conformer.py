"""The conformer encoder (Gulati et al. 2020), the same for an utterance alone and in a batch.

One deviation: the convolution module normalises with LayerNorm where Gulati et al. have
BatchNorm, whose statistics would make an utterance's gradient depend on its batch, on the
number of processes and on the padding.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_audiochat.modules.mask import length_mask
from fairseq_audiochat.modules.relative_attention import RelativeSelfAttention, relative_positions
from fairseq_audiochat.modules.subsampling import ConvSubsampling, subsampled_length


class FeedForward(nn.Sequential):
    """Half-step feed-forward module: ``(B, T, E) -> (B, T, E)``."""

    def __init__(self, width: int, ffn_width: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, ffn_width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(ffn_width, width),
            nn.Dropout(dropout),
        )


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise and pointwise convolution over time.

    Args:
        width: Model width E.
        kernel_size: Odd number of frames.
        dropout: Dropout of the output.

    Raises:
        ValueError: If the kernel size is even.
    """

    def __init__(self, width: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(
                f"--encoder-kernel-size must be odd, but is {kernel_size}; a centred convolution "
                "has as many frames to its left as to its right."
            )
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(
            width, width, kernel_size, padding=kernel_size // 2, groups=width
        )
        self.depthwise_norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Convolve ``(B, T, E)``; frames outside ``mask`` ``(B, T)`` count as zeros."""
        x = F.glu(self.gate(self.norm(x)), dim=-1)
        x = x.masked_fill(~mask.unsqueeze(-1), 0.0)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        output: Tensor = self.dropout(self.output(F.silu(self.depthwise_norm(x))))
        return output


class ConformerLayer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(
        self, width: int, ffn_width: int, heads: int, kernel_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.feed_forward_in = FeedForward(width, ffn_width, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = RelativeSelfAttention(width, heads, dropout)
        self.attention_dropout = nn.Dropout(dropout)
        self.convolution = ConvolutionModule(width, kernel_size, dropout)
        self.feed_forward_out = FeedForward(width, ffn_width, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Transform frames ``(B, T, E)``; ``mask`` and ``positions`` as in the attention."""
        x = x + 0.5 * self.feed_forward_in(x)
        x = x + self.attention_dropout(self.attention(self.attention_norm(x), mask, positions))
        x = x + self.convolution(x, mask)
        x = x + 0.5 * self.feed_forward_out(x)
        output: Tensor = self.norm(x)
        return output


class ConformerEncoder(nn.Module):
    """Filterbanks to 80 ms frames (the paper's section 3.1).

    Any encoder with this signature, ``width`` and `output_lengths` can take its place.

    Args:
        num_mel_bins: Filterbank bins F.
        subsampling_channels: Channels of the convolutional front end.
        layers: Number of conformer layers.
        width: Model width E.
        ffn_width: Inner width of the feed-forward modules.
        heads: Attention heads.
        kernel_size: Frames of the depthwise convolution.
        dropout: Dropout everywhere.
    """

    def __init__(
        self,
        num_mel_bins: int,
        subsampling_channels: int,
        layers: int,
        width: int,
        ffn_width: int,
        heads: int,
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = width
        self.subsampling = ConvSubsampling(num_mel_bins, subsampling_channels, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            ConformerLayer(width, ffn_width, heads, kernel_size, dropout) for _ in range(layers)
        )

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode recordings.

        Args:
            features: Float ``(B, T, F)``.
            frame_lengths: Int64 ``(B,)``, at least 1 each.

        Returns:
            Frames ``(B, ceil(T / 8), E)``, zero behind each end, and their lengths ``(B,)``.
        """
        # fairseq-generate --fp16 halves the model, but not what it reads
        features = features.to(self.subsampling.linear.weight.dtype)
        x, lengths = self.subsampling(features, frame_lengths)
        mask = length_mask(lengths, x.size(1))
        positions = relative_positions(x.size(1), self.width, like=x)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, mask, positions)
        return x.masked_fill(~mask.unsqueeze(-1), 0.0), lengths

    @staticmethod
    def output_lengths(frame_lengths: Tensor) -> Tensor:
        """Encoder frames of recordings with that many 10 ms frames."""
        return subsampled_length(frame_lengths)
