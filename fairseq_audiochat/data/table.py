"""Memory-mapped tables: text files that people write, opened like a database.

A manifest of ten million rows is parsed and checked once; its columns are kept as an Arrow
file beside it and memory-mapped by every later process, so that opening costs milliseconds
and the pages are shared between data loading workers. Knows neither manifests nor responses.
"""

import fcntl
import glob
import hashlib
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from tqdm import tqdm

from fairseq_audiochat.data.id_column import IdDigest
from fairseq_audiochat.data.mapped_table import DIGEST, MappedTable

logger = logging.getLogger(__name__)

_LAYOUT = "table/2"
_SHOWN_AFTER_SECONDS = 1

RecordBatches = Iterator[pa.RecordBatch]
Parse = Callable[[Path, BinaryIO], RecordBatches]
"""Yields a file's rows as record batches of one schema with a column ``id``."""


def open_table(source: Path, version: str, parse: Parse) -> MappedTable:
    """Open the columns of ``source``, parsing it only if it is new or has changed.

    Args:
        source: The text file.
        version: Names the parser's format; another version parses again.
        parse: Given the path (for errors) and the open file; raises on bad rows.

    Returns:
        A memory-mapped table; nothing of it is resident until it is read.

    Raises:
        FileNotFoundError: If ``source`` does not exist.
    """
    if not source.is_file():
        raise FileNotFoundError(f"{source}: the file must exist, but does not; check the path.")
    stamp = _stamp(source, version)
    table = _find(source, stamp)
    if table is not None:
        return table
    path = _place(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(_lock_path(path), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process parses, those beside it wait
        table = _find(source, stamp)
        return MappedTable(_build(path, source, stamp, parse)) if table is None else table


def _find(source: Path, stamp: dict[str, str]) -> MappedTable | None:
    for path in (_beside(source), _in_cache(source)):
        table = _map_if_whole(path)
        if table is not None and table.metadata == stamp:
            return table
    return None


def _place(source: Path) -> Path:
    beside = _beside(source)
    return beside if os.access(beside.parent, os.W_OK) else _in_cache(source)


def _build(path: Path, source: Path, stamp: dict[str, str], parse: Parse) -> Path:
    """Written to a file of its own and renamed: readers never see half a table."""
    logger.info("indexing %s, which is done once", source)
    # Other machines may write at the same time, so the name is random; under this machine's
    # lock, whatever else has its prefix was left by a process that was killed.
    prefix = f".{path.name}.{socket.gethostname()}.{os.getuid()}."
    for abandoned in path.parent.glob(f"{glob.escape(prefix)}*"):
        abandoned.unlink()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    os.close(handle)
    try:
        _write(Path(temporary), source, stamp, parse)
        os.chmod(temporary, 0o644)  # temporary files are private; a data folder is shared
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def _write(path: Path, source: Path, stamp: dict[str, str], parse: Parse) -> None:
    digest = IdDigest()
    shown = {
        "desc": f"indexing {source.name}",
        "total": source.stat().st_size,
        "delay": _SHOWN_AFTER_SECONDS,
        "mininterval": 1,
    }
    with open(source, "rb") as plain, tqdm.wrapattr(plain, "read", **shown) as file:
        batches = parse(source, file)
        first = next(batches)
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, first.schema.with_metadata(stamp)) as writer,
        ):
            for batch in chain([first], batches):
                digest.update(batch["id"])
                noted = {DIGEST: digest.hexdigest()}
                writer.write_batch(batch.replace_schema_metadata(stamp), custom_metadata=noted)


def _map_if_whole(path: Path) -> MappedTable | None:
    """None if there is no table, or one that a crash of the machine cut off."""
    try:
        return MappedTable(path) if path.is_file() else None
    except ValueError:
        return None


def _stamp(source: Path, version: str) -> dict[str, str]:
    status = source.stat()
    return {
        "version": f"{_LAYOUT} {version}",
        "size": str(status.st_size),
        "mtime_ns": str(status.st_mtime_ns),
    }


def _beside(source: Path) -> Path:
    return source.with_name(source.name + ".arrow")


def _lock_path(path: Path) -> Path:
    """Beside no data: a lock is this machine's and this user's."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"fairseq_audiochat.{os.getuid()}.{digest}.lock"


def _in_cache(source: Path) -> Path:
    """Where the table of a file in a read-only folder is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    return cache / "fairseq_audiochat" / f"{source.name}.{digest}.arrow"
