"""The ASR manifest: fairseq's speech-to-text TSV, checked and memory-mapped.

Columns ``id audio n_frames tgt_text speaker``; further columns are allowed and ignored, and
``speaker`` may be missing. ``n_frames`` counts 10 ms filterbank frames. ``audio`` is a path
(relative to the manifest's folder, or absolute), or fairseq's ``archive.zip:offset:length``.
This file never opens audio.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fairseq_audiochat.data.id_column import find_duplicate
from fairseq_audiochat.data.table import RecordBatches, open_table

REQUIRED_COLUMNS = ("id", "audio", "n_frames", "tgt_text")
_ROW = (*REQUIRED_COLUMNS, "speaker")
_VERSION = "manifest/2"
_MAX_FRAMES = (1 << 31) - 1  # 248 days
_TOO_LONG = f"must be at most {_MAX_FRAMES}"
_REBUILD = "rebuild the manifest with data_prep/"


class Utterance(NamedTuple):
    """One row of a manifest."""

    id: str
    audio: str
    n_frames: int
    text: str
    speaker: str = ""


class Manifest:
    """The utterances of one split.

    Args:
        path: The TSV file.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a column is missing or a row is bad: the first bad line, the rule that
            it breaks, its value and the utterance.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._table = open_table(self.path, _VERSION, _parse)

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> Utterance:
        id, audio, n_frames, text, speaker = self._table.row(index, _ROW)
        return Utterance(id, self._resolve(audio), n_frames, text, speaker)

    def __reduce__(self) -> "tuple[type[Manifest], tuple[Path]]":
        return Manifest, (self.path,)  # a worker maps the file itself

    @cached_property
    def n_frames(self) -> npt.NDArray[np.int32]:
        """10 ms frames of each utterance, in memory; shape ``(len(self),)``."""
        with self._table.scan("n_frames") as column:
            frames: npt.NDArray[np.int32] = column.to_numpy()
        return frames

    @property
    def ids(self) -> pa.ChunkedArray:
        """The utterance ids, in the manifest's order."""
        return self._table.column("id")

    @property
    def ids_digest(self) -> str:
        """Equal for two files with the same ids in the same order."""
        return self._table.digest

    @property
    def texts(self) -> pa.ChunkedArray:
        """The transcripts, in the manifest's order."""
        return self._table.column("tgt_text")

    def without_text(self) -> npt.NDArray[np.bool_]:
        """Which transcripts have no word; shape ``(len(self),)``."""
        with self._table.scan("is_blank") as column:
            blank: npt.NDArray[np.bool_] = column.to_numpy()
        return blank

    def _resolve(self, audio: str) -> str:
        return audio if os.path.isabs(audio) else str(self.path.parent / audio)


def write_manifest(
    path: str | Path,
    utterances: Iterable[Utterance],
    further: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Write a manifest; it appears at ``path`` whole or not at all.

    Args:
        path: The TSV file.
        utterances: Its rows.
        further: Columns beyond those of `Utterance`, in the rows' order.

    Raises:
        ValueError: If a field holds a tab or a line break.
    """
    path = Path(path)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline="\n"
    ) as file:
        try:
            file.write("\t".join((*_ROW, *further)) + "\n")
            for index, utterance in enumerate(utterances):
                fields = dict(zip(Utterance._fields, map(str, utterance)))
                fields.update((name, values[index]) for name, values in further.items())
                file.write("\t".join(_checked_fields(utterance.id, fields)) + "\n")
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)  # temporary files are private; a manifest is shared
    os.replace(file.name, path)


def _checked_fields(utterance_id: str, fields: dict[str, str]) -> Iterable[str]:
    for name, field in fields.items():
        if any(character in field for character in "\t\n\r"):
            raise ValueError(
                f"{name!r} must not hold a tab or a line break, but is {field!r} "
                f"(utterance {utterance_id!r}); replace them by blanks."
            )
    return fields.values()


def _parse(path: Path, file: BinaryIO) -> RecordBatches:
    seen = 0
    ids: list[pa.Array] = []
    for raw in _read_rows(path, file):
        ids.append(raw["id"])
        yield _checked(path, raw, first_line=seen + 2)  # line 1 is the header
        seen += raw.num_rows
    if seen == 0:
        raise ValueError(f"{path}: a manifest must have at least one row, but has none.")
    _check_unique(path, pa.chunked_array(ids))


def _read_rows(path: Path, file: BinaryIO) -> RecordBatches:
    refused: list[str] = []

    def refuse(row: pyarrow.csv.InvalidRow) -> str:  # pyarrow swallows what is raised here
        refused.append(
            f"{path}:{row.number}: a row must have {row.expected_columns} tab-separated columns, "
            f"but has {row.actual_columns}: {row.text[:80]!r}; a transcript may hold no tab or "
            "newline."
        )
        return "error"

    try:
        for batch in _open_csv(file, _header(path), refuse):
            if batch.num_rows:
                yield batch
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if not refused and "Empty CSV" in str(error):
            return  # a header without a line break
        rule = f"{path}: the manifest must be UTF-8 text, but: {error}."
        raise ValueError(refused[0] if refused else rule) from error


def _open_csv(
    file: BinaryIO, names: list[str], refuse: Callable[[pyarrow.csv.InvalidRow], str]
) -> pyarrow.csv.CSVStreamingReader:
    columns = [*REQUIRED_COLUMNS, *(["speaker"] if "speaker" in names else [])]
    return pyarrow.csv.open_csv(
        file,
        # Without threads, rows that are refused know their number.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=16 << 20),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter="\t",
            quote_char=False,
            double_quote=False,
            ignore_empty_lines=False,
            invalid_row_handler=refuse,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns,
            column_types={name: pa.string() for name in names},
            strings_can_be_null=False,
        ),
    )


def _header(path: Path) -> list[str]:
    with open(path, encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
        names = file.readline().rstrip("\r\n").split("\t")
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        raise ValueError(
            f"{path}:1: the header must name the columns {', '.join(REQUIRED_COLUMNS)}, but lacks "
            f"{', '.join(missing)}; {_REBUILD}."
        )
    return names


def _checked(path: Path, raw: pa.RecordBatch, first_line: int) -> pa.RecordBatch:
    _refuse(path, raw, first_line, "audio", pc.equal(raw["audio"], ""), "must not be empty")
    _refuse(path, raw, first_line, "id", pc.equal(raw["id"], ""), "must not be empty")
    not_positive = pc.invert(pc.match_substring_regex(raw["n_frames"], "^0*[1-9][0-9]{0,17}$"))
    _refuse(path, raw, first_line, "n_frames", not_positive, "must be a positive integer")
    frames = pc.cast(raw["n_frames"], pa.int64())
    _refuse(path, raw, first_line, "n_frames", pc.greater(frames, _MAX_FRAMES), _TOO_LONG)
    columns = {name: raw[name] for name in REQUIRED_COLUMNS}
    columns["n_frames"] = pc.cast(frames, pa.int32())
    has_speaker = "speaker" in raw.schema.names
    columns["speaker"] = raw["speaker"] if has_speaker else pa.array([""] * raw.num_rows)
    # Known here and kept as bits: later nobody reads all texts for it.
    columns["is_blank"] = pc.equal(pc.utf8_trim_whitespace(raw["tgt_text"]), "")
    return pa.RecordBatch.from_pydict(columns)


def _refuse(
    path: Path, raw: pa.RecordBatch, first_line: int, column: str, bad: pa.Array, rule: str
) -> None:
    row = pc.index(bad, True).as_py()
    if row >= 0:
        raise ValueError(
            f"{path}:{first_line + row}: {column!r} {rule}, but is {raw[column][row].as_py()!r} "
            f"(utterance {raw['id'][row].as_py()!r}); {_REBUILD}."
        )


def _check_unique(path: Path, ids: pa.ChunkedArray) -> None:
    duplicate = find_duplicate(ids)
    if duplicate is not None:
        raise ValueError(
            f"{path}:{duplicate.second + 2}: 'id' must be unique, but {duplicate.id!r} is already "
            f"in line {duplicate.first + 2}; {_REBUILD}."
        )
