"""Decodes recordings completely, in parallel: the only way to find the broken ones.

Results come in the order of the recordings, whatever the number of processes. Does not know
which corpus they belong to.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from processes import in_order
from scan_journal import Outcome

from fairseq_audiochat.data.audio import read_audio
from fairseq_audiochat.data.fbank import num_frames

T = TypeVar("T")

_CHUNK = 16  # recordings per task: passing one costs far less than decoding it


def decode(audio: str | None) -> Outcome | OSError | None:
    """Read a recording to its end.

    Returns:
        Its 10 ms frames (0 if it is shorter than one window); why it cannot be decoded; the
        error of a file system that may be well tomorrow; or None if there is no recording.
    """
    if audio is None:
        return None
    try:
        return num_frames(len(read_audio(audio)))
    except ValueError as error:
        return str(error)
    except OSError as error:
        return error


def decode_all(
    items: Iterable[tuple[T, str | None]], workers: int
) -> Iterator[tuple[T, Outcome | OSError | None]]:
    """Decode recordings, in order.

    Args:
        items: What each recording belongs to, and its path, or None where there is nothing to
            decode; read only a little ahead.
        workers: Number of processes; with 1 this process does it.

    Raises:
        ValueError: If a worker is killed from outside.
    """
    chunk = 1 if workers == 1 else _CHUNK  # alone, it reads nothing ahead
    for belongs, outcomes in in_order(_decode_chunk, _chunks(iter(items), chunk), workers):
        yield from zip(belongs, outcomes, strict=True)


def _chunks(
    items: Iterator[tuple[T, str | None]], size: int
) -> Iterator[tuple[list[T], list[str | None]]]:
    while chunk := list(islice(items, size)):
        yield [item for item, _ in chunk], [audio for _, audio in chunk]


def _decode_chunk(audios: list[str | None]) -> list[Outcome | OSError | None]:
    return [decode(audio) for audio in audios]
