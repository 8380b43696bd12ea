"""Losses as pure functions: a sum in nats and the count that it is over; the trainer divides."""

import torch.nn.functional as F
from torch import Tensor

from fairseq_audiochat.modules.mask import length_mask


def response_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of response tokens (the paper's section 3.2).

    Args:
        logits: Of the response positions only, ``(N, V)``, any float dtype.
        targets: Int64 ``(N,)``.

    Returns:
        The sum in nats, float32 (log-softmax over 32k classes needs it), and how many targets
        are the most probable token. Both 0 without tokens.
    """
    loss = F.cross_entropy(logits.float(), targets, reduction="sum")
    return loss, (logits.detach().argmax(-1) == targets).sum()


def ctc_loss(
    logits: Tensor, frame_lengths: Tensor, targets: Tensor, target_lengths: Tensor, blank: int
) -> tuple[Tensor, Tensor]:
    """CTC (Graves et al. 2006) over the utterances whose targets fit into their frames.

    Args:
        logits: ``(B, T, V)``, any float dtype.
        frame_lengths: Int64 ``(B,)``.
        targets: Int64 ``(B, L)``.
        target_lengths: Int64 ``(B,)``.
        blank: The blank's class.

    Returns:
        The sum in nats over feasible utterances, float32, and the bool mask ``(B,)`` of them.
    """
    feasible = frame_lengths >= _required_frames(targets, target_lengths)
    log_probs = F.log_softmax(logits[feasible].float(), dim=-1).transpose(0, 1)
    if not feasible.any():
        return logits.float().sum() * 0.0, feasible  # keeps the graph for the trainer
    loss = F.ctc_loss(
        log_probs,
        targets[feasible],
        frame_lengths[feasible],
        target_lengths[feasible],
        blank=blank,
        reduction="sum",
    )
    return loss, feasible


def _required_frames(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """One frame per label, and a blank between equal neighbours."""
    repeats = targets[:, 1:] == targets[:, :-1]
    within = length_mask(target_lengths - 1, repeats.size(1))
    return target_lengths + (repeats & within).sum(1)
