"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from fairseq_audiochat.modules.losses import ctc_loss, response_loss


def make_head(weight: torch.Tensor) -> torch.nn.Linear:
    """A frozen output layer with a weight of ``(V, D)``."""
    head = torch.nn.Linear(weight.size(1), weight.size(0), bias=False).requires_grad_(False)
    head.weight.data = weight
    return head


def test_response_loss_is_the_sum_of_nats():
    # Probabilities 1/4, 3/4 and 1/2, 1/2; targets 1 and 0: -ln(3/4) - ln(1/2)
    logits = torch.tensor([[1.0, 3.0], [1.0, 1.0]]).log()
    head = make_head(logits.T.contiguous())  # token i has the i-th unit vector as hidden state
    loss, correct = response_loss(torch.eye(2), head, torch.tensor([1, 0]))
    assert math.isclose(loss.item(), -math.log(3 / 4) - math.log(1 / 2), rel_tol=1e-6)
    assert correct.item() == 2  # of equals, argmax takes the first


def test_no_tokens_give_zero_and_not_nan():
    hidden = torch.zeros(0, 3, requires_grad=True)
    loss, correct = response_loss(hidden, make_head(torch.zeros(5, 3)), torch.zeros(0).long())
    assert (loss.item(), correct.item()) == (0.0, 0)
    loss.backward()
    assert hidden.grad.shape == (0, 3)


@pytest.mark.parametrize("logits_per_chunk", [1, 3 * 11, 1 << 20], ids=["1", "3", "all"])
def test_chunks_give_the_loss_and_gradient_of_autograd(logits_per_chunk: int):
    generator = torch.Generator().manual_seed(0)
    head = make_head(torch.randn(11, 5, generator=generator))
    targets = torch.randint(11, (7,), generator=generator)
    hidden = torch.randn(7, 5, generator=generator, requires_grad=True)
    loss, correct = response_loss(hidden, head, targets, logits_per_chunk)
    (0.25 * loss).backward()  # as fairseq scales losses in half precision
    reference = hidden.detach().clone().requires_grad_()
    logits = head(reference)
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    (0.25 * expected).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(hidden.grad, reference.grad)
    assert correct == (logits.argmax(-1) == targets).sum()


def test_what_response_loss_keeps_is_as_wide_as_the_llm_and_not_as_its_vocabulary():
    kept: list[torch.Size] = []
    hidden = torch.randn(6, 4, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.shape) or tensor, lambda tensor: tensor
    ):
        response_loss(hidden, make_head(torch.randn(1_000, 4)), torch.zeros(6).long())
    assert kept == [(6, 4)]


def test_a_head_that_would_be_trained_is_refused():
    with pytest.raises(ValueError, match="must be frozen, but its weight requires gradients"):
        response_loss(torch.zeros(1, 4), torch.nn.Linear(4, 3), torch.zeros(1).long())


def test_ctc_of_two_frames_and_one_label():
    # Classes: a, blank. P(a) = p1, p2. Paths of "a": aa, a-, -a: 1 - (1 - p1)(1 - p2).
    p1, p2 = 0.3, 0.6
    logits = torch.tensor([[[p1, 1 - p1], [p2, 1 - p2]]]).log()
    loss, feasible = ctc_loss(
        logits, torch.tensor([2]), torch.tensor([[0]]), torch.tensor([1]), blank=1
    )
    assert feasible.tolist() == [True]
    assert math.isclose(loss.item(), -math.log(1 - (1 - p1) * (1 - p2)), rel_tol=1e-6)


def test_ctc_counts_what_does_not_fit():
    # Frames 3. "ab" needs 2, "aa" needs 3 (a blank between), "aab" needs 4.
    logits = torch.randn(3, 3, 3, requires_grad=True)
    targets = torch.tensor([[0, 1, 2], [0, 0, 2], [0, 0, 1]])  # 2 fills up
    loss, feasible = ctc_loss(
        logits, torch.tensor([3, 3, 3]), targets, torch.tensor([2, 2, 3]), blank=2
    )
    assert feasible.tolist() == [True, True, False]
    assert torch.isfinite(loss)
    loss.backward()
    assert (logits.grad[2] == 0).all()
    assert (logits.grad[:2] != 0).any()


def test_ctc_of_an_infeasible_batch_is_zero_with_a_gradient():
    logits = torch.randn(1, 1, 3, requires_grad=True)
    loss, feasible = ctc_loss(
        logits, torch.tensor([1]), torch.tensor([[0, 1]]), torch.tensor([2]), blank=2
    )
    loss.backward()
    assert not feasible.any()
    assert loss.item() == 0.0
    assert (logits.grad == 0).all()
