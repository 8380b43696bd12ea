"""A linear layer with very many outputs, such as an LLM's head, for few inputs at a time.

MKL multiplies a search's few rows faster with parts of such a matrix, one after the other, than
with the whole of it: ``benchmarks/head.py`` says by how much. Knows no LLM.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_OUTPUTS_PER_PART = 1000


def wide_linear(linear: nn.Linear, inputs: Tensor) -> Tensor:
    """What the layer gives, ``(..., D)`` to ``(..., V)``.

    In parts where this pays: on CPUs, in float32, for more than one row.
    """
    rows = inputs.numel() // linear.in_features
    if inputs.device.type != "cpu" or inputs.dtype != torch.float32 or rows < 2:
        outputs: Tensor = linear(inputs)
        return outputs
    weights = linear.weight.split(_OUTPUTS_PER_PART)
    biases = [None] * len(weights) if linear.bias is None else linear.bias.split(_OUTPUTS_PER_PART)
    parts = [F.linear(inputs, weight, bias) for weight, bias in zip(weights, biases)]
    return torch.cat(parts, dim=-1)
