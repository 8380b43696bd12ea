"""From a file of responses to a table's columns: the file is parsed by Arrow, errors are not.

Arrow reads JSON four times as fast as Python does, but does not say which line is bad, nor
refuse all that is. So a block of lines that it cannot read, or in which a rule is broken, is
read again line by line. Knows neither manifests nor datasets.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from fairseq_audiochat.data.id_column import find_duplicate
from fairseq_audiochat.data.response_record import (
    NO_RESPONSE,
    REGENERATE,
    parse_record,
    read_header,
)
from fairseq_audiochat.data.table import RecordBatches

_BLOCK_BYTES = 32 << 20
_LONGEST_RECORD = 1 << 20  # a longer one is read slowly
_RECORD = pa.schema(
    {
        "id": pa.string(),
        "prompt": pa.list_(pa.int32()),
        "response": pa.list_(pa.int32()),
        "text": pa.string(),
        "ended": pa.string(),
        "excluded": pa.string(),
    }
)
_PARSE = pyarrow.json.ParseOptions(
    explicit_schema=_RECORD, newlines_in_values=False, unexpected_field_behavior="error"
)


def parse_responses(path: Path, file: BinaryIO) -> RecordBatches:
    """The records of a file, and with each how many ids it has.

    Args:
        path: What to call the file in errors.
        file: The same file, open at its beginning.

    Raises:
        ValueError: If the header or a record is bad, an id is there twice, or nothing is there.
    """
    read_header(path)
    ids: list[pa.Array] = []
    line = 2  # line 1 is the header
    for block in _blocks(file):
        batch = _read(block)
        if batch is None:
            batch = _read_slowly(block, path, line)
        ids.append(batch["id"])
        line += len(batch)
        yield _with_lengths(batch)
    if not ids:
        raise ValueError(f"{path}: there must be at least one response, but is none.")
    _check_unique(path, pa.chunked_array(ids))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines behind the first, some megabytes at a time."""
    rest = b""
    is_header_read = False
    while content := file.read(_BLOCK_BYTES):
        block, newline, behind = content.rpartition(b"\n")
        if not newline:
            rest += content
            continue
        block, rest = rest + block + newline, behind
        if not is_header_read:
            is_header_read = True
            block = block.partition(b"\n")[2]
        if block:
            yield block
    if rest and is_header_read:
        yield rest


def _read(block: bytes) -> pa.RecordBatch | None:
    """The block's records; None if one may be bad."""
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=_LONGEST_RECORD)
    try:
        block.decode()  # Arrow would take what is not UTF-8
        table = pyarrow.json.read_json(pa.BufferReader(block), options, _PARSE)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    (batch,) = table.combine_chunks().to_batches() or (None,)
    return batch if batch is not None and len(batch) == lines and _are_valid(batch) else None


def _are_valid(batch: pa.RecordBatch) -> bool:
    """The rules of `parse_record`, over columns."""
    ids = [batch["prompt"].flatten(), batch["response"].flatten()]
    if any(column.null_count for column in [*batch.columns, *ids]):
        return False
    lengths = pc.list_value_length(batch["response"])
    ended = batch["ended"]
    cut = pc.and_(pc.equal(ended, "length"), pc.greater(lengths, 0))
    excluded = pc.and_(pc.equal(lengths, 0), pc.not_equal(batch["excluded"], ""))
    nothing = pc.and_(pc.equal(ended, NO_RESPONSE), excluded)
    rules = [
        pc.not_equal(batch["id"], ""),
        pc.greater(pc.list_value_length(batch["prompt"]), 0),
        pc.or_(pc.equal(ended, "eos"), pc.or_(cut, nothing)),
        *(pc.greater_equal(column, 0) for column in ids),
    ]
    return all(pc.all(rule, min_count=0).as_py() for rule in rules)  # of no ids all are good


def _read_slowly(block: bytes, path: Path, first_line: int) -> pa.RecordBatch:
    # "replace": a line that was cut off inside a character is refused with its number.
    lines = block.decode(errors="replace").removesuffix("\n").split("\n")
    records = [
        parse_record(line, f"{path}:{number}") for number, line in enumerate(lines, first_line)
    ]
    return pa.RecordBatch.from_pylist([record._asdict() for record in records], schema=_RECORD)


def _with_lengths(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lengths as columns of their own: they are read for all utterances, the ids never."""
    ends = pc.cast(pc.equal(batch["ended"], "eos"), pa.int32())
    columns = dict(zip(batch.schema.names, batch.columns))
    columns["prompt_length"] = pc.list_value_length(batch["prompt"])
    columns["target_length"] = pc.add(pc.list_value_length(batch["response"]), ends)
    return pa.RecordBatch.from_pydict(columns)


def _check_unique(path: Path, ids: pa.ChunkedArray) -> None:
    duplicate = find_duplicate(ids)
    if duplicate is not None:
        raise ValueError(
            f"{path}:{duplicate.second + 2}: an utterance must have one response, but "
            f"{duplicate.id!r} has another in line {duplicate.first + 2}; {REGENERATE}."
        )
