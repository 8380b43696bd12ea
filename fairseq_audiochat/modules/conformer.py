"""The conformer encoder (Gulati et al. 2020), the same for an utterance alone and in a batch.

One deviation: the convolution module normalises with LayerNorm where Gulati et al. have
BatchNorm, whose statistics would make an utterance's gradient depend on its batch, on the
number of processes and on the padding.
"""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_audiochat.modules.chunks import Chunk, Chunks
from fairseq_audiochat.modules.dropout import Dropout
from fairseq_audiochat.modules.packing import Packing
from fairseq_audiochat.modules.recompute import recomputed
from fairseq_audiochat.modules.relative_attention import RelativeSelfAttention, relative_positions
from fairseq_audiochat.modules.subsampling import ConvSubsampling, subsampled_length

# Chunks are computed together up to so many frames (5.5 minutes): of the paper's inner width, a
# tensor of them has 32 MB, and a GPU has enough to do.
_CHUNK_FRAMES_AT_A_TIME = 4096


class FeedForward(nn.Sequential):
    """Half-step feed-forward module: ``(N, E) -> (N, E)``."""

    def __init__(self, width: int, ffn_width: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, ffn_width),
            nn.SiLU(),
            Dropout(dropout),
            nn.Linear(ffn_width, width),
            Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform frames; of the inner width, only one tensor is kept for the backward pass."""
        norm, expand, activation, inner_dropout, contract, dropout = self
        output: Tensor = dropout(
            recomputed(lambda h: contract(inner_dropout(activation(h))), expand(norm(x)))
        )
        return output


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
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """Convolve packed frames ``(N, E)``; beyond an utterance's ends are zeros."""
        x = self._over_time(F.glu(self.gate(self.norm(x)), dim=-1), packing)
        output: Tensor = self.dropout(self.output(F.silu(self.depthwise_norm(x))))
        return output

    def _over_time(self, x: Tensor, packing: Packing) -> Tensor:
        """The depthwise convolution: ``(N, E) -> (N, E)``.

        As an image of one column, the packed row is in the order called channels last, which
        the 2-D kernels read and write as it is; the 1-D ones transpose.
        """
        conv = self.depthwise
        reach = conv.kernel_size[0] // 2
        # (N, E) -> (1, E, N + gaps, 1)
        image = packing.spread(x, gap=reach)[None, :, None].permute(0, 3, 1, 2)
        weight = conv.weight.unsqueeze(3)
        image = F.conv2d(image, weight, conv.bias, padding=(reach, 0), groups=conv.groups)
        return packing.gather(image.permute(0, 2, 3, 1)[0, :, 0], gap=reach)


class ConformerLayer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(
        self, width: int, ffn_width: int, heads: int, kernel_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.feed_forward_in = FeedForward(width, ffn_width, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = RelativeSelfAttention(width, heads, dropout)
        self.attention_dropout = Dropout(dropout)
        self.convolution = ConvolutionModule(width, kernel_size, dropout)
        self.feed_forward_out = FeedForward(width, ffn_width, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, packing: Packing, positions: Tensor) -> Tensor:
        """Transform packed frames ``(N, E)``; ``positions`` as in the attention."""
        x = torch.add(x, self.feed_forward_in(x), alpha=0.5)
        x = x + self.attention_dropout(self.attention(self.attention_norm(x), packing, positions))
        x = x + self.convolution(x, packing)
        x = torch.add(x, self.feed_forward_out(x), alpha=0.5)
        output: Tensor = self.norm(x)
        return output


class ConformerEncoder(nn.Module):
    """Filterbanks to 80 ms frames (the paper's section 3.1).

    Any encoder with this signature, ``width``, `encode_in_chunks` and `output_lengths` can take its
    place.

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
        self._checkpoints_activations = False
        self._chunks: Chunks | None = None
        self.subsampling = ConvSubsampling(num_mel_bins, subsampling_channels, width)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(
            ConformerLayer(width, ffn_width, heads, kernel_size, dropout) for _ in range(layers)
        )

    def checkpoint_activations(self) -> None:
        """Keep only the layers' inputs for the backward pass, and compute the rest again."""
        self._checkpoints_activations = True

    def encode_in_chunks(self, chunks: Chunks | None) -> None:
        """Encode recordings that are longer than a chunk chunk by chunk; with None, whole.

        In eval mode only: in training, recordings are read whole. The front end is not cut, so
        that no frame shifts.
        """
        self._chunks = chunks

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
        packing = Packing(lengths.tolist(), x.device)
        size, x = x.size(1), self.dropout(packing.pack(x))
        chunks = None if self.training else self._chunks
        if chunks is None or packing.longest <= chunks.frames:
            x = self._encode(x, packing)
        else:
            x = self._encode_chunks(x, packing, chunks)
        return packing.unpack(x, size), lengths

    def _encode(self, x: Tensor, packing: Packing) -> Tensor:
        """The layers, on packed frames ``(N, E)``."""
        positions = relative_positions(packing.longest, self.width, like=x)
        for layer in self.layers:
            run = partial(recomputed, layer) if self._checkpoints_activations else layer
            x = run(x, packing, positions)
        return x

    def _encode_chunks(self, x: Tensor, packing: Packing, chunks: Chunks) -> Tensor:
        """The layers on chunks, of which the kept frames are joined: ``(N, E) -> (N, E)``."""
        kept = []
        for group in _groups_of_chunks(packing.lengths, chunks):
            lengths = [chunk.end - chunk.start for chunk in group]
            rows = torch.cat([x[chunk.start : chunk.end] for chunk in group])
            encoded = self._encode(rows, Packing(lengths, x.device)).split(lengths)
            for chunk, frames in zip(group, encoded):
                kept.append(frames[chunk.keep_from - chunk.start : chunk.keep_to - chunk.start])
        return torch.cat(kept)

    @staticmethod
    def output_lengths(frame_lengths: Tensor) -> Tensor:
        """Encoder frames of recordings with that many 10 ms frames."""
        return subsampled_length(frame_lengths)


def _groups_of_chunks(lengths: list[int], chunks: Chunks) -> Iterator[list[Chunk]]:
    """The chunks of packed recordings, as places in their row; those to compute together."""
    group: list[Chunk] = []
    frames = offset = 0
    for length in lengths:
        for chunk in chunks.of(length):
            frames += chunk.end - chunk.start
            if group and frames > _CHUNK_FRAMES_AT_A_TIME:
                yield group
                group, frames = [], chunk.end - chunk.start
            group.append(Chunk(*(offset + place for place in chunk)))
        offset += length
    yield group
