"""The dropout: its probability, its gradient, and that it is off where torch's is."""

import pytest
import torch

from fairseq_audiochat.modules import dropout as dropout_module
from fairseq_audiochat.modules.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_dropped_and_scale(p):
    torch.manual_seed(0)
    output = Dropout(p)(torch.ones(1_000, 1_000))
    dropped = (output == 0).float().mean().item()
    # a million draws: the standard deviation is at most 0.0005; here are six
    assert dropped == pytest.approx(p, abs=0.003)
    # the nearest of 65,536 levels is off by at most 1 / 131,072, a ten-thousandth of 1 - p
    torch.testing.assert_close(output.max().item(), 1 / (1 - p), rtol=1e-4, atol=0)
    assert output.unique().numel() == 2


def test_elements_are_dropped_independently_of_their_place():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(100_000, 8)) == 0).float()
    # four share one draw of 64 bits: neither equal nor opposite; 0.02 is six deviations
    assert (torch.corrcoef(dropped.T) - torch.eye(8)).abs().max() < 0.02


def test_gradient_passes_where_the_value_did(monkeypatch):
    monkeypatch.setattr(dropout_module, "_LEVELS_AT_A_TIME", 7)  # of 60, the last part is odd
    torch.manual_seed(0)
    x = torch.rand(5, 12, dtype=torch.float64).t().requires_grad_()  # not contiguous
    output = Dropout(0.3)(x)
    (gradient,) = torch.autograd.grad(output.sum(), x)
    torch.testing.assert_close(output, x * gradient)
    assert (gradient == 0).any()
    assert gradient.unique().numel() == 2


def test_same_state_same_elements():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(Dropout(0.1)(torch.ones(1_001)))
    assert torch.equal(*states)


def test_identity_in_evaluation_and_without_probability():
    x = torch.randn(3, 4)
    assert torch.equal(Dropout(0.1).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
