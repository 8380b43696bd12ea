"""Rows and columns of a mapped table, and how little of it stays in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fairseq_audiochat.data import mapped_table
from fairseq_audiochat.data.mapped_table import DIGEST, MappedTable

MEBIBYTE = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four batches of 1,024 rows with texts of 4 kB: 16 MiB."""
    schema = pa.schema({"id": pa.string(), "n": pa.int32(), "text": pa.string()}, {"version": "1"})
    rng = np.random.default_rng(0)
    path = tmp_path / "table.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in range(4):
            numbers = range(1_024 * batch, 1_024 * (batch + 1))
            texts = [rng.bytes(2_048).hex() for _ in numbers]
            columns = [list(map(str, numbers)), pa.array(numbers, pa.int32()), texts]
            noted = {DIGEST: f"after batch {batch}"}
            writer.write_batch(pa.record_batch(columns, schema=schema), custom_metadata=noted)
    return path


def resident_bytes(path: Path) -> int:
    """Of a mapped file, in this process."""
    maps = Path("/proc/self/smaps").read_text()
    sections = maps.split(f"{path}\n")[1:]
    assert sections, "the file is not mapped"
    return 1024 * sum(int(section.partition("Rss:")[2].split()[0]) for section in sections)


def test_rows_and_columns_come_back(path: Path) -> None:
    table = MappedTable(path)
    assert len(table) == 4_096
    assert table.metadata == {"version": "1"}
    id, text, n = table.row(1_500, ["id", "text", "n"])
    assert (id, len(text), n) == ("1500", 4_096, 1_500)
    with table.scan("n") as column:
        assert column.to_numpy().tolist() == list(range(4_096))
    assert table.column("id")[4_095].as_py() == "4095"
    with pytest.raises(IndexError):
        table.row(4_096, ["id"])


def test_digest_is_that_of_the_last_batch(path: Path) -> None:
    assert MappedTable(path).digest == "after batch 3"


def test_pages_of_rows_are_let_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against an epoch that makes all of a table resident in every worker."""
    monkeypatch.setattr(mapped_table, "_ROWS_HELD", 5)
    table = MappedTable(path)
    held = []
    for row in (9, 4_000, 1_500, 2_900, 300, 3_333):
        table.row(row, ["n", "text"])
        held.append(resident_bytes(path))
    assert min(held[:4]) > 0
    assert held[4] == 0
    assert held[5] > 0


def test_a_scan_leaves_no_pages(path: Path) -> None:
    table = MappedTable(path)
    with table.scan("text") as column:
        assert len(column.combine_chunks()) == 4_096
        assert resident_bytes(path) > 15 * MEBIBYTE
    assert resident_bytes(path) < MEBIBYTE


@pytest.mark.parametrize("left", [0, 10, 5_000])
def test_what_is_no_table_is_refused(path: Path, left: int) -> None:
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError):  # noqa: PT011 - Arrow's and mmap's own words
        MappedTable(path)
