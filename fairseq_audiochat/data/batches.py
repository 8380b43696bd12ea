"""Batches of utterances as arrays: what ten million of them as lists of lists would take.

A list of ten million ints is half a gigabyte, and every data loading worker would copy it, because
counting references writes to its pages. Here a batch is a range of an array that all batches
share, and becomes a list of ints when it is asked for. Knows no utterance.
"""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer[Any]]
"""Rows of a manifest, int32 where there are many."""


class Batches(Sequence[list[int]]):
    """Batches, each a range of ``indices``; without members where fairseq fills a shard up.

    Args:
        indices: Members of all batches.
        starts: Where each batch begins in ``indices``.
        stops: Where it ends.
    """

    def __init__(self, indices: Indices, starts: Indices, stops: Indices) -> None:
        self.indices = indices
        self.starts = starts
        self.stops = stops

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, chosen: int) -> list[int]: ...
    @overload
    def __getitem__(self, chosen: slice | Indices) -> "Batches": ...
    def __getitem__(self, chosen: int | slice | Indices) -> "list[int] | Batches":
        """A batch; or those of a slice or an array of numbers, over the same ``indices``."""
        if isinstance(chosen, slice | np.ndarray):
            return Batches(self.indices, self.starts[chosen], self.stops[chosen])
        return self.indices[self.starts[chosen] : self.stops[chosen]].tolist()

    def __iter__(self) -> Iterator[list[int]]:
        return (self[number] for number in range(len(self)))

    def shard(self, number: int, shards: int) -> "Batches":
        """Every ``shards``-th batch, from ``number`` on; all shards get equally many.

        As in fairseq, a shard that comes short gets an empty batch at its end.
        """
        mine = self[number::shards]
        if len(mine) * shards >= len(self):
            return mine
        end = np.zeros(1, dtype=self.starts.dtype)
        return Batches(self.indices, np.append(mine.starts, end), np.append(mine.stops, end))


def cut_by_size(
    indices: Indices, sizes: Indices, max_size: int | None, max_members: int | None
) -> Batches:
    """Cut an order into batches that are full: fairseq's ``batch_by_size``, without its lists.

    Args:
        indices: Members, longest first.
        sizes: Of each of ``indices``: it falls or stays.
        max_size: Of a batch: its longest member's size times its members; no member has more.
        max_members: Of a batch.
    """
    count = len(indices)
    fitting = np.full(count, count if max_members is None else min(count, max_members), np.int32)
    if max_size is not None:
        fitting = np.minimum(fitting, min(max_size, np.iinfo(np.int32).max) // sizes)
    # The shorter, the more fit: as many fit behind each position up to the next step.
    steps = np.append(np.flatnonzero(np.diff(fitting)) + 1, count)
    starts, start = [], 0
    for step in steps:
        if start < step:
            starts.append(np.arange(start, step, fitting[start], dtype=np.int32))
            start = int(starts[-1][-1] + fitting[start])
    first = np.concatenate([*starts, np.zeros(0, dtype=np.int32)])
    return Batches(indices, first, np.append(first[1:], count)[: len(first)].astype(np.int32))
