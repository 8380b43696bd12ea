"""Bytes of tensors that are alive, and the most that ever were. Knows no model."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor


class LiveBytes:
    """Counts storages from their making to their end.

    Attributes:
        now: Bytes that are alive.
        peak: The most that were.
        peak_part: What was going on then; see `part`.
    """

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0
        self.peak_part = ""
        self._part = ""
        self._alive: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage, unless it is counted already."""
        storage = tensor.untyped_storage()
        if storage._cdata in self._alive:
            return
        size = storage.nbytes()
        self._alive.add(storage._cdata)
        # torch keeps a storage's Python object for as long as the storage lives.
        weakref.finalize(storage, self._end, storage._cdata, size)
        self.now += size
        if self.now > self.peak:
            self.peak, self.peak_part = self.now, self._part

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Name what is going on, for `peak_part`."""
        before, self._part = self._part, name
        try:
            yield
        finally:
            self._part = before

    def _end(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size
