"""Memory-mapped tables: parsed once, parsed again when the source changes, never half there."""

import hashlib
import multiprocessing
import os
import signal
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pytest

from fairseq_audiochat.data import table
from fairseq_audiochat.data.id_column import IdDigest
from fairseq_audiochat.data.table import Parse, RecordBatches, open_table


class CountingParser:
    """One row per line; counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path, file: BinaryIO) -> RecordBatches:
        self.calls += 1
        return parse_lines(path, file)


def parse_lines(path: Path, file: BinaryIO) -> RecordBatches:
    for line in file.read().decode().splitlines():
        if line == "bad":
            raise ValueError(f"{path}: a bad line.")
        yield pa.RecordBatch.from_pydict({"id": [line]})


def lines(source: Path, parse: Parse, version: str = "1") -> list[str]:
    column: list[str] = open_table(source, version, parse).column("id").to_pylist()
    return column


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "rows.txt"
    path.parent.mkdir()
    path.write_text("a\nb\n")
    return path


def test_parsed_once(source: Path) -> None:
    parse = CountingParser()
    assert lines(source, parse) == lines(source, parse) == ["a", "b"]
    assert parse.calls == 1
    assert sorted(os.listdir(source.parent)) == ["rows.txt", "rows.txt.arrow"]


def test_parsed_again_when_the_source_changes(source: Path) -> None:
    parse = CountingParser()
    lines(source, parse)
    source.write_text("a\nb\nc\n")
    assert lines(source, parse) == ["a", "b", "c"]
    status = source.stat()
    source.write_text("a\nb\nd\n")  # of equal size: only the time tells
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert lines(source, parse) == ["a", "b", "d"]
    assert parse.calls == 3


def test_parsed_again_by_another_version(source: Path) -> None:
    parse = CountingParser()
    lines(source, parse, version="1")
    lines(source, parse, version="2")
    assert parse.calls == 2


def test_cut_off_table_is_made_anew(source: Path) -> None:
    """Guards against a machine that crashed before its disk had the whole table."""
    parse = CountingParser()
    lines(source, parse)
    arrow = source.with_name("rows.txt.arrow")
    for content in (b"", arrow.read_bytes()[:-20]):
        arrow.write_bytes(content)
        assert lines(source, parse) == ["a", "b"]
    assert parse.calls == 3


def test_table_is_as_public_as_a_data_folder(source: Path) -> None:
    """Guards against a colleague's PermissionError: temporary files are private."""
    lines(source, CountingParser())
    assert stat.S_IMODE(source.with_name("rows.txt.arrow").stat().st_mode) == 0o644


def test_read_only_folder_uses_the_cache(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions do not bind root, so the answer of `os.access` is made up."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(table.os, "access", lambda path, mode: Path(path) != source.parent)
    parse = CountingParser()
    assert lines(source, parse) == lines(source, parse) == ["a", "b"]
    assert parse.calls == 1
    assert os.listdir(source.parent) == ["rows.txt"]
    digest = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    assert os.listdir(tmp_path / "cache/fairseq_audiochat") == [f"rows.txt.{digest}.arrow"]


def test_cache_home_is_the_default(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty XDG_CACHE_HOME counts as none (XDG base directory specification)."""
    monkeypatch.setenv("HOME", str(source.parent / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert table._in_cache(source).is_relative_to(source.parent / "home/.cache")


def test_bad_source_leaves_nothing(source: Path) -> None:
    source.write_text("a\nbad\n")
    with pytest.raises(ValueError, match="a bad line"):
        lines(source, parse_lines)
    assert os.listdir(source.parent) == ["rows.txt"]


def test_of_many_that_open_at_once_one_parses(source: Path) -> None:
    """The others wait for its table. Threads stand for processes here."""
    source.write_text("\n".join(map(str, range(300))))
    barrier = threading.Barrier(4, timeout=30)
    parsed = []

    def parse(path: Path, file: BinaryIO) -> RecordBatches:
        parsed.append(path)
        time.sleep(0.2)  # time for the others to come
        yield from parse_lines(path, file)

    def open_together(_: int) -> list[str]:
        barrier.wait()
        return lines(source, parse)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(open_together, range(4)))
    assert results == [[str(number) for number in range(300)]] * 4
    assert len(parsed) == 1
    assert sorted(os.listdir(source.parent)) == ["rows.txt", "rows.txt.arrow"]


def test_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.txt: the file must exist, but does not"):
        open_table(tmp_path / "no.txt", "1", parse_lines)


def test_digest_is_that_of_the_ids(source: Path, tmp_path: Path) -> None:
    """Kept with the table: comparing two of ten million rows reads no row."""
    digest = IdDigest()
    digest.update(pa.array(["a", "b"]))
    for _ in range(2):  # written, and found again
        assert open_table(source, "1", parse_lines).digest == digest.hexdigest()
    other = tmp_path / "other.txt"
    other.write_text("b\na\n")
    assert open_table(other, "1", parse_lines).digest != digest.hexdigest()


def killed(path: Path, file: BinaryIO) -> RecordBatches:
    yield pa.RecordBatch.from_pydict({"id": ["a"]})
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_left_is_removed(source: Path) -> None:
    """A table of ten million rows has gigabytes: half ones must not pile up."""
    others = source.with_name(".rows.txt.arrow.another-machine.0.abc")
    others.touch()  # may be at work
    process = multiprocessing.get_context("fork").Process(
        target=open_table, args=(source, "1", killed)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(os.listdir(source.parent)) == 3, "the test must have left something"
    assert lines(source, parse_lines) == ["a", "b"]
    assert sorted(os.listdir(source.parent)) == [others.name, "rows.txt", "rows.txt.arrow"]


def test_progress_is_shown_of_what_takes_time(
    source: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(source, parse_lines)
    assert "%" not in capfd.readouterr().err, "a small file is indexed in silence"
    source.write_text("c\n")
    monkeypatch.setattr(table, "_SHOWN_AFTER_SECONDS", 0)
    lines(source, parse_lines)
    assert "indexing rows.txt: 100%" in capfd.readouterr().err
