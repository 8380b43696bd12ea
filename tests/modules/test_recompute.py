"""Recomputing changes what is kept, and nothing else."""

import torch
from saved_bytes import saved_bytes
from torch import nn

from fairseq_audiochat.modules.conformer import FeedForward
from fairseq_audiochat.modules.dropout import Dropout
from fairseq_audiochat.modules.recompute import recomputed


def test_gradient_equals_autograds_on_the_same_random_numbers():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.SiLU(), Dropout(0.5), nn.Linear(16, 4), nn.Dropout(0.5))
    x = torch.randn(10, 16, requires_grad=True)
    results = []
    for call in (inner, lambda x: recomputed(inner, x)):
        torch.manual_seed(1)
        output = call(x)
        torch.rand(5)  # whoever draws in between does not disturb it
        results.append([output, *torch.autograd.grad(output.square().sum(), [x, inner[2].weight])])
    for plain, again in zip(*results):
        assert torch.equal(plain, again)


def test_the_random_state_goes_on_as_without():
    inner, x = Dropout(0.5), torch.randn(10, requires_grad=True)
    ends = []
    for call in (inner, lambda x: recomputed(inner, x)):
        torch.manual_seed(1)
        call(x).sum().backward()
        ends.append(torch.rand(5))
    assert torch.equal(*ends)


def test_without_gradients_the_function_is_called_directly():
    with torch.no_grad():
        assert recomputed(lambda a, b: a if b is None else b, torch.ones(1), None) == 1


def test_feed_forward_keeps_one_tensor_of_the_inner_width():
    module = FeedForward(width=8, ffn_width=512, dropout=0.1).train()
    frames = torch.randn(100, 8, requires_grad=True)
    inner = 100 * 512 * 4  # fp32
    # autograd alone would keep three: before SiLU, the noise, and the second layer's input
    assert inner <= saved_bytes(lambda: module(frames)) < 1.2 * inner
