"""One archive of features: an uncompressed zip of ``.npy`` files, as fairseq's speech-to-text has.

Beside ``00012.zip`` stands ``00012.json``: where each utterance lies in it, and which are not in
it and why. It is written last, so an archive that has one is whole; it holds a digest of the
recordings, so one that was fetched again is read again. Does not know how many archives there are.
"""

import hashlib
import io
import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from corpus import NO_AUDIO, TOO_SHORT, UNREADABLE, LeftOut

from fairseq_audiochat.data.audio import file_of, read_audio
from fairseq_audiochat.data.fbank import fbank, num_frames
from fairseq_audiochat.data.manifest import Utterance

_FORMAT = "fairseq_audiochat.features/1"
_LOCAL_HEADER_BYTES = 30  # of a zip's member, before its name
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold: equal runs, equal files


class Member(NamedTuple):
    """Features in an archive.

    Args:
        id: The utterance.
        offset: Where its ``.npy`` file begins.
        length: Bytes of it.
        n_frames: Its frames.
    """

    id: str
    offset: int
    length: int
    n_frames: int


@dataclass
class Contents:
    """What became of an archive's utterances."""

    members: list[Member]
    left_out: list[LeftOut]


class Archive(NamedTuple):
    """An archive to be written.

    Args:
        path: The zip.
        rows: Its utterances.
    """

    path: Path
    rows: list[Utterance]


def write_archive(archive: Archive) -> Contents:
    """Write an archive, unless an earlier run did from the same recordings; gives what is in it."""
    index = archive.path.with_suffix(".json")
    source = _digest(archive.rows)
    known = _read_index(index, archive.path, source)
    if known is not None:
        return known
    index.unlink(missing_ok=True)
    partial = archive.path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as file:
        contents, is_final = _write_members(file, archive.rows)
    os.replace(partial, archive.path)
    if is_final:
        size = archive.path.stat().st_size
        line = {"format": _FORMAT, "source": source, "size": size, **asdict(contents)}
        partial.write_text(json.dumps(line), encoding="utf-8")
        os.replace(partial, index)
    return contents


def _write_members(file: zipfile.ZipFile, rows: list[Utterance]) -> tuple[Contents, bool]:
    """Gives False, too, if a file system failed: that may be well tomorrow."""
    contents, is_final = Contents([], []), True
    for row in rows:
        try:
            content, n_frames = _features(row)
        except (ValueError, OSError) as error:
            reason = _reason(error)
            contents.left_out.append(LeftOut(row.id, row.audio, reason, str(error)))
            is_final = is_final and (isinstance(error, ValueError) or reason == NO_AUDIO)
            continue
        info = zipfile.ZipInfo(f"{row.id}.npy", _LONG_AGO)
        file.writestr(info, content)
        offset = info.header_offset + _LOCAL_HEADER_BYTES + len(info.filename.encode())
        contents.members.append(Member(row.id, offset, len(content), n_frames))
    return contents, is_final


class _TooShort(ValueError):
    pass


def _features(row: Utterance) -> tuple[bytes, int]:
    """What training would compute, as the content of a ``.npy`` file; and its frames."""
    name = f"{row.audio} (utterance {row.id!r})"
    waveform = read_audio(row.audio, name)
    if num_frames(len(waveform)) == 0:
        raise _TooShort(f"{len(waveform)} samples")
    features = fbank(waveform, name)
    content = io.BytesIO()
    np.save(content, features)
    return content.getvalue(), len(features)


def _reason(error: ValueError | OSError) -> str:
    if isinstance(error, _TooShort):
        return TOO_SHORT
    return NO_AUDIO if isinstance(error, FileNotFoundError) else UNREADABLE


def _digest(rows: list[Utterance]) -> str:
    """Of the utterances and their recordings as they are now."""
    digest = hashlib.sha256()
    for row in rows:
        try:
            status = os.stat(file_of(row.audio))
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = (-1, 0)
        digest.update(repr((row.id, row.audio, state)).encode())
    return digest.hexdigest()


def _read_index(index: Path, archive: Path, source: str) -> Contents | None:
    """None if there is none, or it is of other recordings, or the archive is not as it was."""
    try:
        fields = json.loads(index.read_text(encoding="utf-8"))
        expected = (_FORMAT, source, archive.stat().st_size)
    except (FileNotFoundError, ValueError):
        return None
    if (fields["format"], fields["source"], fields["size"]) != expected:
        return None
    members = [Member(*member) for member in fields["members"]]
    return Contents(members, [LeftOut(*row) for row in fields["left_out"]])
