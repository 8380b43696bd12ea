"""The responses of a split, memory-mapped and in the order of its manifest.

Knows no LLM: prompts and responses are lists of ids.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.response_record import FORMAT, REGENERATE, Response, read_header
from fairseq_audiochat.data.response_table import parse_responses
from fairseq_audiochat.data.table import open_table


class Responses:
    """The responses of one split, memory-mapped and in the order of its manifest.

    Args:
        path: The JSON-lines file.
        manifest: The split's utterances.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a record is bad, or responses and utterances do not match one to one.
    """

    regenerate = REGENERATE

    def __init__(self, path: str | Path, manifest: Manifest) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"{self.path}: the responses must exist, but do not; make them with "
                "data_prep/generate_responses.py."
            )
        self._table = open_table(self.path, FORMAT, parse_responses)
        self.header = read_header(self.path)
        self._manifest = manifest
        self._rows: npt.NDArray[np.int32] | None = None  # None: in the manifest's order already
        if self._table.digest != manifest.ids_digest:
            self._rows = _align(self._table.column("id"), manifest.ids, self.path, manifest.path)

    def __reduce__(self) -> "tuple[type[Responses], tuple[Path, Manifest]]":
        return Responses, (self.path, self._manifest)  # a worker maps the file itself

    def __getitem__(self, index: int) -> Response:
        """The response to utterance ``index`` of the manifest."""
        row = index if self._rows is None else int(self._rows[index])
        return Response(*self._table.row(row, Response._fields))

    def to_transcript(self, index: int, template: ChatTemplate) -> Response:
        """The response to utterance ``index``, which is to the transcript that it has now.

        Raises:
            ValueError: If the transcript has changed since it was answered.
        """
        utterance, response = self._manifest[index], self[index]
        if response.prompt != template.prompt(Conversation.of_text(utterance.text)):
            raise ValueError(
                f"{self.path}: a response must be to the manifest's transcript, but that "
                f"of utterance {utterance.id!r} is to {template.decode(response.prompt)!r}; "
                f"{REGENERATE}."
            )
        return response

    def lengths(self) -> npt.NDArray[np.int32]:
        """Target tokens (response, and EOS where there is one) per utterance."""
        return self._read("target_length")

    def prompt_lengths(self) -> npt.NDArray[np.int32]:
        """Ids of the text prompt per utterance."""
        return self._read("prompt_length")

    def exclusions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """By reason, which utterances are not trained and scored; shape ``(utterances,)``."""
        with self._table.scan("excluded") as reasons:
            return {
                reason: self._ordered(pc.equal(reasons, reason).to_numpy())
                for reason in pc.unique(reasons).to_pylist()
                if reason
            }

    def _read(self, name: str) -> npt.NDArray[Any]:
        with self._table.scan(name) as column:
            return self._ordered(column.to_numpy())

    def _ordered(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column if self._rows is None else column[self._rows]


def _align(
    response_ids: pa.ChunkedArray, utterance_ids: pa.ChunkedArray, path: Path, manifest_path: Path
) -> npt.NDArray[np.int32]:
    """Rows of the responses in the manifest's order."""
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
    return np.asarray(rows.to_numpy(), dtype=np.int32)
