"""The front end in blocks of time: nothing changes, and it keeps little for the backward pass."""

import pytest
import torch
import torch.nn.functional as F
from saved_bytes import saved_bytes
from torch import Tensor

from fairseq_audiochat.modules import subsampling as subsampling_module
from fairseq_audiochat.modules.subsampling import ConvSubsampling


def make_subsampling(channels: int = 3) -> ConvSubsampling:
    torch.manual_seed(0)
    return ConvSubsampling(num_mel_bins=20, channels=channels, width=4)


def plain(subsampling: ConvSubsampling, features: Tensor) -> Tensor:
    """One recording ``(T, 20)``, convolved at once."""
    x = features[None, None]
    for conv in subsampling.convs:
        x = torch.relu(F.conv2d(x, conv.weight, conv.bias, stride=2, padding=1))
    return subsampling.linear(x[0].transpose(0, 1).flatten(1))


@pytest.mark.parametrize("block_frames", [8, 24, 3_000])
def test_blocks_equal_each_recording_at_once(monkeypatch, block_frames):
    monkeypatch.setattr(subsampling_module, "_BLOCK_FRAMES", block_frames)
    subsampling, frame_lengths = make_subsampling(), [61, 1, 16, 25, 48]
    features = torch.full((5, 70, 20), 1e3)  # rubbish behind the ends
    for row, length in zip(features, frame_lengths):
        row[:length] = torch.randn(length, 20)
    encoded, lengths = subsampling(features, torch.tensor(frame_lengths))
    assert encoded.shape == (5, 9, 4)  # ceil(70 / 8)
    assert lengths.tolist() == [8, 1, 2, 4, 6]
    parameters, total = list(subsampling.parameters()), torch.tensor(0.0)
    expected_total = torch.tensor(0.0)
    for row, feature, length, frame_length in zip(encoded, features, lengths, frame_lengths):
        expected = plain(subsampling, feature[:frame_length])
        torch.testing.assert_close(row[:length], expected)
        total, expected_total = (
            total + row[:length].square().sum(),
            expected_total + expected.square().sum(),
        )
    for ours, expected in zip(
        torch.autograd.grad(total, parameters), torch.autograd.grad(expected_total, parameters)
    ):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)  # fp32 sums


def test_the_first_convolutions_output_is_not_kept():
    subsampling, frames = make_subsampling(channels=64), 400
    features, lengths = torch.randn(1, frames, 20), torch.tensor([frames])
    first = 64 * (frames // 2) * 10 * 4  # channels, time, frequency, bytes
    # the other two have a quarter and a sixteenth (3 of 20 / 8 bins), which the linear layer copies
    assert saved_bytes(lambda: subsampling(features, lengths)[0]) < 0.6 * first
