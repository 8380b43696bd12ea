"""Decodes recordings completely, in parallel: the only way to find the broken ones.

Results come in the order of the recordings, whatever the number of processes. Does not know
which corpus they belong to.
"""

import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

import torch
from scan_journal import Outcome

from fairseq_audiochat.data.audio import read_audio
from fairseq_audiochat.data.fbank import num_frames

T = TypeVar("T")

_CHUNK = 16  # recordings per task: passing one costs far less than decoding it
_AHEAD = 4  # tasks per process: enough to keep all busy, few enough for any corpus


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
    if workers == 1:
        yield from ((item, decode(audio)) for item, audio in items)
        return
    # A fork of this process would inherit its threads' locks; the server's forks do not.
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["fairseq_audiochat.data.fbank"]
    )  # seconds; once, not per worker
    pool = ProcessPoolExecutor(workers, context, initializer=_prepare_worker)
    try:
        yield from _in_order(pool, iter(items), ahead=workers * _AHEAD)
    except BrokenProcessPool as error:
        raise ValueError(
            "Every worker process must live, but one was killed (out of memory?); run the same "
            "command again to go on, with fewer --workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, items: Iterator[tuple[T, str | None]], ahead: int
) -> Iterator[tuple[T, Outcome | OSError | None]]:
    running: deque[tuple[list[T], Future[list[Outcome | OSError | None]]]] = deque()
    while chunk := list(islice(items, _CHUNK)):
        task = pool.submit(_decode_chunk, [audio for _, audio in chunk])
        running.append(([item for item, _ in chunk], task))
        if len(running) > ahead:
            yield from _results(*running.popleft())
    while running:
        yield from _results(*running.popleft())


def _results(
    items: list[T], task: "Future[list[Outcome | OSError | None]]"
) -> Iterator[tuple[T, Outcome | OSError | None]]:
    yield from zip(items, task.result(), strict=True)


def _decode_chunk(audios: list[str | None]) -> list[Outcome | OSError | None]:
    return [decode(audio) for audio in audios]


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(1)
