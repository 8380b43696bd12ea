"""How benchmarks measure: in turns, the median of several, memory in a process of its own.

Time is the process's CPU time with one thread, so that other programs disturb it little; on a
GPU it is the time until the device has finished. Knows no model.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
import transformers

# glibc then returns freed tensors to the system; as it is, its holes add a half to all figures,
# and differ by a tenth from run to run.
FREED_IS_FREE = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "262144"}
T = TypeVar("T")


def parser(description: str) -> argparse.ArgumentParser:
    """A command line with what all benchmarks have in common."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--repeats", type=int, default=5, help="measurements of each (default 5)")
    made.add_argument("--model", default="s", help="the random Llama: s, 1b or 7b (default s)")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    made.add_argument("--dtype", default="float32", help="of the LLM (default float32)")
    made.add_argument("--memory-of", nargs="+", help=argparse.SUPPRESS)
    return made


def announce(args: argparse.Namespace) -> None:
    """Use one thread, and print where and with what is measured."""
    torch.set_num_threads(1)
    place = platform.machine()
    if args.device != "cpu":
        place = torch.cuda.get_device_name()
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"Llama {args.model!r}, {args.dtype}, {place}, 1 thread, medians of {args.repeats}\n",
        flush=True,
    )


def in_turns(
    runs: Mapping[str, Callable[[], T]], repeats: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, T]]:
    """Run all once to warm up, then in turns: median seconds, and what each gave last."""
    results = {name: run() for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = _now(device)
            results[name] = run()
            seconds[name].append(_now(device) - start)
    return {name: statistics.median(times) for name, times in seconds.items()}, results


def _now(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak_megabytes(run: Callable[[], object], device: str = "cpu") -> float:
    """By how much a run's peak exceeds what is held before it; on Linux, or on a GPU."""
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    held = _resident_kilobytes("VmRSS")
    run()
    return (_resident_kilobytes("VmHWM") - held) / 1024


def peak_in_own_process(*what: object) -> float:
    """`peak_megabytes` of what this same command prints with ``--memory-of`` and ``what``."""
    return printed_by([*sys.argv, "--memory-of", *map(str, what)])


def printed_by(command: Sequence[str]) -> float:
    """The number that a Python command prints last, in a process of its own.

    A process that has computed before holds memory in reserve, and needs less.
    """
    return float(_printed_by(command)[-1])


def numbers_printed_by(command: Sequence[str]) -> list[float]:
    """The same where it prints nothing but numbers: all of them."""
    return [float(word) for word in _printed_by(command)]


def _printed_by(command: Sequence[str]) -> list[str]:
    finished = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **FREED_IS_FREE},
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.split()


def _resident_kilobytes(field: str) -> int:
    """Resident memory of this process: ``VmRSS`` now, ``VmHWM`` at its peak."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))
