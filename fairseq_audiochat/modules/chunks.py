"""Where a long recording is cut into overlapping chunks, and which chunk gives each frame.

Counts encoder frames of 80 ms. Knows neither what computes a chunk nor what the frames hold.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Chunk(NamedTuple):
    """Frames ``start`` to ``end`` are computed together; ``keep_from`` to ``keep_to`` are kept."""

    start: int
    end: int
    keep_from: int
    keep_to: int


@dataclass(frozen=True)
class Chunks:
    """Chunks of one length, evenly spread over a recording.

    Every frame is kept from the chunk in which it has most context to its nearer side, so the
    kept parts follow one another without gap. A recording that fits into one chunk is one chunk.

    Args:
        frames: Length of a chunk.
        overlap: Frames that neighbours have in common, at least.

    Raises:
        ValueError: If the overlap is negative, or leaves nothing of a chunk.
    """

    frames: int
    overlap: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.frames:
            raise ValueError(
                f"The overlap of chunks must be from 0 to less than a chunk's {self.frames} "
                f"frames, but is {self.overlap}."
            )

    def of(self, length: int) -> list[Chunk]:
        """The chunks of a recording with so many frames, in order."""
        last = max(0, length - self.frames)  # where the last chunk starts
        count = 1 + -(-last // (self.frames - self.overlap))
        # In integers: an even spread, never further apart than the overlap allows.
        starts = [index * last // max(1, count - 1) for index in range(count)]
        ends = [min(start + self.frames, length) for start in starts]
        # In the middle of what two neighbours share, a frame has as much on either side.
        seams = [(start + end) // 2 for start, end in zip(starts[1:], ends)]
        return [
            Chunk(start, end, keep_from, keep_to)
            for start, end, keep_from, keep_to in zip(starts, ends, [0, *seams], [*seams, length])
        ]
