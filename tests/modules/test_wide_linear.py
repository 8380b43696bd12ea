"""A wide layer computed in parts gives what torch's own gives."""

import pytest
import torch
from torch import nn

from fairseq_audiochat.modules import wide_linear as module
from fairseq_audiochat.modules.wide_linear import wide_linear


@pytest.mark.parametrize("outputs", [1, 7, 999, 1000, 1001, 3456])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2,), (1, 1), (3, 4), (0,)], ids=str)
def test_equal_to_the_whole(outputs: int, bias: bool, shape: tuple[int, ...]):
    torch.manual_seed(0)
    linear = nn.Linear(16, outputs, bias=bias)
    inputs = torch.randn(*shape, 16)
    found = wide_linear(linear, inputs)
    assert found.shape == (*shape, outputs)
    torch.testing.assert_close(found, linear(inputs))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_other_dtypes_in_one_product(dtype: torch.dtype):
    linear = nn.Linear(16, 2100).to(dtype)
    inputs = torch.randn(3, 16, dtype=dtype)
    assert torch.equal(wide_linear(linear, inputs), linear(inputs))


def test_parts_are_used(monkeypatch: pytest.MonkeyPatch):
    """Hand-counted: 2,100 outputs are three parts, one row is none."""
    widths: list[int] = []
    multiply = module.F.linear

    def counted(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        widths.append(len(weight))
        return multiply(inputs, weight, bias)

    monkeypatch.setattr(module.F, "linear", counted)
    linear = nn.Linear(4, 2100)
    wide_linear(linear, torch.zeros(2, 4))
    assert widths == [1000, 1000, 100]
    wide_linear(linear, torch.zeros(1, 4))
    assert widths[3:] == [2100]
