"""Losses against numbers worked out by hand."""

import math

import torch

from fairseq_audiochat.modules.losses import ctc_loss, response_loss


def test_response_loss_is_the_sum_of_nats():
    # Probabilities 1/4, 3/4 and 1/2, 1/2; targets 1 and 0: -ln(3/4) - ln(1/2)
    logits = torch.tensor([[1.0, 3.0], [1.0, 1.0]]).log()
    loss, correct = response_loss(logits, torch.tensor([1, 0]))
    assert math.isclose(loss.item(), -math.log(3 / 4) - math.log(1 / 2), rel_tol=1e-6)
    assert correct.item() == 2  # of equals, argmax takes the first


def test_no_tokens_give_zero_and_not_nan():
    loss, correct = response_loss(torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64))
    assert (loss.item(), correct.item()) == (0.0, 0)


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
