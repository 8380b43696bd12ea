"""The attention against an explicit loop over positions, however it is cut into blocks."""

import math

import pytest
import torch
from saved_bytes import saved_bytes
from torch import Tensor

from fairseq_audiochat.modules import packing as packing_module
from fairseq_audiochat.modules import relative_attention
from fairseq_audiochat.modules.packing import Packing
from fairseq_audiochat.modules.relative_attention import RelativeSelfAttention, relative_positions

CPU = torch.device("cpu")


def make_attention(dropout: float = 0.0) -> RelativeSelfAttention:
    torch.manual_seed(0)
    attention = RelativeSelfAttention(width=6, heads=2, dropout=dropout)
    torch.nn.init.normal_(attention.content_bias)
    torch.nn.init.normal_(attention.position_bias)
    return attention


def attend(attention: RelativeSelfAttention, row: Tensor, lengths: list[int]) -> Tensor:
    width = row.size(1)
    return attention(row, Packing(lengths, CPU), relative_positions(max(lengths), width, like=row))


def attend_by_loop(attention: RelativeSelfAttention, x: Tensor) -> Tensor:
    """One utterance ``(T, 6)``, two heads of width 3, pair by pair."""
    query, key, value = (t.view(-1, 2, 3) for t in attention.query_key_value(x).chunk(3, dim=-1))
    rows = []
    for i in range(len(x)):
        heads = []
        for head in range(2):
            u, v = attention.content_bias[head, 0], attention.position_bias[head, 0]
            q = query[i, head]
            scores = []
            for j in range(len(x)):
                distance = attention.position(sinusoid(i - j)).view(2, 3)[head]
                scores.append(((q + u) @ key[j, head] + (q + v) @ distance) / math.sqrt(3))
            heads.append(torch.softmax(torch.stack(scores), dim=0) @ value[:, head])
        rows.append(torch.cat(heads))
    return attention.output(torch.stack(rows))


def sinusoid(distance: int) -> Tensor:
    """Width 6: sine and cosine of distance / 10000^(0/6), (2/6), (4/6)."""
    angles = [distance / 10_000 ** (k / 6) for k in (0, 2, 4)]
    return torch.tensor([f(angle) for angle in angles for f in (math.sin, math.cos)])


@pytest.mark.parametrize(
    ("frame_pairs", "least_queries"),
    [
        (2**16, 64),  # all utterances together
        (1, 64),  # each alone
        (1, 1),  # each query alone
        (14, 2),  # blocks of 2 queries, where the last may be 1; the short ones together
        (75, 2),  # the first three together
    ],
)
def test_attention_equals_a_loop_over_positions(monkeypatch, frame_pairs, least_queries):
    monkeypatch.setattr(packing_module, "_FRAME_PAIRS_ON_CPU", frame_pairs)
    monkeypatch.setattr(relative_attention, "_LEAST_QUERIES", least_queries)
    attention, lengths = make_attention(), [5, 1, 3, 7, 2, 2]
    row = torch.randn(sum(lengths), 6, requires_grad=True)
    output = attend(attention, row, lengths)
    expected = torch.cat([attend_by_loop(attention, x) for x in row.split(lengths)])
    torch.testing.assert_close(output, expected)
    wanted = [row, *attention.parameters()]
    weights = torch.randn_like(output)
    for ours, loop in zip(
        torch.autograd.grad((output * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
    ):
        # fp32, sums over 20 frames; the bias of the keys has no gradient but rounding
        torch.testing.assert_close(ours, loop, atol=1e-5, rtol=1e-4)


def test_dropout_of_the_weights_falls_on_the_same_ones_in_the_backward_pass(monkeypatch):
    monkeypatch.setattr(packing_module, "_FRAME_PAIRS_ON_CPU", 30)
    monkeypatch.setattr(relative_attention, "_LEAST_QUERIES", 4)
    attention, lengths = make_attention(dropout=0.5).train(), [9, 2, 3]
    row = torch.randn(sum(lengths), 6, requires_grad=True)
    results = []
    for recompute in (relative_attention.recomputed, lambda function, *inputs: function(*inputs)):
        monkeypatch.setattr(relative_attention, "recomputed", recompute)
        torch.manual_seed(1)
        output = attend(attention, row, lengths)
        results.append([output, *torch.autograd.grad(output.square().sum(), row)])
    for again, kept in zip(*results):
        torch.testing.assert_close(again, kept)


def test_what_is_kept_for_the_backward_pass_grows_with_duration_not_its_square():
    attention = RelativeSelfAttention(width=8, heads=4, dropout=0.1).train()

    def kept(frames: int) -> int:
        row = torch.randn(frames, 8, requires_grad=True)
        return saved_bytes(lambda: attend(attention, row, [frames]))

    # The scores alone would be 4 heads x 1,000 x 1,000 x 4 bytes = 16 MB, and 16 times that.
    assert kept(1_000) < 1e6
    assert kept(4_000) < 4.1 * kept(1_000)


def test_width_that_cannot_be_split_over_the_heads_is_refused():
    with pytest.raises(ValueError, match="multiple of the number of heads, but is 30 with 4"):
        RelativeSelfAttention(width=30, heads=4, dropout=0.0)
