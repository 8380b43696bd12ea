"""Kills a process that writes responses, at random moments."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path


def kill_often(
    command: Callable[[], object], path: Path, kills: int, seed: int, growth: int
) -> int:
    """Start a command again and again, kill it (SIGKILL) at random moments, then let it end.

    A kill comes when the partial file has grown by a random number of bytes, or a little later.

    Args:
        command: Writes ``path``; run in a fork, because starting then costs nothing.
        path: The file.
        kills: How many.
        seed: Of the moments.
        growth: Most bytes between two kills; so many kills must fit into the file.

    Returns:
        How many kills met a process at work.
    """
    rng = random.Random(seed)
    partial = path.with_name(path.name + ".partial")
    fork = multiprocessing.get_context("fork")
    met = 0
    for _ in range(kills):
        before = _size(partial)
        enough = before + rng.randrange(growth)
        process = fork.Process(target=command, daemon=True)
        process.start()
        while process.is_alive() and _size(partial) < enough:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.005)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        met += process.exitcode == -signal.SIGKILL
    assert not path.exists(), "it was too quick to be killed so often"
    process = fork.Process(target=command)
    process.start()
    process.join()
    assert process.exitcode == 0
    return met


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
