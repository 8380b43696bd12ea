"""The LLM's responses: one JSON record per utterance, ids first, with their provenance.

The first line of a file is its header: which LLM answered (its fingerprint), to which template,
and how it decoded. Every further line is a record. Ids are the truth; the text is for reading.
Knows no LLM: prompts and responses are lists of ids.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.table import RecordBatches, open_table

FORMAT = "fairseq_audiochat.responses/2"
_READABLE = (FORMAT, "fairseq_audiochat.responses/1")  # /1 has fewer fields: none excluded
ENDINGS = ("eos", "length")
NO_RESPONSE = ""
"""How a response ended that the LLM did not give: such a record is excluded."""
_ROWS_PER_BATCH = 10_000
_REGENERATE = "generate the responses again with data_prep/generate_responses.py"
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


class Response(NamedTuple):
    """What the LLM answered to one transcript.

    Args:
        id: The utterance.
        prompt: Ids of the whole text prompt, from BOS to the end of the template's suffix.
        response: Generated ids, without EOS.
        text: The response's text.
        ended: ``eos``, or ``length`` if it was cut: then no EOS follows. ``NO_RESPONSE`` if the
            prompt was not answered.
        excluded: Why the record is not trained and scored; empty if it is. Short and the same
            for all of a kind: exclusions are counted by it.
    """

    id: str
    prompt: list[int]
    response: list[int]
    text: str
    ended: str
    excluded: str = ""

    def to_json(self) -> str:
        """The record's line."""
        return json.dumps(self._asdict(), ensure_ascii=False)

    def target(self, eos_id: int) -> list[int]:
        """What is trained and scored: the response, and EOS only if the LLM generated it."""
        return [*self.response, eos_id] if self.ended == "eos" else list(self.response)


class ResponseHeader(NamedTuple):
    """Provenance of a file of responses: JSON values only.

    Args:
        llm: The LLM's fingerprint; its tokenizer's digest is part of it.
        decoding: How the responses were found: search, limits, dtype, engine.
        template: Name and version of the chat template.
        program: The version of this package that wrote the file.
        shard: ``3/64`` in the third of 64 files that make a split; empty in a whole one.
        filters: The filters that excluded records, with their settings.
    """

    llm: dict[str, str]
    decoding: dict[str, Any]
    template: str = ""
    program: str = ""
    shard: str = ""
    filters: dict[str, Any] = {}  # noqa: RUF012 (nobody writes to it)

    def to_json(self) -> str:
        """The file's first line."""
        return json.dumps({"format": FORMAT, **self._asdict()}, sort_keys=True)

    def difference_from(self, other: "ResponseHeader") -> str:
        """What differs from another header, for an error message; empty if nothing does."""
        mine, theirs = _flat(self._asdict()), _flat(other._asdict())
        return ", ".join(
            f"{name} {mine.get(name, 'none')} instead of {theirs.get(name, 'none')}"
            for name in sorted({*mine, *theirs})
            if mine.get(name) != theirs.get(name)
        )


def _flat(fields: dict[str, Any]) -> dict[str, str]:
    """Nested settings as ``decoding.search``; digests are cut."""
    flat = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": str(inner)[:40] for key, inner in value.items()})
        else:
            flat[name] = str(value) or "none"
    return flat


def read_header(path: str | Path) -> ResponseHeader:
    """Read the provenance of a file of responses.

    Raises:
        ValueError: If its first line is no header of this format.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        line = file.readline()
    try:
        fields = json.loads(line)
        if fields.pop("format") in _READABLE:
            return ResponseHeader(**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(
        f"{path}:1: the first line must be a header of format {FORMAT!r}, but is {line[:80]!r}; "
        f"{_REGENERATE}."
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
            f"none in {path} (first: {missing!r}); {_REGENERATE}."
        )
    strangers = pc.is_null(pc.index_in(response_ids, value_set=utterance_ids))
    if pc.any(strangers).as_py():
        stranger = response_ids[pc.index(strangers, True).as_py()].as_py()
        raise ValueError(
            f"{path}: every response must belong to an utterance, but {pc.sum(strangers).as_py()} "
            f"are not in {manifest_path} (first: {stranger!r}); {_REGENERATE}."
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


def read_records(path: Path) -> Iterator[Response]:
    """The records of a file, one after another.

    Raises:
        ValueError: If the header or a record is bad.
    """
    read_header(path)
    # "replace": a line that was cut off inside a character is refused with its number.
    with open(path, encoding="utf-8", errors="replace") as file:
        next(file)
        for line_number, line in enumerate(file, start=2):
            yield parse_record(line, f"{path}:{line_number}")


def _check_unique(path: Path, ids: pa.ChunkedArray) -> None:
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    duplicate = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
    first = pc.index(ids, duplicate).as_py()
    second = first + 1 + pc.index(ids.slice(first + 1), duplicate).as_py()
    raise ValueError(
        f"{path}:{second + 2}: an utterance must have one response, but {duplicate!r} has another "
        f"in line {first + 2}; {_REGENERATE}."
    )


def parse_record(line: str, place: str) -> Response:
    """Read one record.

    Raises:
        ValueError: With ``place``, if it is no whole and valid record.
    """
    try:
        record = Response(**json.loads(line))
        valid = _is_valid(record)
    except (ValueError, TypeError):
        valid = False
    if not valid:
        raise ValueError(
            f"{place}: a record must have {', '.join(Response._fields)}, with 'ended' one of "
            f"{ENDINGS}, but is {line[:80]!r}; {_REGENERATE}."
        )
    return record


def _is_valid(record: Response) -> bool:
    texts = (record.id, record.text, record.ended, record.excluded)
    if not (all(isinstance(text, str) for text in texts) and record.id and record.prompt):
        return False
    if not (_are_ids(record.prompt) and _are_ids(record.response)):
        return False
    if record.ended == NO_RESPONSE:
        return record.excluded != "" and not record.response
    # A response that was cut has something to train on.
    return record.ended in ENDINGS and (record.ended == "eos" or record.response != [])


def _are_ids(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return all(isinstance(token, int) and 0 <= token < 1 << 31 for token in value)


def _batch(rows: list[Response]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([row._asdict() for row in rows], schema=_SCHEMA)
