"""Records as JSON lines that survive a kill: appended unit by unit, and gone on with.

A unit is what is computed at once, a batch. The file is valid at every moment but for what stands
behind its last whole unit, which is computed again: so a run that was interrupted ends with the
file of one that was not. Knows nothing of what the records say, but that each has an ``id``.
"""

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

Record = dict[str, Any]


def complete(
    path: Path,
    units: Sequence[Sequence[str]],
    compute: Callable[[int], Iterator[list[Record]]],
    shown_as: str,
    header: str = "",
    counted: str = "utt",
) -> list[Record]:
    """Compute the records that a file lacks, with a progress bar, and give all of them.

    Args:
        path: The file; made with its folder if it is not there.
        units: The ids of each unit, in order.
        compute: From a number n to the records of ``units[n:]``, one unit at a time.
        shown_as: What the progress bar calls it.
        header: A first line, if there is to be one.
        counted: What the progress bar counts.

    Raises:
        ValueError: If another process writes the file, it begins with another header, or it
            holds other records.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+", buffering=0) as file:
        _lock(file, path)
        done = _keep_whole_units(file, path, units, header)
        total = sum(map(len, units))
        finished = sum(map(len, units[:done]))
        with tqdm(total=total, initial=finished, desc=shown_as, unit=counted) as bar:
            if done < len(units):
                for records in compute(done):
                    file.write(
                        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()
                    )
                    bar.update(len(records))
    return read(path, header)


def read(path: Path, header: str = "") -> list[Record]:
    """The records of a file, without the header that it begins with.

    Raises:
        ValueError: If a line is no record.
    """
    records = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and header:
                continue
            try:
                record = json.loads(line)
                record["id"]
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"{path}:{number}: a line must be a JSON record with an 'id', but is "
                    f"{line[:80]!r}; remove the file to compute it anew."
                ) from error
            records.append(record)
    return records


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"{path}: one process must write it, but another one does; wait for it."
        ) from error


def _keep_whole_units(
    file: BinaryIO, path: Path, units: Sequence[Sequence[str]], header: str
) -> int:
    """Cut off what stands behind the last whole unit; gives the number of units."""
    file.seek(0)
    lines = file.read().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    done = first = 0
    end = _check_header(file, path, lines, header)
    for unit in units:
        here = lines[first : first + len(unit)]
        for line, expected in zip(here, unit):
            _check_id(line, expected, path)
        if len(here) < len(unit):
            break
        done, first, end = done + 1, first + len(unit), end + sum(map(len, here))
    file.truncate(end)
    return done


def _check_header(file: BinaryIO, path: Path, lines: list[bytes], header: str) -> int:
    """Write the header or take it off the lines; gives its length in bytes."""
    if not header:
        return 0
    line = header.encode() + b"\n"
    if not lines:
        file.truncate(0)
        file.write(line)
    elif lines.pop(0) != line:
        raise ValueError(
            f"{path}: a run must be gone on with as it was begun, but the file begins with another "
            "header; remove it to begin anew."
        )
    return len(line)


def _check_id(line: bytes, expected: str, path: Path) -> None:
    try:
        found = json.loads(line)["id"]
    except (ValueError, TypeError, KeyError):
        found = line[:80].decode(errors="replace")
    if found != expected:
        raise ValueError(
            f"{path}: records must follow the input's order, but {found!r} stands where "
            f"{expected!r} belongs; remove the file to compute it anew."
        )
