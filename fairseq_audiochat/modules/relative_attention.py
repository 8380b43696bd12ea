"""Self-attention with relative positions (Dai et al. 2019), as in Gulati et al. 2020.

Exact, and linear in memory: scores exist for a block of queries at a time, and are computed
again in the backward pass instead of being kept.
"""

import math

import torch
from torch import Tensor, nn

from fairseq_audiochat.modules.dropout import Dropout
from fairseq_audiochat.modules.packing import Packing, frame_pairs_per_block
from fairseq_audiochat.modules.recompute import recomputed

_LEAST_QUERIES = 64  # of a block: fewer would make the matrix products slow


def relative_positions(length: int, width: int, like: Tensor) -> Tensor:
    """Sinusoids of the distances ``length - 1`` down to ``-(length - 1)``.

    Args:
        length: Frames T.
        width: Model width E.
        like: Gives the dtype and the device.

    Returns:
        Float ``(2T - 1, E)``; sines in the even, cosines in the odd columns.
    """
    distances = torch.arange(length - 1, -length, -1.0, device=like.device)
    steps = torch.arange(0, width, 2, device=like.device)
    angles = distances.unsqueeze(1) * torch.exp(steps * (-math.log(10_000.0) / width))
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(like.dtype)


class RelativeSelfAttention(nn.Module):
    """Multi-head self-attention over frames.

    Args:
        width: Model width E.
        heads: Number of heads H.
        dropout: Dropout of the attention weights.

    Raises:
        ValueError: If the width cannot be split over the heads.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"The encoder width must be a multiple of the number of heads, but is {width} "
                f"with {heads} heads; change --encoder-width or --encoder-heads."
            )
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.position = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)
        self.content_bias = nn.Parameter(torch.zeros(heads, 1, width // heads))
        self.position_bias = nn.Parameter(torch.zeros(heads, 1, width // heads))
        self.weights_dropout = Dropout(dropout)

    def forward(self, x: Tensor, packing: Packing, positions: Tensor) -> Tensor:
        """Attend within each utterance.

        Args:
            x: Packed frames ``(N, E)``.
            packing: Where the utterances are.
            positions: See `relative_positions`, ``(2T - 1, E)``, T at least the longest.

        Returns:
            ``(N, E)``.
        """
        query_key_value = self.query_key_value(x).unflatten(1, (3, self.heads, -1))
        distances = self.position(positions).unflatten(1, (self.heads, -1)).transpose(0, 1)
        parts = query_key_value.split([sum(group.lengths) for group in packing.groups])
        attended = [
            self._group(part, group, distances) for part, group in zip(parts, packing.groups)
        ]
        output: Tensor = self.output(torch.cat(attended).flatten(1))
        return output

    def _group(self, query_key_value: Tensor, group: Packing, distances: Tensor) -> Tensor:
        """Utterances side by side: ``(N, 3, H, d)`` and ``(H, 2T - 1, d) -> (N, H, d)``."""
        length, farthest = group.longest, distances.size(1) // 2
        # (N, 3, H, d) -> (G, T, 3, H, d) -> 3 x (H, G, T, d)
        query, key, value = group.unpack(query_key_value, length).permute(2, 3, 0, 1, 4)
        absent = None if group.mask is None else ~group.mask.unsqueeze(1)
        size = max(_LEAST_QUERIES, frame_pairs_per_block(key.device) // (len(key[0]) * length))
        blocks = []
        for start, block in zip(range(0, length, size), query.split(size, dim=2)):
            # The distances from these queries to all keys: from the last query to the first
            # key, down to from the first query to the last key.
            first = farthest + 1 - start - block.size(2)
            near = distances[:, first : first + block.size(2) + length - 1]
            blocks.append(recomputed(self._block, block, key, value, near, absent))
        return group.pack(torch.cat(blocks, dim=2).permute(1, 2, 0, 3))

    def _block(
        self, query: Tensor, key: Tensor, value: Tensor, distances: Tensor, absent: Tensor | None
    ) -> Tensor:
        """A block of Q queries: ``(H, G, Q, d)``, ``(H, Q + T - 1, d) -> (H, G, Q, d)``."""
        scale = 1 / math.sqrt(query.size(-1))
        content = (query + self.content_bias.unsqueeze(1)) * scale
        # One product over the group's queries: the distances are the same for all utterances.
        position = ((query + self.position_bias.unsqueeze(1)) * scale).flatten(1, 2)
        by_distance = (position @ distances.transpose(1, 2)).unflatten(1, query.shape[1:3])
        scores = (content @ key.transpose(2, 3)).add_(_by_key(by_distance))
        if absent is not None:
            scores = scores.masked_fill_(absent, float("-inf"))
        return self.weights_dropout(torch.softmax(scores, dim=-1)) @ value


def _by_key(scores: Tensor) -> Tensor:
    """From scores by distance to scores by key, a view: ``(..., Q, Q + T - 1) -> (..., Q, T)``.

    Each query's row starts one place before the row above it: the last one's at its beginning.
    """
    queries, distances = scores.shape[-2:]
    if queries == 1:
        return scores
    slanted = scores.flatten(-2)[..., queries - 1 : -1].unflatten(-1, (queries, distances - 1))
    return slanted[..., : distances - queries + 1]
