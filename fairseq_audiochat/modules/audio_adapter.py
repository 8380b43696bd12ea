"""The adapter: stacks encoder frames and projects them into the LLM's embedding space."""

import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_audiochat.modules.mask import length_mask


class AudioAdapter(nn.Module):
    """Every n frames become one embedding of the LLM's width (the paper's section 3.2).

    Args:
        encoder_width: Encoder width E.
        stack: Frames per embedding n.
        llm_width: LLM width D.
        embedding_std: Standard deviation of the LLM's embeddings; the projection of normalised
            frames starts at the same scale.
    """

    def __init__(
        self, encoder_width: int, stack: int, llm_width: int, embedding_std: float
    ) -> None:
        super().__init__()
        self.stack = stack
        self.projection = nn.Linear(stack * encoder_width, llm_width)
        nn.init.normal_(self.projection.weight, std=embedding_std * (stack * encoder_width) ** -0.5)
        nn.init.zeros_(self.projection.bias)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Adapt encoder frames.

        Args:
            frames: ``(C, T, E)``.
            lengths: Int64 ``(C,)``.

        Returns:
            Embeddings ``(C, ceil(T / n), D)`` and their lengths; zeros fill the last group of an
            utterance, whatever the padding held. What lies behind the lengths has no meaning.
        """
        frames = frames.masked_fill(~length_mask(lengths, frames.size(1)).unsqueeze(-1), 0.0)
        frames = F.pad(frames, (0, 0, 0, -frames.size(1) % self.stack))
        # (C, T, E) -> (C, T / n, n * E)
        stacked = frames.unflatten(1, (-1, self.stack)).flatten(2)
        return self.projection(stacked), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Embeddings of recordings with that many encoder frames."""
        return -(-lengths // self.stack)
