"""The ASR manifest: fairseq's speech-to-text TSV, checked and memory-mapped.

Columns ``id audio n_frames tgt_text speaker``; further columns are allowed and ignored, and
``speaker`` may be missing. ``n_frames`` counts 10 ms filterbank frames. ``audio`` is a path
(relative to the manifest's folder, or absolute), or fairseq's ``archive.zip:offset:length``.
This file never opens audio.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fairseq_audiochat.data.table import RecordBatches, open_table

REQUIRED_COLUMNS = ("id", "audio", "n_frames", "tgt_text")
_VERSION = "manifest/1"
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
        self.n_frames: npt.NDArray[np.int64] = self._table["n_frames"].to_numpy()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> Utterance:
        row = {name: self._table[name][index].as_py() for name in self._table.column_names}
        return Utterance(
            row["id"], self._resolve(row["audio"]), row["n_frames"], row["tgt_text"], row["speaker"]
        )

    def __reduce__(self) -> "tuple[type[Manifest], tuple[Path]]":
        return Manifest, (self.path,)  # a worker maps the file itself

    @property
    def ids(self) -> pa.ChunkedArray:
        """The utterance ids, in the manifest's order."""
        return self._table["id"]

    @property
    def texts(self) -> pa.ChunkedArray:
        """The transcripts, in the manifest's order."""
        return self._table["tgt_text"]

    def without_text(self) -> npt.NDArray[np.bool_]:
        """Which transcripts have no word; shape ``(len(self),)``."""
        blank: npt.NDArray[np.bool_] = pc.equal(pc.utf8_trim_whitespace(self.texts), "").to_numpy()
        return blank

    def _resolve(self, audio: str) -> str:
        return audio if os.path.isabs(audio) else str(self.path.parent / audio)


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest; it appears at ``path`` whole or not at all.

    Raises:
        ValueError: If a field holds a tab or a line break.
    """
    path = Path(path)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline="\n"
    ) as file:
        try:
            file.write("\t".join((*REQUIRED_COLUMNS, "speaker")) + "\n")
            for utterance in utterances:
                file.write("\t".join(_checked_fields(utterance)) + "\n")
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)  # temporary files are private; a manifest is shared
    os.replace(file.name, path)


def _checked_fields(utterance: Utterance) -> list[str]:
    fields = [str(field) for field in utterance]
    for name, field in zip(Utterance._fields, fields):
        if any(character in field for character in "\t\n\r"):
            raise ValueError(
                f"{name!r} must not hold a tab or a line break, but is {field!r} "
                f"(utterance {utterance.id!r}); replace them by blanks."
            )
    return fields


def _parse(path: Path) -> RecordBatches:
    seen = 0
    ids: list[pa.Array] = []
    for raw in _read_rows(path):
        ids.append(raw["id"])
        yield _checked(path, raw, first_line=seen + 2)  # line 1 is the header
        seen += raw.num_rows
    if seen == 0:
        raise ValueError(f"{path}: a manifest must have at least one row, but has none.")
    _check_unique(path, pa.chunked_array(ids))


def _read_rows(path: Path) -> RecordBatches:
    refused: list[str] = []

    def refuse(row: pyarrow.csv.InvalidRow) -> str:  # pyarrow swallows what is raised here
        refused.append(
            f"{path}:{row.number}: a row must have {row.expected_columns} tab-separated columns, "
            f"but has {row.actual_columns}: {row.text[:80]!r}; a transcript may hold no tab or "
            "newline."
        )
        return "error"

    try:
        for batch in _open_csv(path, _header(path), refuse):
            if batch.num_rows:
                yield batch
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if not refused and "Empty CSV" in str(error):
            return  # a header without a line break
        rule = f"{path}: the manifest must be UTF-8 text, but: {error}."
        raise ValueError(refused[0] if refused else rule) from error


def _open_csv(
    path: Path, names: list[str], refuse: Callable[[pyarrow.csv.InvalidRow], str]
) -> pyarrow.csv.CSVStreamingReader:
    columns = [*REQUIRED_COLUMNS, *(["speaker"] if "speaker" in names else [])]
    return pyarrow.csv.open_csv(
        path,
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
    columns = {name: raw[name] for name in REQUIRED_COLUMNS}
    columns["n_frames"] = pc.cast(raw["n_frames"], pa.int64())
    has_speaker = "speaker" in raw.schema.names
    columns["speaker"] = raw["speaker"] if has_speaker else pa.array([""] * raw.num_rows)
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
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    duplicate = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
    first = pc.index(ids, duplicate).as_py()
    second = first + 1 + pc.index(ids.slice(first + 1), duplicate).as_py()
    raise ValueError(
        f"{path}:{second + 2}: 'id' must be unique, but {duplicate!r} is already in line "
        f"{first + 2}; {_REBUILD}."
    )
