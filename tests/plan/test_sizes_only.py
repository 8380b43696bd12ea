"""Code on sizes alone: integers decide, floats weigh nothing and count."""

import pytest
import torch
import torch.nn.functional as F

from fairseq_audiochat.modules.losses import ctc_loss
from fairseq_audiochat.modules.recompute import recomputed
from fairseq_audiochat.plan.live_bytes import LiveBytes
from fairseq_audiochat.plan.sizes_only import SizesOnly

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def sized(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta", requires_grad=True)


@pytest.mark.parametrize("device", [CPU, GPU])
def test_integers_stay_and_decide(device: torch.device):
    with SizesOnly(device, LiveBytes()):
        x = sized(3, 5)
        assert x.device.type == device.type
        lengths = torch.tensor([1, 5, 2]).to(x.device)
        mask = torch.arange(5, device=x.device) < lengths.unsqueeze(1)
        assert lengths.tolist() == [1, 5, 2]
        chosen = x[mask]  # 1 + 5 + 2
        assert chosen.shape == (8,)
        assert x.new_zeros(3, 5).masked_fill(mask, 1.0).shape == (3, 5)
        assert isinstance(x.std().item(), float)  # a number, whatever it is
    assert chosen.is_meta


def test_bytes_of_a_step_with_something_computed_again():
    """Kept: the input alone; dropout's byte for each element is made again and left again."""
    live = LiveBytes()
    with SizesOnly(GPU, live):
        x = sized(1000)
        live.add(x)
        y = recomputed(lambda x: F.dropout(x.exp(), 0.1), x)
        assert live.now == 4000 + 4000  # x and y
        y.sum().backward()
        del y
        assert live.now == 4000 + 4000  # x and its gradient
        assert x.grad is not None
    assert live.peak > 4000 * 3 + 1000


def test_ctc_keeps_the_probabilities_of_its_states():
    """Per utterance and frame 2 L + 1 of them; 4 bytes each."""
    frames, utterances, classes, target = 7, 2, 5, 3
    targets = torch.tensor([[1, 2, 1], [3, 2, 3]])
    lengths = torch.tensor([frames, frames])
    live = LiveBytes()
    with SizesOnly(CPU, live):
        logits = sized(utterances, frames, classes)
        loss, feasible = ctc_loss(logits, lengths, targets, torch.tensor([3, 3]), blank=4)
        kept = live.now
        loss.backward()
    assert feasible.tolist() == [True, True]
    log_probs = utterances * frames * classes * 4
    states = utterances * frames * (2 * target + 1) * 4
    assert kept >= log_probs + states
    assert kept <= 2 * log_probs + states + 64
    assert logits.grad.shape == logits.shape
