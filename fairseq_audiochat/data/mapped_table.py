"""A table's columns, memory-mapped, with few of their pages in memory at a time.

Pages of a mapped file stay in a process until the machine is short of memory: an epoch of
random rows would make a whole table resident in every data loading worker. Here they are let
go; what is read again comes from the system's cache. Does not know what the columns mean.
"""

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

_ROWS_HELD = 4
"""After so many rows their pages are let go: the kernel maps some hundred kB around each value."""

DIGEST = "digest"
"""The last batch's metadata hold the digest of the ids: it is known when all are written."""


class MappedTable:
    """The columns of an Arrow file.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no whole table.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            self._pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._pages.madvise(mmap.MADV_RANDOM)  # no reading ahead: neighbours are not wanted
        self._reader = pa.ipc.open_file(pa.py_buffer(self._pages))
        table = self._reader.read_all()
        self._columns: dict[str, pa.ChunkedArray] = dict(zip(table.column_names, table.columns))
        self._rows_read = 0

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    @property
    def metadata(self) -> dict[str, str]:
        """What the table's writer noted."""
        metadata = self._reader.schema.metadata or {}
        return {key.decode(): value.decode() for key, value in metadata.items()}

    @property
    def digest(self) -> str:
        """The digest of the ids and their order."""
        last = self._reader.get_batch_with_custom_metadata(self._reader.num_record_batches - 1)
        return str(last.custom_metadata[DIGEST.encode()].decode())

    def row(self, index: int, columns: Iterable[str]) -> list[Any]:
        """The values of a row in some columns.

        Raises:
            IndexError: If there is no such row.
        """
        row = [self._columns[name][index].as_py() for name in columns]
        self._rows_read += 1
        if self._rows_read % _ROWS_HELD == 0:
            self._pages.madvise(mmap.MADV_DONTNEED)
        return row

    def column(self, name: str) -> pa.ChunkedArray:
        """A column, mapped."""
        return self._columns[name]

    @contextmanager
    def scan(self, name: str) -> Iterator[pa.ChunkedArray]:
        """A column to be read from its beginning to its end; its pages are let go behind it."""
        self._pages.madvise(mmap.MADV_NORMAL)
        try:
            yield self._columns[name]
        finally:
            self._pages.madvise(mmap.MADV_RANDOM)
            self._pages.madvise(mmap.MADV_DONTNEED)
