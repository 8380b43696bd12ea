"""A file of responses while it is written: resumed, appended to, and renamed when it is whole.

``SPLIT.responses.jsonl.partial`` is valid at every moment but for what stands behind the last
line break, so that a run may be killed at any byte. Knows no engine.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.response_record import (
    NO_RESPONSE,
    Response,
    ResponseHeader,
    parse_record,
    read_header,
)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ResponseFile:
    """Writes records; a context that leaves the partial file behind unless it was finished.

    Args:
        output: Where the whole file appears.
        header: Its provenance.
        suffix: Of the partial file: another one for who does something else.

    Raises:
        ValueError: If another process writes the file.
    """

    def __init__(self, output: Path, header: ResponseHeader, suffix: str = ".partial") -> None:
        self.output, self.header = output, header
        self.partial = output.with_name(output.name + suffix)
        self.written = 0
        self._file = open(self.partial, "ab", buffering=0)  # noqa: SIM115 (a context itself)
        self._lock()

    def __enter__(self) -> "ResponseFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def begin(self) -> None:
        """Prepare for writing from the start."""
        os.truncate(self.partial, 0)
        self._append((self.header.to_json() + "\n").encode())

    def resume(
        self,
        manifest: Manifest,
        rows: range,
        prompt: Callable[[Utterance], list[int]],
        unit: int,
    ) -> int:
        """Prepare for appending.

        Args:
            manifest: Whose utterances are answered.
            rows: Which of them.
            prompt: From an utterance to its prompt ids.
            unit: Records are kept up to a multiple of so many that an engine answered.

        Returns:
            How many utterances are done.

        Raises:
            ValueError: If the file was begun with another LLM, other settings or other
                transcripts.
        """
        with open(self.partial, "rb") as file:
            if not file.readline().endswith(b"\n"):
                self.begin()
                return 0
            self._check_header()
            self.written, end = self._check_records(file, manifest, rows, prompt, unit)
        os.truncate(self.partial, end)
        return self.written

    def write(self, records: list[Response]) -> None:
        """Append records.

        Raises:
            OSError: If the disk is full.
        """
        self._append("".join(record.to_json() + "\n" for record in records).encode())
        self.written += len(records)

    def finish(self) -> None:
        """Let the whole file appear."""
        os.fsync(self._file.fileno())
        os.replace(self.partial, self.output)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise ValueError(
                f"{self.partial}: one process must write it, but another one does; wait for it."
            ) from error

    def _append(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]  # a full disk takes a part first
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise OSError(
                f"{self.partial}: there must be room for the responses, but: {error.strerror} "
                f"(after {self.written} responses); make room and run the same command again, "
                "which goes on where it was."
            ) from error

    def _check_header(self) -> None:
        begun = read_header(self.partial)
        if begun != self.header:
            raise ValueError(
                f"{self.partial}: a run must be continued with the LLM and settings that it was "
                f"begun with, but now it is {self.header.difference_from(begun)}; remove the file "
                "to begin anew."
            )

    def _check_records(
        self,
        file: BinaryIO,
        manifest: Manifest,
        rows: range,
        prompt: Callable[[Utterance], list[int]],
        unit: int,
    ) -> tuple[int, int]:
        """How many records to keep, and the position behind them."""
        kept, end, answered = 0, file.tell(), 0
        for done, line in enumerate(iter(file.readline, b""), start=1):
            if not line.endswith(b"\n"):
                break
            place = f"{self.partial}:{done + 1}"  # line 1 is the header
            record = parse_record(line.decode(errors="replace"), place)
            utterance = manifest[rows[done - 1]] if done <= len(rows) else None
            _check_record(record, utterance, place, done, prompt)
            answered += record.ended != NO_RESPONSE
            if answered % unit == 0 or done == len(rows):
                kept, end = done, file.tell()
        return kept, end


def _check_record(
    record: Response,
    utterance: Utterance | None,
    place: str,
    number: int,
    prompt: Callable[[Utterance], list[int]],
) -> None:
    if utterance is None or record.id != utterance.id:
        raise ValueError(
            f"{place}: responses must follow the manifest's order, but {record.id!r} is not its "
            f"utterance {number}; remove the file to begin anew."
        )
    if record.prompt != prompt(utterance):
        raise ValueError(
            f"{place}: a response must be to the manifest's transcript, but the transcript of "
            f"{record.id!r} has changed; remove the file to begin anew."
        )
