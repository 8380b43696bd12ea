"""The answered dialogues of a split, memory-mapped: one row per answer that is trained.

To limits and batches they look like utterances, whose frames are those of all their recordings.
Knows no LLM: prompts and responses are lists of ids.
"""

import json
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.dialogue_record import (
    FORMAT,
    REGENERATE,
    DialogueRecord,
    parse_record,
)
from fairseq_audiochat.data.id_column import find_duplicate
from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.response_record import read_header
from fairseq_audiochat.data.table import RecordBatches, open_table

_RECORDS_AT_A_TIME = 4_096
_COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "messages": pa.string(),
        "audio": pa.list_(pa.string()),
        "prompt": pa.list_(pa.int32()),
        "audio_prompt": pa.list_(pa.int32()),
        "response": pa.list_(pa.int32()),
        "text": pa.string(),
        "ended": pa.string(),
        "excluded": pa.string(),
        "prompt_length": pa.int32(),
        "text_positions": pa.int32(),
        "target_length": pa.int32(),
    }
)


class Dialogues:
    """The dialogues of one split.

    Args:
        path: The JSON-lines file.
        manifest: The utterances that its recordings are.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a record is bad, or a recording is not in the manifest.
    """

    regenerate = REGENERATE

    def __init__(self, path: str | Path, manifest: Manifest) -> None:
        self.path = Path(path)
        self.recordings = manifest
        self._table = open_table(self.path, FORMAT, parse_dialogues)
        self.header = read_header(self.path, (FORMAT,), REGENERATE)
        self._clips = _rows_of_clips(self._table.column("audio"), manifest, self.path)
        counts = pc.list_value_length(self._table.column("audio")).to_numpy()
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return len(self._table)

    def __reduce__(self) -> "tuple[type[Dialogues], tuple[Path, Manifest]]":
        return Dialogues, (self.path, self.recordings)  # a worker maps the files itself

    def __getitem__(self, index: int) -> Utterance:
        """An answer's dialogue as limits and batches see it: its id and its frames."""
        [id] = self._table.row(index, ["id"])
        return Utterance(id, "", int(self.n_frames[index]), "")

    def record(self, index: int) -> DialogueRecord:
        """Everything about an answer."""
        record = DialogueRecord(*self._table.row(index, DialogueRecord._fields))
        return record._replace(messages=json.loads(str(record.messages)))

    def clips(self, index: int) -> list[int]:
        """The manifest's rows of an answer's recordings, in order."""
        first = int(self._ends[index - 1]) if index else 0
        return [int(row) for row in self._clips[first : int(self._ends[index])]]

    @cached_property
    def n_frames(self) -> npt.NDArray[np.int32]:
        """10 ms frames of all recordings before each answer; shape ``(len(self),)``."""
        return self.sum_over_clips(self.recordings.n_frames[self._clips]).astype(np.int32)

    @property
    def clip_frames(self) -> npt.NDArray[np.int32]:
        """10 ms frames of each recording, dialogue after dialogue."""
        return self.recordings.n_frames[self._clips]

    def sum_over_clips(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Per answer, the sum of what is given for each recording."""
        sums = np.concatenate(([0], np.cumsum(values)))
        ends = np.concatenate(([0], self._ends))
        return sums[ends[1:]] - sums[ends[:-1]]

    def lengths(self) -> npt.NDArray[np.int32]:
        """Target tokens (answer, and EOS where there is one)."""
        return self._read("target_length")

    def prompt_lengths(self) -> npt.NDArray[np.int32]:
        """Ids of the prompts with transcripts."""
        return self._read("prompt_length")

    def text_positions(self) -> npt.NDArray[np.int32]:
        """Ids of the prompts with recordings, without these."""
        return self._read("text_positions")

    def exclusions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """By reason, which answers are not trained and scored; shape ``(len(self),)``."""
        with self._table.scan("excluded") as reasons:
            return {
                reason: pc.equal(reasons, reason).to_numpy()
                for reason in pc.unique(reasons).to_pylist()
                if reason
            }

    def _read(self, name: str) -> npt.NDArray[np.int32]:
        with self._table.scan(name) as column:
            found: npt.NDArray[np.int32] = column.to_numpy()
        return found


def parse_dialogues(path: Path, file: BinaryIO) -> RecordBatches:
    """The records of a file, and with each how many ids it has.

    Raises:
        ValueError: If the header or a record is bad, an id is there twice, or nothing is there.
    """
    read_header(path, (FORMAT,), REGENERATE)
    file.readline()
    ids: list[pa.Array] = []
    number = 2  # line 1 is the header
    while lines := list(islice(_lines(file), _RECORDS_AT_A_TIME)):
        places = (f"{path}:{line_number}" for line_number in range(number, number + len(lines)))
        rows = [_columns(parse_record(line, place)) for line, place in zip(lines, places)]
        batch = pa.RecordBatch.from_pylist(rows, schema=_COLUMNS)
        ids.append(batch["id"])
        number += len(lines)
        yield batch
    if not ids:
        raise ValueError(f"{path}: there must be at least one answer, but is none; {REGENERATE}.")
    duplicate = find_duplicate(pa.chunked_array(ids))
    if duplicate is not None:
        raise ValueError(
            f"{path}:{duplicate.second + 2}: 'id' must be unique, but {duplicate.id!r} is already "
            f"in line {duplicate.first + 2}; {REGENERATE}."
        )


def _lines(file: BinaryIO) -> Iterator[str]:
    # "replace": a line that was cut off inside a character is refused with its number.
    return (line.decode(errors="replace") for line in iter(file.readline, b""))


def _columns(record: DialogueRecord) -> dict[str, Any]:
    return {
        **record._asdict(),
        "messages": json.dumps(record.messages, ensure_ascii=False),
        "prompt_length": len(record.prompt),
        "text_positions": len(record.audio_prompt) - record.audio_prompt.count(AUDIO_PLACEHOLDER),
        "target_length": len(record.response) + (record.ended == "eos"),
    }


def _rows_of_clips(audio: pa.ChunkedArray, manifest: Manifest, path: Path) -> npt.NDArray[np.int32]:
    """The manifest's row of every recording, dialogue after dialogue."""
    ids = pc.list_flatten(audio)
    rows = pc.index_in(ids, value_set=manifest.ids)
    if rows.null_count:
        missing = ids[pc.index(pc.is_null(rows), True).as_py()].as_py()
        raise ValueError(
            f"{path}: every recording must be in the manifest, but {rows.null_count} are not in "
            f"{manifest.path} (first: {missing!r}); {REGENERATE}."
        )
    return np.asarray(rows.to_numpy(), dtype=np.int32)
