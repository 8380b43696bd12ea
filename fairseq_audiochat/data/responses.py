"""The responses of a split, memory-mapped and in the order of its manifest.

Knows no LLM: prompts and responses are lists of ids.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.response_record import (
    FORMAT,
    REGENERATE,
    Response,
    read_header,
    read_records,
)
from fairseq_audiochat.data.table import RecordBatches, open_table

_ROWS_PER_BATCH = 10_000
_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "prompt": pa.list_(pa.int32()),
        "response": pa.list_(pa.int32()),
        "text": pa.string(),
        "ended": pa.string(),
        "excluded": pa.string(),
    }
)


class Responses:
    """The responses of one split, memory-mapped and in the order of its manifest.

    Args:
        path: The JSON-lines file.
        manifest: The split's utterances.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a record is bad, or responses and utterances do not match one to one.
    """

    def __init__(self, path: str | Path, manifest: Manifest) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"{self.path}: the responses must exist, but do not; make them with "
                "data_prep/generate_responses.py."
            )
        self._table = open_table(self.path, FORMAT, _parse)
        self.header = read_header(self.path)
        self._manifest = manifest
        self._rows = _align(self._table["id"], manifest.ids, self.path, manifest.path)

    def __reduce__(self) -> "tuple[type[Responses], tuple[Path, Manifest]]":
        return Responses, (self.path, self._manifest)  # a worker maps the file itself

    def __getitem__(self, index: int) -> Response:
        """The response to utterance ``index`` of the manifest."""
        row = index if self._rows is None else int(self._rows[index])
        return Response(*(self._table[name][row].as_py() for name in _SCHEMA.names))

    def lengths(self) -> npt.NDArray[np.int64]:
        """Target tokens (response, and EOS where there is one) per utterance."""
        lengths = pc.list_value_length(self._table["response"]).to_numpy().astype(np.int64)
        lengths += pc.equal(self._table["ended"], "eos").to_numpy()
        return lengths if self._rows is None else lengths[self._rows]

    def exclusions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """By reason, which utterances are not trained and scored; shape ``(utterances,)``."""
        reasons = self._table["excluded"]
        masks = {}
        for reason in pc.unique(reasons).to_pylist():
            if reason:
                mask = pc.equal(reasons, reason).to_numpy()
                masks[reason] = mask if self._rows is None else mask[self._rows]
        return masks

    def prompt_lengths(self) -> npt.NDArray[np.int64]:
        """Ids of the text prompt per utterance."""
        lengths = pc.list_value_length(self._table["prompt"]).to_numpy().astype(np.int64)
        return lengths if self._rows is None else lengths[self._rows]


def _align(
    response_ids: pa.ChunkedArray, utterance_ids: pa.ChunkedArray, path: Path, manifest_path: Path
) -> npt.NDArray[np.int64] | None:
    """Rows of the responses in the manifest's order; None if they are in it already."""
    if response_ids.equals(utterance_ids):
        return None  # no hash table: this is the case of ten million rows
    rows = pc.index_in(utterance_ids, value_set=response_ids)
    if rows.null_count:
        missing = utterance_ids[pc.index(pc.is_null(rows), True).as_py()].as_py()
        raise ValueError(
            f"{manifest_path}: every utterance must have a response, but {rows.null_count} have "
            f"none in {path} (first: {missing!r}); {REGENERATE}."
        )
    strangers = pc.is_null(pc.index_in(response_ids, value_set=utterance_ids))
    if pc.any(strangers).as_py():
        stranger = response_ids[pc.index(strangers, True).as_py()].as_py()
        raise ValueError(
            f"{path}: every response must belong to an utterance, but {pc.sum(strangers).as_py()} "
            f"are not in {manifest_path} (first: {stranger!r}); {REGENERATE}."
        )
    return np.asarray(rows.to_numpy(), dtype=np.int64)


def _parse(path: Path) -> RecordBatches:
    ids: list[pa.Array] = []
    for batch in _read_batches(path):
        ids.append(batch["id"])
        yield batch
    if not ids:
        raise ValueError(f"{path}: there must be at least one response, but is none.")
    _check_unique(path, pa.chunked_array(ids))


def _read_batches(path: Path) -> RecordBatches:
    rows: list[Response] = []
    for record in read_records(path):
        rows.append(record)
        if len(rows) == _ROWS_PER_BATCH:
            yield _batch(rows)
            rows = []
    if rows:
        yield _batch(rows)


def _check_unique(path: Path, ids: pa.ChunkedArray) -> None:
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    duplicate = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
    first = pc.index(ids, duplicate).as_py()
    second = first + 1 + pc.index(ids.slice(first + 1), duplicate).as_py()
    raise ValueError(
        f"{path}:{second + 2}: an utterance must have one response, but {duplicate!r} has another "
        f"in line {first + 2}; {REGENERATE}."
    )


def _batch(rows: list[Response]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([row._asdict() for row in rows], schema=_SCHEMA)
