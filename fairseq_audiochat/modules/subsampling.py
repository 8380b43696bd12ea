"""The convolutional front end: from 10 ms filterbank frames to 80 ms frames of model width.

Padding-invariant: what lies behind an utterance's end is zeroed before every convolution,
just as the convolution itself sees zeros beyond the end of an utterance that stands alone.
"""

import torch
from torch import Tensor, nn

from fairseq_audiochat.modules.mask import length_mask

STRIDES = (2, 2, 2)
FRAMES_PER_ENCODER_FRAME = STRIDES[0] * STRIDES[1] * STRIDES[2]  # 8 x 10 ms = 80 ms
_KERNEL_SIZE = 3


def subsampled_length(frame_lengths: Tensor) -> Tensor:
    """Encoder frames of recordings: their frames / 8, rounded up; any shape, int64."""
    return -(-frame_lengths // FRAMES_PER_ENCODER_FRAME)


class ConvSubsampling(nn.Module):
    """Three strided convolutions over time and frequency, then a linear layer.

    The paper (section 3.1) gives the output's frame rate and width, not the kernels.

    Args:
        num_mel_bins: Filterbank bins F.
        channels: Channels of each convolution.
        width: Model width E.
    """

    def __init__(self, num_mel_bins: int, channels: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, channels, _KERNEL_SIZE, stride, padding=_KERNEL_SIZE // 2)
            for inputs, stride in zip((1, channels, channels), STRIDES)
        )
        self.linear = nn.Linear(channels * -(-num_mel_bins // FRAMES_PER_ENCODER_FRAME), width)

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Subsample features.

        Args:
            features: Float ``(B, T, F)``.
            frame_lengths: Int64 ``(B,)``.

        Returns:
            Frames ``(B, ceil(T / 8), E)`` and their lengths ``(B,)``.
        """
        x, lengths = features.unsqueeze(1), frame_lengths  # (B, 1, T, F)
        for conv, stride in zip(self.convs, STRIDES):
            x = torch.relu(conv(_zero_padding(x, lengths)))  # (B, C, ceil(T / s), ceil(F / s))
            lengths = -(-lengths // stride)
        # (B, C, T, F) -> (B, T, C * F)
        return self.linear(x.transpose(1, 2).flatten(2)), lengths


def _zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    return x.masked_fill(~length_mask(lengths, x.size(2))[:, None, :, None], 0.0)
