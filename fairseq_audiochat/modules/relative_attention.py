"""Self-attention with relative positions (Dai et al. 2019), as in Gulati et al. 2020.

Scores are content and position terms; the position term enters
`scaled_dot_product_attention` as its additive mask, so that torch chooses the kernel.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        self.heads, self.dropout = heads, dropout
        self.query_key_value = nn.Linear(width, 3 * width)
        self.position = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)
        self.content_bias = nn.Parameter(torch.zeros(heads, 1, width // heads))
        self.position_bias = nn.Parameter(torch.zeros(heads, 1, width // heads))

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Attend within each utterance.

        Args:
            x: Frames ``(B, T, E)``.
            mask: Bool ``(B, T)``, True where there is a frame.
            positions: See `relative_positions`, ``(2T - 1, E)``.

        Returns:
            ``(B, T, E)``; without meaning where ``mask`` is False.
        """
        # (B, T, 3E) -> 3 x (B, H, T, E / H)
        query, key, value = self.query_key_value(x).unflatten(2, (3, self.heads, -1)).unbind(2)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        distance = self.position(positions).unflatten(1, (self.heads, -1)).permute(1, 2, 0)
        scores = _shift((query + self.position_bias) @ distance) / math.sqrt(query.size(-1))
        scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        attended = F.scaled_dot_product_attention(
            query + self.content_bias,
            key,
            value,
            attn_mask=scores,
            dropout_p=self.dropout if self.training else 0.0,
        )
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output


def _shift(scores: Tensor) -> Tensor:
    """From scores by distance to scores by key: ``(B, H, T, 2T - 1) -> (B, H, T, T)``."""
    batch, heads, length, distances = scores.shape
    padded = F.pad(scores, (1, 0)).view(batch, heads, distances + 1, length)
    return padded[:, :, 1:].view(batch, heads, length, distances)[..., :length]
