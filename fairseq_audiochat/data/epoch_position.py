"""Where an epoch goes on when a run is resumed with other processes or other batches.

fairseq stores how many batches each process has seen, and takes the number for its own with any
number of processes: with fewer it would train on batches again, with more it would skip some or
fail. Knows neither utterances nor how batches are made.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from fairseq.data.iterators import EpochBatchIterator

logger = logging.getLogger(__name__)

_KEY = "batching"


class Batching(NamedTuple):
    """What decides which batches a process trains on; all numbers.

    Args:
        processes: How many share the batches of an epoch.
        update_freq: Batches of a process in an update.
        batches: Of an epoch, for all processes.
        max_tokens: Of a batch, or None.
        max_sentences: Of a batch, or None.
        seed: Of their order.
        grouped: Whether the order depends on the number of processes (``--grouped-shuffling``).
    """

    processes: int
    update_freq: int
    batches: int
    max_tokens: int | None
    max_sentences: int | None
    seed: int
    grouped: bool

    def has_the_order_of(self, other: "Batching") -> bool:
        """Whether all processes together see the same batches in the same order."""
        if self.grouped and self.processes != other.processes:
            return False
        return self[2:] == other[2:]


def remember_batching(
    iterator: EpochBatchIterator, batching: Callable[[], Batching]
) -> EpochBatchIterator:
    """Let an iterator's state tell of which batches it is, and go on from another's.

    Args:
        iterator: fairseq's, or one of its kind.
        batching: Tells what it iterates over.
    """
    iterator.state_dict = partial(_state_dict, iterator, batching)
    iterator.load_state_dict = partial(_load_state_dict, iterator, batching)
    return iterator


def batches_seen(position: int, before: Batching, now: Batching) -> int:
    """How many batches each process has seen, of those that all have seen together.

    Args:
        position: How many each had seen before.
        before: With which batches.
        now: With which it is to go on.

    Returns:
        Rounded down, so that no batch is skipped; 0, the epoch's beginning, where the batches are
        others or come in another order.
    """
    if not now.has_the_order_of(before):
        return 0
    return min(position * before.processes, now.batches) // now.processes


def _state_dict(iterator: EpochBatchIterator, batching: Callable[[], Batching]) -> dict[str, Any]:
    return {**type(iterator).state_dict(iterator), _KEY: batching()._asdict()}


def _load_state_dict(
    iterator: EpochBatchIterator, batching: Callable[[], Batching], state_dict: dict[str, Any]
) -> None:
    stored, now = state_dict.get(_KEY), batching()
    if stored is not None and Batching(**stored) != now:
        before, position = Batching(**stored), state_dict["iterations_in_epoch"]
        seen = batches_seen(position, before, now)
        logger.warning("%s", _changes(before, now, state_dict["epoch"], position, seen))
        state_dict = {**state_dict, "iterations_in_epoch": seen}
    type(iterator).load_state_dict(iterator, state_dict)


def _changes(before: Batching, now: Batching, epoch: int, position: int, seen: int) -> str:
    """One sentence: what an update is now, and where the epoch goes on."""
    updates = f"an update is now {_update(now)}, and was {_update(before)}"
    done, goes_on = position * before.processes, seen * now.processes
    if not position:
        where = f"epoch {epoch} begins"
    elif now.has_the_order_of(before):
        where = f"epoch {epoch} goes on behind {goes_on} of its {now.batches} batches"
        where += f", of which {done - goes_on} come again" if done > goes_on else ""
    else:
        where = f"epoch {epoch} begins again, because its batches are others ({done} were done)"
    return f"resumed with another batching: {updates}; {where}; nothing is skipped."


def _update(batching: Batching) -> str:
    limits = ", ".join(
        f"{option} {value}"
        for option, value in (
            ("--max-tokens", batching.max_tokens),
            ("--batch-size", batching.max_sentences),
        )
        if value is not None
    )
    return f"{batching.processes} processes x {batching.update_freq} batches ({limits})"
