"""The parameter counts that the README states, on models that have sizes and no memory."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from fairseq_audiochat.models.conformer_ctc import ConformerConfig, build_encoder
from fairseq_audiochat.modules.audio_adapter import AudioAdapter

README = Path(__file__).parents[2] / "README.md"
LLAMA_2_7B_WIDTH = 4_096


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def stated(what: str) -> int:
    """The number in the README's table row that begins with ``what``."""
    match = re.search(rf"^\| {re.escape(what)} \| ([\d,]+) \|$", README.read_text(), re.MULTILINE)
    assert match is not None, what
    return int(match[1].replace(",", ""))


@pytest.mark.parametrize("layers", [18, 36])
def test_encoders(layers: int):
    with torch.device("meta"):
        encoder = build_encoder(ConformerConfig(encoder_layers=layers))
    assert count(encoder) == stated(f"encoder, {layers} layers")


@pytest.mark.parametrize("stack", [1, 2, 4])
def test_adapters(stack: int):
    with torch.device("meta"):
        adapter = AudioAdapter(512, stack, LLAMA_2_7B_WIDTH, embedding_std=0.02)
    assert count(adapter) == stated(f"adapter to Llama-2-7B, n = {stack}")
    # weights and biases, by hand
    assert count(adapter) == stack * 512 * LLAMA_2_7B_WIDTH + LLAMA_2_7B_WIDTH
