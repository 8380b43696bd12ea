"""Greedy CTC decoding: the best class of every frame, repeats merged, blanks removed."""

from torch import Tensor


def greedy_decode(logits: Tensor, frame_lengths: Tensor, blank: int) -> list[list[int]]:
    """Decode a batch.

    Args:
        logits: ``(B, T, V)``.
        frame_lengths: Int64 ``(B,)``.
        blank: The blank's class.

    Returns:
        The labels of each utterance.
    """
    best = logits.argmax(-1).cpu()  # one synchronisation, not two per label
    return [
        [int(label) for label in path[:length].unique_consecutive() if label != blank]
        for path, length in zip(best, frame_lengths.tolist())
    ]
