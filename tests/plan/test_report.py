"""The verdict, and the way out that it names."""

from fairseq_audiochat.plan.memory import Memory
from fairseq_audiochat.plan.report import GB, verdict

PLAIN = Memory(peak=20 * GB, buckets=GB)
CHECKPOINTED = Memory(peak=10 * GB, buckets=GB)


def test_it_fits_with_what_cuda_needs():
    assert verdict(PLAIN, CHECKPOINTED, False, 22) == (
        "It fits: 22.0 GB with 1 GB for CUDA itself, of 22 GB."
    )


def test_checkpointing_is_named_where_it_helps():
    assert verdict(PLAIN, CHECKPOINTED, False, 21.5) == (
        "WARNING: it will not fit: 22.0 GB with 1 GB for CUDA itself, but a GPU has 21.5 GB; "
        "with model.checkpoint_activations=true it needs 12.0 GB."
    )


def test_else_a_smaller_batch_is():
    for chosen, other, checkpointed in (
        (PLAIN, CHECKPOINTED, False),
        (CHECKPOINTED, PLAIN, True),
    ):
        assert verdict(chosen, other, checkpointed, 11).endswith(
            "but a GPU has 11 GB; lower the batch size and raise update_freq, or take a larger GPU."
        )
