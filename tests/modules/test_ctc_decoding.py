"""Greedy CTC decoding."""

import torch

from fairseq_audiochat.modules.ctc_decoding import greedy_decode


def test_repeats_merge_and_blanks_vanish():
    best = torch.tensor([[0, 0, 2, 0, 1, 1], [1, 2, 2, 0, 0, 0]])  # blank is 2
    logits = torch.nn.functional.one_hot(best, 3).float()
    assert greedy_decode(logits, torch.tensor([6, 3]), blank=2) == [[0, 0, 1], [1]]
