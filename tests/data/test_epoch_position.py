"""Resuming in mid-epoch with other processes or other batches: nothing is skipped."""

import logging
from itertools import islice

import pytest
import torch
from fairseq.data.iterators import EpochBatchIterator

from fairseq_audiochat.data.epoch_position import Batching, batches_seen, remember_batching

BATCHES = [[number] for number in range(23)]


class Numbers(torch.utils.data.Dataset):
    def __getitem__(self, index: int) -> int:
        return index

    def __len__(self) -> int:
        return len(BATCHES)


def batching(processes: int, **changes: object) -> Batching:
    settings = {"update_freq": 1, "max_tokens": 1000, "max_sentences": None, "seed": 1}
    return Batching(
        **{**settings, "processes": processes, "batches": 23, "grouped": False, **changes}
    )


def iterators(processes: int, **changes: object) -> list[EpochBatchIterator]:
    """One for each process."""
    made = batching(processes, **changes)
    return [
        remember_batching(
            EpochBatchIterator(
                Numbers(),
                collate_fn=lambda members: members,
                batch_sampler=BATCHES,
                seed=made.seed,
                num_shards=processes,
                shard_id=shard,
            ),
            lambda: made,
        )
        for shard in range(processes)
    ]


def seen_by(running: list[EpochBatchIterator], most: int | None = None) -> list[int]:
    """What all processes get from here on, and how often."""
    rows = [islice(iterator.next_epoch_itr(), most) for iterator in running]
    return sorted(number for row in rows for batch in row for number in batch)


@pytest.mark.parametrize(
    ("before", "position", "now", "again"),
    [
        (2, 5, 2, 0),
        (1, 6, 2, 0),  # 6 batches are 3 for each of 2
        (1, 13, 2, 1),  # 13 batches: 6 for each of 2, and the 13th again
        (4, 3, 1, 0),
        (3, 5, 8, 7),  # 15 batches: 1 for each of 8, and 7 again
        (1, 22, 8, 6),  # where fairseq finds that its 3 batches end before the 22nd
    ],
)
def test_all_batches_of_the_epoch_are_seen(before: int, position: int, now: int, again: int):
    running = iterators(before)
    first = seen_by(running, position)
    state = running[0].state_dict()
    assert state["iterations_in_epoch"] == position
    resumed = iterators(now)
    for iterator in resumed:
        iterator.load_state_dict(state)
    rest = seen_by(resumed)
    assert set(first) | set(rest) == set(range(23))
    assert len(first) + len(rest) == 23 + again


def test_without_it_fairseq_skips_batches():
    """Else the test above would prove nothing."""
    running = iterators(1)
    first = seen_by(running, 6)
    resumed = iterators(2)
    for iterator in resumed:
        EpochBatchIterator.load_state_dict(iterator, running[0].state_dict())
    assert len(set(first) | set(seen_by(resumed))) < 23


def test_other_batches_begin_the_epoch_again():
    running = iterators(2)
    seen_by(running, 5)
    for change in ({"max_tokens": 500}, {"seed": 2}, {"batches": 22}, {"max_sentences": 3}):
        resumed = iterators(2, **change)
        for iterator in resumed:
            iterator.load_state_dict(running[0].state_dict())
        assert seen_by(resumed) == list(range(23)), change
    assert batches_seen(5, batching(2, grouped=True), batching(4, grouped=True)) == 0
    assert batches_seen(5, batching(2, grouped=True), batching(2, grouped=True)) == 5


@pytest.mark.parametrize(
    ("position", "now", "message"),
    [
        (
            13,
            {"processes": 2, "update_freq": 4},
            "an update is now 2 processes x 4 batches (--max-tokens 1000), and was 1 processes x 1 "
            "batches (--max-tokens 1000); epoch 1 goes on behind 12 of its 23 batches, of which "
            "1 come again; nothing is skipped.",
        ),
        (
            13,
            {"processes": 1, "update_freq": 2},
            "1 batches (--max-tokens 1000); epoch 1 goes on behind 13 of its 23 batches; nothing",
        ),
        (
            13,
            {"processes": 1, "max_tokens": None, "max_sentences": 8},
            "1 processes x 1 batches (--batch-size 8), and was 1 processes x 1 batches "
            "(--max-tokens 1000); epoch 1 begins again, because its batches are others (13 were",
        ),
        (0, {"processes": 2}, "(--max-tokens 1000); epoch 2 begins; nothing is skipped."),
    ],
)
def test_the_log_says_what_changes(
    position: int, now: dict[str, int], message: str, caplog: pytest.LogCaptureFixture
):
    running = iterators(1)
    seen_by(running, position or None)
    with caplog.at_level(logging.WARNING):
        iterators(**now)[0].load_state_dict(running[0].state_dict())
    assert message in caplog.text


def test_the_same_batching_says_nothing_and_older_checkpoints_load(
    caplog: pytest.LogCaptureFixture,
):
    running = iterators(2)
    seen_by(running, 5)
    state = running[0].state_dict()
    resumed = iterators(2)
    resumed[0].load_state_dict(state)
    assert resumed[0].iterations_in_epoch == 5
    del state["batching"]
    iterators(1)[0].load_state_dict(state)
    assert not caplog.text
