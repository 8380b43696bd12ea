"""The CTC criterion's counts, and that nothing is hidden."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from fairseq.logging import metrics

from fairseq_audiochat.criterions.audio_ctc import AudioCtcCriterion


class FixedModel(torch.nn.Module):
    """Gives the same logits whatever it reads: 3 frames, pieces a and b, blank 2."""

    def __init__(self, best: list[list[int]]) -> None:
        super().__init__()
        self.logits = 4.0 * torch.nn.functional.one_hot(torch.tensor(best), 3).float()

    def forward(self, lengths):
        return self.logits, lengths


def make_criterion(unk: int = -1) -> AudioCtcCriterion:
    task = SimpleNamespace(
        vocabulary=SimpleNamespace(blank=2, unk=unk),
        decode_all=lambda paths: [" ".join("ab"[piece] for piece in path) for path in paths],
    )
    return AudioCtcCriterion(task)


SAMPLE = {
    "net_input": {"lengths": torch.tensor([3, 3])},
    "target": torch.tensor([[0, 1, 2, 2], [0, 0, 0, 0]]),
    "target_lengths": torch.tensor([2, 4]),
    "utterance_ids": ["good", "long"],
    "transcripts": ["a b", "a a a a"],
    "ntokens": 6,
    "nsentences": 2,
}


def test_an_infeasible_utterance_is_named_once_and_left_out(caplog: pytest.LogCaptureFixture):
    criterion = make_criterion()
    model = FixedModel([[0, 2, 1], [0, 0, 0]]).train()
    with caplog.at_level(logging.WARNING):
        loss, sample_size, counts = criterion(model, SAMPLE)
        criterion(model, SAMPLE)
    assert sample_size == 2  # the pieces of the utterance that fits
    assert counts["infeasible"] == 1
    assert "word_errors" not in counts  # in training nobody decodes
    assert math.isfinite(loss.item())
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "utterance 'long': the transcript must fit into the encoder's frames, but has 4 pieces "
        "for 3 frames of 80 ms; it is left out of the loss"
    ]


def test_characters_outside_the_vocabulary_are_counted(caplog: pytest.LogCaptureFixture):
    criterion = make_criterion(unk=1)  # the "b" of the first utterance
    with caplog.at_level(logging.WARNING):
        counts = criterion(FixedModel([[0, 2, 1], [0, 0, 0]]), SAMPLE)[2]
        criterion(FixedModel([[0, 2, 1], [0, 0, 0]]), SAMPLE)
    assert counts["unknown"] == 1
    named = [r.getMessage() for r in caplog.records if "<unk>" in r.getMessage()]
    assert len(named) == 1
    assert "that of utterance 'good' has others" in named[0]


def test_validation_counts_word_errors():
    model = FixedModel([[0, 2, 1], [1, 1, 1]]).eval()
    counts = make_criterion()(model, SAMPLE)[2]
    # "a b" is right; "a a a a" is recognised as "b": a substitution and three deletions.
    assert (counts["word_errors"], counts["words"]) == (4, 6)


def test_metrics_are_ratios_of_sums():
    outputs = [
        {"loss": 6.0, "sample_size": 2, "infeasible": 1, "word_errors": 1, "words": 2},
        {"loss": 1.0, "sample_size": 5, "infeasible": 2, "word_errors": 0, "words": 8},
    ]
    with metrics.aggregate(new_root=True) as aggregate:
        AudioCtcCriterion.reduce_metrics(outputs)
    values = aggregate.get_smoothed_values()
    assert (values["loss"], values["infeasible"], values["wer"]) == (1.0, 3, 10.0)


def test_no_feasible_utterance_is_not_the_best_checkpoint():
    with metrics.aggregate(new_root=True) as aggregate:
        AudioCtcCriterion.reduce_metrics([{"loss": 0.0, "sample_size": 0, "infeasible": 3}])
    assert math.isnan(aggregate.get_smoothed_values()["loss"])
