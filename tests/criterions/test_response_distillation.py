"""The distillation criterion's metrics are ratios of sums, never means of means."""

import math

from fairseq.logging import metrics

from fairseq_audiochat.criterions.response_distillation import ResponseDistillationCriterion


def reduce(*outputs: dict[str, float]) -> dict[str, float]:
    with metrics.aggregate(new_root=True) as aggregate:
        ResponseDistillationCriterion.reduce_metrics(list(outputs))
    return aggregate.get_smoothed_values()


def test_perplexity_weighs_tokens_not_batches():
    # 10 nats over 1 token and 2 nats over 5 tokens: exp(12 / 6), not the mean of e^10 and e^0.4
    values = reduce(
        {"loss": 10.0, "correct": 0, "sample_size": 1},
        {"loss": 2.0, "correct": 3, "sample_size": 5},
    )
    assert math.isclose(values["ppl"], math.exp(2.0), rel_tol=1e-6)
    assert math.isclose(values["loss"], 2.0)
    assert math.isclose(values["accuracy"], 50.0)
    assert "prompt_wer" not in values


def test_a_cascade_reports_the_word_error_rate_of_its_prompts():
    counts = {"loss": 1.0, "correct": 0, "sample_size": 1}
    values = reduce(
        {**counts, "prompt_word_errors": 3, "prompt_words": 4},
        {**counts, "prompt_word_errors": 0, "prompt_words": 8},
    )
    assert math.isclose(values["prompt_wer"], 25.0)


def test_perplexity_of_several_logs_is_that_of_all_their_tokens():
    """In training fairseq aggregates over updates: the meter must weigh them by tokens."""
    with metrics.aggregate(new_root=True) as aggregate:
        for loss, tokens in ((10.0, 1), (2.0, 5)):
            ResponseDistillationCriterion.reduce_metrics(
                [{"loss": loss, "correct": 0, "sample_size": tokens}]
            )
    assert math.isclose(aggregate.get_smoothed_values()["ppl"], math.exp(2.0), rel_tol=1e-6)
