"""The column that names a table's rows: what is twice in it, and a digest to compare it by.

Two tables of ten million rows belong together if their ids are the same in the same order.
Digests that were made with the tables say so without reading an id. Knows no table.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class IdDigest:
    """A digest of ids, fed one array after another; how they are divided makes no difference."""

    def __init__(self) -> None:
        self._characters = hashlib.sha256()
        self._lengths = hashlib.sha256()  # "a", "bc" are not "ab", "c"

    def update(self, ids: pa.StringArray) -> None:
        """Take in further ids."""
        offsets, characters = ids.buffers()[1:]
        ends = np.frombuffer(offsets, dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
        if characters is not None:
            self._characters.update(memoryview(characters)[ends[0] : ends[-1]])
        self._lengths.update(np.diff(ends))

    def hexdigest(self) -> str:
        """The digest of what was fed so far."""
        return f"{self._characters.hexdigest()}{self._lengths.hexdigest()}"


class Duplicate(NamedTuple):
    """An id that stands in two rows, counted from 0."""

    id: str
    first: int
    second: int


def find_duplicate(ids: pa.ChunkedArray) -> Duplicate | None:
    """The first id that comes again; None if all are unique."""
    if pc.count_distinct(ids).as_py() == len(ids):
        return None
    counts = pc.value_counts(ids)
    duplicate = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
    first = pc.index(ids, duplicate).as_py()
    second = first + 1 + pc.index(ids.slice(first + 1), duplicate).as_py()
    return Duplicate(duplicate, first, second)
