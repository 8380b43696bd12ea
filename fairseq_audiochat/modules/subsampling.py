"""The convolutional front end: from 10 ms filterbank frames to 80 ms frames of model width.

Padding-invariant: what lies behind an utterance's end is zeroed before every convolution,
just as the convolution itself sees zeros beyond the end of an utterance that stands alone.
"""

import torch
from torch import Tensor, nn

from fairseq_audiochat.modules.mask import length_mask
from fairseq_audiochat.modules.recompute import recomputed

STRIDES = (2, 2, 2)
FRAMES_PER_ENCODER_FRAME = STRIDES[0] * STRIDES[1] * STRIDES[2]  # 8 x 10 ms = 80 ms
_KERNEL_SIZE = 3
# 30 s. The first convolution turns 10 ms into 20 KB (fp32): an hour at once would need 7 GB.
_BLOCK_FRAMES = 375 * FRAMES_PER_ENCODER_FRAME


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
        blocks = []
        for start in range(0, features.size(1), _BLOCK_FRAMES):
            # A frame reaches back into the one before it, which the block before has given.
            context = min(start, FRAMES_PER_ENCODER_FRAME)
            block = features[:, start - context : start + _BLOCK_FRAMES]
            encoded = self._block(block, frame_lengths - (start - context))
            blocks.append(encoded[:, context // FRAMES_PER_ENCODER_FRAME :])
        return torch.cat(blocks, dim=1), subsampled_length(frame_lengths)

    def _block(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features ``(B, T, F)``, of which ``lengths`` are there, to ``(B, ceil(T / 8), E)``."""
        # (B, T, F) -> (B, 1, T, F) -> (B, C, ceil(T / 4), ceil(F / 4))
        x = recomputed(self._first_two, features.unsqueeze(1), lengths)
        x = x.masked_fill_(_behind_end(x, -(-lengths // 4)), 0.0).relu_()
        x = self.convs[2](x).relu_()
        # (B, C, T, F) -> (B, T, C * F)
        output: Tensor = self.linear(x.transpose(1, 2).flatten(2))
        return output

    def _first_two(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Between these lie four in five of the front end's activations, at little cost."""
        first, second = self.convs[0], self.convs[1]
        x = first(x.masked_fill(_behind_end(x, lengths), 0.0))
        output: Tensor = second(x.masked_fill_(_behind_end(x, -(-lengths // 2)), 0.0).relu_())
        return output


def _behind_end(x: Tensor, lengths: Tensor) -> Tensor:
    """Where ``(B, C, T, F)`` is padding, to broadcast against it."""
    return ~length_mask(lengths, x.size(2))[:, None, :, None]
