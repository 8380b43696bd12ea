"""The training set that stands for one which is not there."""

import pytest

from fairseq_audiochat.plan.assumptions import Assumptions


def test_mls_by_default():
    """44,659 hours in 10,808,037 utterances of 10 to 20 s: 14.875 s on average."""
    assumed = Assumptions()
    assert assumed.mean == pytest.approx(14.875, abs=1e-3)
    frames = assumed.frames()
    assert (frames.min(), frames.max()) == (1000, 2000)
    assert frames.mean() == pytest.approx(1487.5, rel=1e-3)
    assert assumed.tokens(2000) == 70  # 20 s of 3.5 tokens
    assert assumed.tokens(1) == 1


def test_a_mean_that_no_lengths_can_have_is_refused():
    with pytest.raises(ValueError, match=r"between --shortest 10 and --longest 20 .* is 36\.00"):
        Assumptions(utterances=100, hours=1.0)
