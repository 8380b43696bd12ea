"""Alignment in embeddings whose cosines can be worked out by hand."""

import math

import numpy as np
import pytest

from fairseq_audiochat.metrics.alignment import (
    RATIOS,
    AlignmentCounts,
    count_alignment,
    monotonicity,
)

VOCABULARY = np.eye(8, dtype=np.float32)  # entry i looks along axis i: cosines are 0 or 1


def cosine_matrix(rows, columns):
    rows, columns = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, columns))
    return rows @ columns.T


def counts_of(tokens, audio, k=2):
    """Count in audio embeddings ``(A, 8)`` behind a transcript."""
    tokens, audio = np.array(tokens, dtype=np.int64), np.asarray(audio, dtype=np.float32)
    nearest = np.argsort(-cosine_matrix(audio, VOCABULARY), axis=1, kind="stable")[:, :k]
    return count_alignment(cosine_matrix(VOCABULARY[tokens], audio), tokens, nearest)


def test_identity():
    assert counts_of([3, 1, 5, 7], VOCABULARY[[3, 1, 5, 7]]) == (4, 4.0, 4, 4, 1, 1.0)


def test_each_token_over_several_positions():
    audio = VOCABULARY[[3, 3, 3, 1, 1, 5]]
    assert counts_of([3, 1, 5], audio) == (3, 3.0, 3, 3, 1, 1.0)


def test_reversed():
    counts = counts_of([3, 1, 5, 7], VOCABULARY[[7, 5, 1, 3]])
    assert counts == (4, 4.0, 4, 4, 1, -1.0)


def test_shifted_by_a_pause_is_in_order():
    pause = np.full((3, 8), 1.0)  # the same cosine, 1 / sqrt(8), to every entry
    counts = counts_of([3, 1, 5], np.concatenate((pause, VOCABULARY[[3, 1, 5]])))
    assert counts == (3, 3.0, 3, 3, 1, 1.0)


def test_rotated():
    """The last token's audio comes first: places 0 1 2 3 match positions 1 2 3 0.

    Rank differences 1, 1, 1, -3: rho = 1 - 6 * 12 / (4 * 15) = -0.2.
    """
    counts = counts_of([3, 1, 5, 7], VOCABULARY[[7, 3, 1, 5]])
    assert counts.correlation_sum == pytest.approx(-0.2)


def test_ties_between_positions_share_their_ranks():
    """Places 0 1 2 match positions 0 0 1: ranks 1.5 1.5 3, so rho = sqrt(3) / 2.

    Pearson of (1, 2, 3) and (1.5, 1.5, 3): covariance 1.5, variances 2 and 1.5 (sums).
    """
    audio = [VOCABULARY[3] + VOCABULARY[1], VOCABULARY[5]]
    counts = counts_of([3, 1, 5], audio)
    assert counts.correlation_sum == pytest.approx(1.5 / math.sqrt(2 * 1.5))
    assert counts.cosine_sum == pytest.approx(2 / math.sqrt(2) + 1)


def test_equal_cosines_count_at_their_first_position():
    audio = VOCABULARY[[3, 1, 3]]
    assert monotonicity(
        cosine_matrix(VOCABULARY[[3, 1]], audio), np.array([3, 1])
    ) == pytest.approx(1)


def test_audio_that_is_all_the_same_says_nothing_of_order():
    audio = np.ones((5, 8))
    counts = counts_of([3, 1, 5], audio)
    assert (counts.ordered, counts.correlation_sum) == (1, 0.0)
    assert counts.cosine_sum == pytest.approx(3 / math.sqrt(8))


def test_hits_are_of_the_nearest_entry_and_near_hits_of_the_k_nearest():
    audio = [0.9 * VOCABULARY[2] + 0.4 * VOCABULARY[3], VOCABULARY[1]]
    counts = counts_of([3, 1, 5], audio, k=2)
    assert (counts.hits, counts.near_hits) == (1, 2)  # 1; 3 is second behind 2; 5 is nowhere


def test_tokens_that_occur_twice_do_not_spoil_the_order():
    """Both 3s point at position 0, although the second one was said at position 2."""
    counts = counts_of([3, 1, 3, 5], VOCABULARY[[3, 1, 3, 5]])
    assert counts == pytest.approx((4, 4.0, 4, 4, 1, 1.0))


@pytest.mark.parametrize("tokens", [[3], [3, 3], [3, 1, 3]])
def test_one_token_has_no_order(tokens):
    counts = counts_of(tokens, VOCABULARY[[3, 1]])
    assert (counts.ordered, counts.correlation_sum) == (0, 0.0)
    assert counts.hits == len(tokens)


def test_a_transcript_without_tokens_counts_nothing():
    assert counts_of([], VOCABULARY[[3]]) == (0, 0.0, 0, 0, 0, 0.0)


def test_random_embeddings_are_at_chance():
    """200 random utterances of 8 tokens: the correlation's mean is 0, its standard error small.

    Under independence Spearman's rho has variance 1 / (n - 1) = 1 / 7 without ties; the mean of
    200 then has a standard deviation of 0.027. Four of these are allowed.
    """
    rng = np.random.default_rng(0)
    tokens = np.arange(8)
    counts = []
    for _ in range(200):
        cosines = rng.uniform(-1, 1, size=(8, 64)).astype(np.float32)
        nearest = rng.integers(0, 1_000, size=(64, 1))
        counts.append(count_alignment(cosines, tokens, nearest))
    assert all(c.ordered for c in counts)
    assert abs(sum(c.correlation_sum for c in counts) / 200) < 4 * 0.027
    # A token is missed by 64 random entries of 1,000 with probability 0.999 ** 64 = 0.938; the
    # share of 1,600 tokens has a standard deviation of 0.006.
    share = sum(c.hits for c in counts) / 1_600
    assert share == pytest.approx(1 - 0.999**64, abs=4 * 0.006)


def test_ratios_are_per_token_and_monotonicity_per_utterance():
    counts = AlignmentCounts(4, 2.0, 1, 3, 1, 0.5)
    parts = {name: ratio.of(counts) for name, ratio in RATIOS.items()}
    assert parts == {
        "monotonicity": (0.5, 1),
        "best_cosine": (2.0, 4),
        "hit_rate": (1, 4),
        "near_hit_rate": (3, 4),
    }


def test_audio_without_positions_is_refused():
    with pytest.raises(ValueError, match=r"at least one, but have shape \(2, 0\)"):
        counts_of([3, 1], np.ones((0, 8)))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"tokens \(3\) .* entries \(2\), but have shape \(2, 2\)"):
        count_alignment(np.ones((2, 2)), np.array([1, 2, 3]), np.ones((2, 1)))
