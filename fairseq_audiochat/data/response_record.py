"""A file of responses: its header, and one JSON record per utterance, ids first.

The first line of a file is its header: which LLM answered (its fingerprint), to which template,
and how it decoded. Every further line is a record. Ids are the truth; the text is for reading.
Knows no LLM and no manifest.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = "fairseq_audiochat.responses/2"
_READABLE = (FORMAT, "fairseq_audiochat.responses/1")  # /1 has fewer fields: none excluded
ENDINGS = ("eos", "length")
NO_RESPONSE = ""
"""How a response ended that the LLM did not give: such a record is excluded."""
REGENERATE = "generate the responses again with data_prep/generate_responses.py"
"""The way out of most errors."""


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
            f"{name} {_short(mine.get(name))} instead of {_short(theirs.get(name))}"
            for name in sorted({*mine, *theirs})
            if mine.get(name) != theirs.get(name)
        )


def _flat(fields: dict[str, Any]) -> dict[str, str]:
    """Nested settings as ``decoding.search``."""
    flat = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": str(inner) for key, inner in value.items()})
        else:
            flat[name] = str(value) or "none"
    return flat


def _short(value: str | None) -> str:
    """A value for a sentence; of a long one both ends, because paths differ in their last part."""
    value = value or "none"
    return value if len(value) <= 60 else f"{value[:28]}...{value[-28:]}"


def read_header(
    path: str | Path, formats: Sequence[str] = _READABLE, regenerate: str = REGENERATE
) -> ResponseHeader:
    """Read the provenance of a file of responses.

    Args:
        path: The file.
        formats: Those that its first line may name; the newest is the first.
        regenerate: The way out, for the error.

    Raises:
        ValueError: If its first line is no header of this format.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        line = file.readline()
    try:
        fields = json.loads(line)
        if fields.pop("format") in formats:
            return ResponseHeader(**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(
        f"{path}:1: the first line must be a header of format {formats[0]!r}, but is "
        f"{line[:80]!r}; {regenerate}."
    )


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


def parse_record(line: str, place: str) -> Response:
    """Read one record.

    Raises:
        ValueError: With ``place``, if it is no whole and valid record.
    """
    try:
        record = Response(**json.loads(line))
        valid = is_response(record)
    except (ValueError, TypeError):
        valid = False
    if not valid:
        raise ValueError(
            f"{place}: a record must have {', '.join(Response._fields)}, with 'ended' one of "
            f"{ENDINGS}, but is {line[:80]!r}; {REGENERATE}."
        )
    return record


def is_response(record: Response) -> bool:
    """Whether a record's fields have their types and fit together."""
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
