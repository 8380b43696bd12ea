"""Losses as pure functions: a sum in nats and the count that it is over; the trainer divides."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_audiochat.modules.mask import length_mask

_LOGITS_PER_CHUNK = 1 << 23  # 32 MiB in float32, 262 tokens of Llama-2: enough rows for any device


def response_loss(
    hidden: Tensor, head: nn.Linear, targets: Tensor, logits_per_chunk: int = _LOGITS_PER_CHUNK
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of response tokens under a frozen LLM (the paper's section 3.2).

    Logits are made and left again chunk by chunk, and the gradient with them, so that the memory
    does not grow with tokens times vocabulary.

    Args:
        hidden: Final hidden states at the response positions only, ``(N, D)``.
        head: The LLM's output layer, frozen.
        targets: Int64 ``(N,)``.
        logits_per_chunk: Logits that exist at a time, at least one token's.

    Returns:
        The sum in nats, float32 (log-softmax over 32k classes needs it), and how many targets
        are the most probable token. Both 0 without tokens.

    Raises:
        ValueError: If the head is to be trained: it would get no gradient.
    """
    if head.weight.requires_grad:
        raise ValueError(
            "The LLM's output layer must be frozen, but its weight requires gradients; the "
            "response loss gives it none."
        )
    tokens = max(1, logits_per_chunk // head.out_features)
    # In the LLM's dtype, whatever autocast does around it.
    with torch.autocast(hidden.device.type, enabled=False):
        loss, correct = _ChunkedCrossEntropy.apply(hidden, head, targets, tokens)
    return loss, correct


@torch.no_grad()
def response_nats(
    hidden: Tensor, head: nn.Linear, targets: Tensor, logits_per_chunk: int = _LOGITS_PER_CHUNK
) -> Tensor:
    """The cross-entropy of each response token; the arguments are those of `response_loss`.

    Returns:
        Float32 ``(N,)``.
    """
    tokens = max(1, logits_per_chunk // head.out_features)
    with torch.autocast(hidden.device.type, enabled=False):
        nats = [
            F.cross_entropy(head(states).float(), target, reduction="none")
            for states, target in zip(hidden.split(tokens), targets.split(tokens))
        ]
    return torch.cat(nats)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Computes the gradient in the forward pass, while a chunk's logits are there."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: nn.Linear, targets: Tensor, chunk: int
    ) -> tuple[Tensor, Tensor]:
        loss = hidden.new_zeros((), dtype=torch.float32)
        correct = targets.new_zeros(())
        gradients = []
        for states, target in zip(hidden.split(chunk), targets.split(chunk)):
            logits = head(states).float()
            correct += (logits.argmax(-1) == target).sum()
            index = target.unsqueeze(1)
            normaliser = logits.logsumexp(-1, keepdim=True)
            loss += (normaliser - logits.gather(1, index)).sum()
            if ctx.needs_input_grad[0]:
                # d loss / d logits = softmax - one-hot, in the place of the logits
                delta = logits.sub_(normaliser).exp_()
                delta.scatter_add_(1, index, -torch.ones_like(delta[:, :1]))
                gradients.append(delta.to(head.weight.dtype) @ head.weight)
        if gradients:
            ctx.save_for_backward(torch.cat(gradients))
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        hidden_gradient = saved[0] * gradients[0].to(saved[0].dtype) if saved else None
        return hidden_gradient, None, None, None


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
