"""Utterances in one row without padding: where their frames stand, and the way there and back.

A linear layer, a norm or an activation works on a packed row ``(N, E)`` as it is, N being the
sum of the lengths, and computes nothing for padding. Knows no layer.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from fairseq_audiochat.modules.mask import length_mask

# Where every frame meets every other, short utterances are padded and taken together, long ones
# in blocks, with about this many pairs of frames at a time. On a CPU the scores of 8 heads (1 MB)
# then stay in its cache; a GPU wants few and large kernels.
_FRAME_PAIRS_ON_CPU = 2**15
_FRAME_PAIRS_ELSEWHERE = 2**21


def frame_pairs_per_block(device: torch.device) -> int:
    """How many pairs of frames to compute at a time."""
    return _FRAME_PAIRS_ON_CPU if device.type == "cpu" else _FRAME_PAIRS_ELSEWHERE


class Packing:
    """The places of B utterances in a packed row.

    Args:
        lengths: Frames of each utterance, at least 1.
        device: Where the rows are.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.lengths = list(lengths)
        self.longest = max(self.lengths)
        self.device = device
        # Worked out on the CPU and sent once: the device is never waited for.
        counts = torch.tensor(self.lengths)
        utterance = torch.repeat_interleave(counts)
        frame = torch.arange(len(utterance)) - (counts.cumsum(0) - counts)[utterance]
        self._utterance, self._frame = torch.stack((utterance, frame)).to(device)

    def pack(self, x: Tensor) -> Tensor:
        """Drop the padding: ``(B, T, ...) -> (N, ...)``."""
        if len(x) == 1:
            return x[0, : self.longest]
        return x.flatten(0, 1).index_select(0, self._rows(x.size(1)))

    def unpack(self, x: Tensor, size: int) -> Tensor:
        """Pad with zeros: ``(N, ...) -> (B, size, ...)``."""
        if self.lengths == [size]:
            return x.unsqueeze(0)
        padded = x.new_zeros(len(self.lengths) * size, *x.shape[1:])
        return padded.index_copy(0, self._rows(size), x).unflatten(0, (-1, size))

    def spread(self, x: Tensor, gap: int) -> Tensor:
        """Put ``gap`` zero rows between utterances: ``(N, E) -> (N + (B - 1) * gap, E)``."""
        if len(self.lengths) == 1:
            return x
        rows = len(x) + (len(self.lengths) - 1) * gap
        return x.new_zeros(rows, x.size(1)).index_copy(0, self._spread_rows(gap), x)

    def gather(self, x: Tensor, gap: int) -> Tensor:
        """Take the gaps of `spread` out: ``(N + (B - 1) * gap, E) -> (N, E)``."""
        return x if len(self.lengths) == 1 else x.index_select(0, self._spread_rows(gap))

    @cached_property
    def mask(self) -> Tensor | None:
        """Bool ``(B, longest)``, True where there is a frame; None where all are full."""
        if min(self.lengths) == self.longest:
            return None
        return length_mask(torch.tensor(self.lengths), self.longest).to(self.device)

    @cached_property
    def groups(self) -> "list[Packing]":
        """Runs of neighbours whose padded frame pairs ``(G, T, T)`` are one block, or one alone."""
        frame_pairs = frame_pairs_per_block(self.device)
        runs: list[list[int]] = []
        for length in self.lengths:
            longest = max([*runs[-1], length]) if runs else length
            if runs and (len(runs[-1]) + 1) * longest**2 <= frame_pairs:
                runs[-1].append(length)
            else:
                runs.append([length])
        return [Packing(run, self.device) for run in runs]

    def _rows(self, size: int) -> Tensor:
        return self._utterance * size + self._frame

    def _spread_rows(self, gap: int) -> Tensor:
        return torch.arange(len(self._utterance), device=self.device) + self._utterance * gap
