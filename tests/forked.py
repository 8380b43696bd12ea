"""Runs a function in several connected processes, forked: nothing is imported again."""

import multiprocessing
import queue
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

PATIENCE_SECONDS = 120  # until a process counts as stuck


def in_processes(count: int, function: Callable[[int], Any], folder: Path) -> list[Any]:
    """What a function gives in each of several processes that are connected by gloo.

    Args:
        count: How many.
        function: Called with the rank; gives what can be pickled.
        folder: An empty one, for their meeting.
    """
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()

    def work(rank: int) -> None:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count
        )
        try:
            results.put((rank, function(rank), None))
        except Exception:
            results.put((rank, None, traceback.format_exc()))

    processes = [fork.Process(target=work, args=(rank,), daemon=True) for rank in range(count)]
    for process in processes:
        process.start()
    found = {}
    try:
        for _ in processes:
            rank, found[rank], error = take(results)
            assert error is None, error
    finally:
        for process in processes:
            process.kill()
    return [found[rank] for rank in range(count)]


def take(results: Any) -> Any:
    try:
        return results.get(timeout=PATIENCE_SECONDS)
    except queue.Empty:
        raise AssertionError("the processes wait for each other") from None
