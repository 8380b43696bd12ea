"""Word errors by hand."""

from fairseq_audiochat.metrics.word_errors import word_errors


def test_counts_over_utterances():
    # "a b c" -> "a x": one substitution, one deletion. "d" -> "d e f": two insertions.
    assert word_errors(["a b c", "d"], ["a x", "d e f"]) == (4, 4)


def test_nothing_recognised_is_all_deletions():
    assert word_errors(["a b"], [""]) == (2, 2)


def test_a_perfect_hypothesis_has_no_errors():
    assert word_errors(["a b", "c"], ["a b", "c"]) == (0, 3)
