"""Padding: what is real stays where it is."""

import numpy as np
import torch

from fairseq_audiochat.data.padding import pad_features, pad_tokens


def test_features_are_padded_with_zeros_behind() -> None:
    clips = [np.full((frames, 80), frames, dtype=np.float32) for frames in (2, 3)]
    padded, lengths = pad_features(clips)
    assert padded.shape == (2, 3, 80)
    assert padded[:, :, 0].tolist() == [[2, 2, 0], [3, 3, 3]]
    assert lengths.tolist() == [2, 3]
    assert lengths.dtype == torch.int64
    padded, lengths = pad_features([])
    assert padded.shape == (0, 0, 80)
    assert lengths.shape == (0,)


def test_tokens_are_padded_behind() -> None:
    assert pad_tokens([[1, 2], [], [3]], pad=9).tolist() == [[1, 2], [9, 9], [3, 9]]
    assert pad_tokens([], pad=9).shape == (0, 0)
