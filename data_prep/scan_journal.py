"""What decoding each recording gave, kept on disk so that a killed run goes on where it was.

One JSON line per recording, only ever appended. A line counts for the file that was decoded: its
path, size and modification time, so a recording that is fetched again is decoded again. Does not
know what the results mean for a manifest; other results than lengths need a parser of theirs.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

_FORMAT = "fairseq_audiochat.scan/1"

_Key = bytes  # 16 bytes in place of a path: ten million of them are held


class Recording(NamedTuple):
    """A file as it was when it was decoded."""

    audio: str
    size: int
    mtime_ns: int

    @staticmethod
    def of(audio: str) -> "Recording":
        """The file as it is now.

        Raises:
            FileNotFoundError: If there is none.
        """
        status = os.stat(audio)
        return Recording(os.path.abspath(audio), status.st_size, status.st_mtime_ns)

    def key(self) -> _Key:
        """What the journal looks it up by."""
        return hashlib.blake2b(repr(tuple(self)).encode(), digest_size=16).digest()


Outcome = int | str
"""The recording's 10 ms frames, or the sentence that says why it cannot be read."""


Result = TypeVar("Result")


class Journal(Generic[Result]):
    """Results of earlier runs, and of this one.

    Args:
        path: The file; made if it does not exist. A line that a kill cut in half is dropped.
        format: Of the file: another one for other results.
        parse: From a result as JSON gives it to the result; a ValueError or
            TypeError where it is none.

    Raises:
        ValueError: If the file is not such a journal.
    """

    def __init__(self, path: Path, format: str, parse: Callable[[Any], Result]) -> None:
        self.path = path
        self._header, self._parse = json.dumps({"format": format}), parse
        self._outcomes: dict[_Key, Result] = {}
        end = self._read() if path.is_file() else 0
        # Line by line, so that a kill loses none; decoding costs a thousand times as much.
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - see __exit__
        self._file.truncate(end)
        if end == 0:
            self._file.write(self._header + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def get(self, recording: Recording) -> Result | None:
        """What decoding this very file gave; None if it was never decoded."""
        return self._outcomes.get(recording.key())

    def add(self, recording: Recording, outcome: Result) -> None:
        """Keep a result."""
        line = {**recording._asdict(), "outcome": outcome}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _read(self) -> int:
        """Read the lines; gives the position behind the last whole one."""
        end = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                self._read_line(number, line.decode("utf-8", errors="replace"))
                end += len(line)
        return end

    def _read_line(self, number: int, line: str) -> None:
        try:
            if number == 1:
                valid = line.rstrip("\n") == self._header
            else:
                fields = json.loads(line)
                outcome = self._parse(fields.pop("outcome"))
                self._outcomes[Recording(**fields).key()] = outcome
                valid = True
        except (ValueError, KeyError, TypeError, AttributeError):
            valid = False
        if not valid:
            raise ValueError(
                f"{self.path}:{number}: the journal must hold a scan's results, but this line is "
                f"{line[:80]!r}; delete the file to decode the recordings anew."
            )


class ScanJournal(Journal[Outcome]):
    """What decoding gave; see `Journal`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _FORMAT, _outcome)


def _outcome(value: Any) -> Outcome:
    if not isinstance(value, Outcome):
        raise TypeError
    return value
