"""Memory-mapped tables: text files that people write, opened like a database.

A manifest of ten million rows is parsed and checked once; its columns are kept as an Arrow
file beside it and memory-mapped by every later process, so that opening costs milliseconds
and the pages are shared between data loading workers. Knows neither manifests nor responses.
"""

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

logger = logging.getLogger(__name__)

RecordBatches = Iterator[pa.RecordBatch]


def open_table(source: Path, version: str, parse: Callable[[Path], RecordBatches]) -> pa.Table:
    """Open the columns of ``source``, parsing it only if it is new or has changed.

    Args:
        source: The text file.
        version: Names the parser's format; another version parses again.
        parse: Yields the file's rows as record batches of one schema, and raises on bad rows.

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
        return _map(_build(path, source, stamp, parse)) if table is None else table


def _find(source: Path, stamp: dict[str, str]) -> pa.Table | None:
    for path in (_beside(source), _in_cache(source)):
        table = _map_if_whole(path)
        if table is not None and _metadata(table) == stamp:
            return table
    return None


def _place(source: Path) -> Path:
    beside = _beside(source)
    return beside if os.access(beside.parent, os.W_OK) else _in_cache(source)


def _build(
    path: Path, source: Path, stamp: dict[str, str], parse: Callable[[Path], RecordBatches]
) -> Path:
    logger.info("indexing %s", source)
    # Each process writes its own file and renames it: readers never see half a table.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        _write(Path(temporary), stamp, parse(source))
        os.chmod(temporary, 0o644)  # temporary files are private; a data folder is shared
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def _write(path: Path, stamp: dict[str, str], batches: RecordBatches) -> None:
    first = next(batches)
    schema = first.schema.with_metadata(stamp)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(first.replace_schema_metadata(stamp))
        for batch in batches:
            writer.write_batch(batch.replace_schema_metadata(stamp))


def _map(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _map_if_whole(path: Path) -> pa.Table | None:
    """None if there is no table, or one that a crash of the machine cut off."""
    try:
        return _map(path) if path.is_file() else None
    except pa.ArrowInvalid:
        return None


def _metadata(table: pa.Table) -> dict[str, str]:
    metadata = table.schema.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}


def _stamp(source: Path, version: str) -> dict[str, str]:
    status = source.stat()
    return {"version": version, "size": str(status.st_size), "mtime_ns": str(status.st_mtime_ns)}


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
