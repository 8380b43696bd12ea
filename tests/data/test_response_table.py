"""Records that Arrow reads are those that Python reads; what is bad is never let through."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from fairseq_audiochat.data import response_table
from fairseq_audiochat.data.response_record import Response, ResponseHeader, parse_record
from fairseq_audiochat.data.response_table import parse_responses

HEADER = ResponseHeader({}, {}).to_json()
GOOD = Response("a", [1, 5, 6], [7, 8], "l'été\n\u2028 \U0001f600 \\ \"", "eos")


def write(folder: Path, *lines: str) -> Path:
    path = folder / "train.responses.jsonl"
    path.write_text("".join(line + "\n" for line in (HEADER, *lines)), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, object]]:
    with open(path, "rb") as file:
        return pa.Table.from_batches(parse_responses(path, file)).to_pylist()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First lines of the blocks that Python has read."""
    lines: list[int] = []
    read_slowly = response_table._read_slowly
    monkeypatch.setattr(
        response_table,
        "_read_slowly",
        lambda block, path, line: lines.append(line) or read_slowly(block, path, line),
    )
    return lines


@pytest.mark.parametrize("block_bytes", [1, 7, 150, 1_000, 1 << 20])
def test_blocks_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: list[int], block_bytes: int
) -> None:
    """However the file is cut, with and without a line break at its end."""
    monkeypatch.setattr(response_table, "_BLOCK_BYTES", block_bytes)
    cut = Response("cut", [1], [3], "", "length")
    nothing = Response("none", [1], [], "", "", "refusal")
    records = [GOOD, cut, nothing, *(GOOD._replace(id=f"u{i}", prompt=[i]) for i in range(30))]
    path = write(tmp_path, *(record.to_json() for record in records))
    lengths = [(3, 3), (1, 1), (1, 0), *[(1, 3)] * 30]  # the prompt's; the response's, with EOS
    expected = [
        {**record._asdict(), "prompt_length": prompt, "target_length": target}
        for record, (prompt, target) in zip(records, lengths)
    ]
    assert read(path) == expected
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read(path) == expected
    assert slow == []


def test_a_file_of_the_format_before_is_read_by_python(tmp_path: Path, slow: list[int]) -> None:
    fields = {name: value for name, value in GOOD._asdict().items() if name != "excluded"}
    (row,) = read(write(tmp_path, json.dumps(fields)))
    assert row["excluded"] == ""
    assert slow == [2]


@pytest.mark.parametrize(
    "line",
    [
        "",
        GOOD.to_json() + GOOD._replace(id="b").to_json(),  # Arrow takes two in a line
        GOOD.to_json()[:-1] + "}}",
        GOOD.to_json().replace("7", "7.5"),
        GOOD.to_json().replace("[7, 8]", "[7, null]"),
        GOOD.to_json().replace("[7, 8]", "[[7], 8]"),
        GOOD.to_json().replace('"eos"', "null"),
    ],
)
def test_what_arrow_would_take_is_refused(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, GOOD._replace(id="z").to_json(), line)
    with pytest.raises(ValueError, match=r"train\.responses\.jsonl:3: a record must have id, prom"):
        read(path)


def test_bytes_that_are_not_utf8_are_replaced(tmp_path: Path, slow: list[int]) -> None:
    path = write(tmp_path, GOOD._replace(text="x").to_json())
    path.write_bytes(path.read_bytes().replace(b'"x"', b'"\xe9"'))
    assert read(path)[0]["text"] == "\ufffd"
    assert slow == [2]


def test_random_damage_is_seen_by_both_or_by_none(tmp_path: Path) -> None:
    """Where Python's reader refuses a line, the table is refused; where not, it is the same."""
    generator = random.Random(0)
    outcomes = set()
    for _ in range(400):
        line = list(GOOD._replace(text="t").to_json())
        position = generator.randrange(len(line))
        line[position] = generator.choice(list('"{}[],:0 1-e\\x'))
        damaged = "".join(line)
        path = write(tmp_path, damaged)
        try:
            expected = parse_record(damaged, "here")._asdict()
        except ValueError:
            expected = None
        try:
            (row,) = read(path)
            actual = {name: row[name] for name in Response._fields}
        except ValueError:
            actual = None
        assert actual == expected, damaged
        outcomes.add(actual is None)
    assert outcomes == {True, False}
