"""Batches of different lengths as tensors, padded behind each end."""

import torch
from torch import Tensor

from fairseq_audiochat.data.fbank import NUM_MEL_BINS, Features


def pad_features(features: list[Features]) -> tuple[Tensor, Tensor]:
    """Stack features of different lengths.

    Returns:
        Float32 features ``(C, T, 80)``, zero behind each end, and int64 ``frame_lengths``
        ``(C,)``. Without recordings C and T are 0.
    """
    frame_lengths = torch.tensor([len(clip) for clip in features], dtype=torch.int64)
    padded = torch.zeros(len(features), max(map(len, features), default=0), NUM_MEL_BINS)
    for row, clip in zip(padded, features):
        row[: len(clip)] = torch.from_numpy(clip)
    return padded, frame_lengths


def pad_tokens(tokens: list[list[int]], pad: int) -> Tensor:
    """Stack token lists of different lengths: int64 ``(B, L)``, ``pad`` behind each end."""
    padded = torch.full((len(tokens), max(map(len, tokens), default=0)), pad, dtype=torch.int64)
    for row, ids in zip(padded, tokens):
        row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
    return padded
