"""Work in several processes, with results in the order of the tasks.

Does not know what the work is.
"""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import torch

T = TypeVar("T")
Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 4  # tasks per process: enough to keep all busy, few enough for any corpus


def in_order(
    work: Callable[[Task], Result], tasks: Iterable[tuple[T, Task]], workers: int
) -> Iterator[tuple[T, Result]]:
    """Work on tasks in other processes.

    Args:
        work: A function of a module, which can be pickled.
        tasks: What each task belongs to, which stays in this process, and the task; read only a
            little ahead.
        workers: Number of processes; with 1 this process does it.

    Yields:
        What each task belongs to, and its result.

    Raises:
        ValueError: If a worker is killed from outside.
    """
    if workers == 1:
        yield from ((belongs, work(task)) for belongs, task in tasks)
        return
    # A fork of this process would inherit its threads' locks; the server's forks do not.
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["fairseq_audiochat.data.fbank"]
    )  # seconds; once, not per worker
    pool = ProcessPoolExecutor(workers, context, initializer=_prepare_worker)
    running: deque[tuple[T, Future[Result]]] = deque()
    try:
        for belongs, task in tasks:
            running.append((belongs, pool.submit(work, task)))
            if len(running) > workers * _AHEAD:
                yield _finished(*running.popleft())
        while running:
            yield _finished(*running.popleft())
    except BrokenProcessPool as error:
        raise ValueError(
            "Every worker process must live, but one was killed (out of memory?); run the same "
            "command again to go on, with fewer --workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(belongs: T, future: "Future[Result]") -> tuple[T, Result]:
    return belongs, future.result()


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(1)
