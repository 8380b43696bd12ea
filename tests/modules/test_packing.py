"""Packed rows: the way there and back, and which utterances are taken together."""

import pytest
import torch

from fairseq_audiochat.modules import packing as packing_module
from fairseq_audiochat.modules.packing import Packing

CPU = torch.device("cpu")


def test_packed_row_holds_the_frames_in_order_and_back_comes_zero_padding():
    lengths = [2, 4, 1]
    padded = torch.full((3, 5, 2), 99.0)  # rubbish behind the ends
    expected = []
    for b, length in enumerate(lengths):
        for t in range(length):
            padded[b, t] = torch.tensor([b, t])
            expected.append([b, t])
    packing = Packing(lengths, CPU)
    row = packing.pack(padded)
    assert row.tolist() == expected
    padded[padded == 99] = 0
    assert torch.equal(packing.unpack(row, 5), padded)
    assert torch.equal(packing.unpack(row, 4), padded[:, :4])


@pytest.mark.parametrize("size", [3, 5])
def test_one_utterance_alone(size):
    packing = Packing([3], CPU)
    padded = torch.arange(5.0).view(1, 5, 1)
    row = packing.pack(padded)
    assert row.flatten().tolist() == [0, 1, 2]
    assert packing.unpack(row, size).flatten().tolist() == [0, 1, 2, 0, 0][:size]
    assert packing.spread(row, gap=2) is row
    assert packing.gather(row, gap=2) is row


def test_gaps_stand_between_utterances_only():
    packing = Packing([2, 1, 1], CPU)
    row = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    spread = packing.spread(row, gap=2)
    assert spread.flatten().tolist() == [1, 2, 0, 0, 3, 0, 0, 4]
    assert torch.equal(packing.gather(spread, gap=2), row)


def test_gradient_comes_back_from_every_place():
    packing = Packing([2, 1], CPU)
    row = torch.randn(3, 2, requires_grad=True)
    for there_and_back in (
        packing.pack(packing.unpack(row, 4)),
        packing.gather(packing.spread(row, gap=3), gap=3),
    ):
        (gradient,) = torch.autograd.grad((3 * there_and_back).sum(), row)
        assert torch.equal(gradient, torch.full((3, 2), 3.0))


def test_neighbours_are_grouped_up_to_the_limit_with_their_padding(monkeypatch):
    monkeypatch.setattr(packing_module, "_FRAME_PAIRS_ON_CPU", 32)
    groups = Packing([4, 3, 1, 9, 1, 2, 2, 2], CPU).groups
    # 2 x 4 x 4 are 32 at once, a third would be 48; 9 x 9 is too long for company; 4 x 2 x 2 = 16
    assert [group.lengths for group in groups] == [[4, 3], [1], [9], [1, 2, 2, 2]]
    assert groups[0].mask.tolist() == [[True] * 4, [True] * 3 + [False]]
    assert groups[2].mask is None
