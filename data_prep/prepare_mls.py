"""Manifests from Multilingual LibriSpeech, as it is unpacked.

    python data_prep/prepare_mls.py mls_english manifests --splits train dev test --limited 9hr

writes ``manifests/train.tsv`` and so on, and ``manifests/train_9hr.tsv`` for the utterances that
``train/limited_supervision/9hr/handles.txt`` lists. Every recording is decoded once, completely;
what cannot be used is in ``manifests/train.left_out.tsv`` with its reason. Running it again goes
on where it was stopped. MLS has one folder per language; the original flac files and the
compressed opus files both work. Transcripts (lower case) stay as they are. Does not know how
recordings are decoded and reported: see corpus.py.
"""

import argparse
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from corpus import NO_TRANSCRIPT, Entry, LeftOut, Split, unlisted_audio
from manifest_script import add_arguments, run

SUFFIXES = (".flac", ".opus")
PARTS = ("9hr", "1hr", *(f"1hr/{part}" for part in range(6)))
_ID = re.compile(r"(?P<speaker>[0-9A-Za-z]+)_(?P<book>[0-9A-Za-z]+)_[0-9A-Za-z]+")


def main() -> None:
    """Prepare the splits that the command line names."""
    run(_parser(), lambda args: find_splits(args.mls_dir, args.splits, args.limited))


def find_splits(mls_dir: Path, names: list[str], limited: list[str]) -> list[Split]:
    """What becomes a manifest each.

    Args:
        mls_dir: Folder of one language.
        names: Splits.
        limited: Parts of ``PARTS``, taken from the training split.

    Raises:
        FileNotFoundError: If a list of transcripts or handles is missing.
        ValueError: If nothing is asked for, or a list of handles is empty.
    """
    if not names and not limited:
        raise ValueError("--splits or --limited must name something, but both are empty.")
    splits = [_whole_split(_existing(mls_dir / name / "transcripts.txt"), name) for name in names]
    for part in limited:
        transcripts = _existing(mls_dir / "train" / "transcripts.txt")
        splits.append(_limited_split(transcripts, part, _read_handles(mls_dir, part)))
    return splits


def _whole_split(transcripts: Path, name: str) -> Split:
    audio = partial(unlisted_audio, transcripts.parent / "audio", SUFFIXES)
    return Split(name, partial(read_transcripts, transcripts), audio)


def _limited_split(transcripts: Path, part: str, handles: set[str]) -> Split:
    def listed() -> Iterator[Entry]:
        return (entry for entry in read_transcripts(transcripts) if entry.id in handles)

    def unlisted(ids: set[str]) -> list[LeftOut]:
        return [LeftOut(id, "", NO_TRANSCRIPT) for id in sorted(handles - ids)]

    return Split(f"train_{part.replace('/', '_')}", listed, unlisted)


def _read_handles(mls_dir: Path, part: str) -> set[str]:
    """The ids of a limited-supervision part; ``1hr`` is its six parts together."""
    folder = mls_dir / "train" / "limited_supervision"
    parts = [f"1hr/{number}" for number in range(6)] if part == "1hr" else [part]
    handles: set[str] = set()
    for name in parts:
        path = _existing(folder / name / "handles.txt")
        handles.update(path.read_text(encoding="utf-8").split())
    if not handles:
        raise ValueError(f"{folder / part}: there must be at least one handle, but is none.")
    return handles


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the file must exist, but does not; MLS_DIR must be the folder of one "
            "language, such as mls_english, with the splits in it."
        )
    return path


def read_transcripts(path: Path) -> Iterator[Entry]:
    """The utterances of ``SPLIT/transcripts.txt``, in its order.

    Raises:
        ValueError: If a line is not an id ``<speaker>_<book>_<number>``, a tab and a text.
    """
    with open(path, encoding="utf-8", newline="\n") as file:
        try:
            for number, line in enumerate(file, start=1):
                yield _parse_line(line.rstrip("\r\n"), path, number)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: transcripts must be UTF-8 text, but: {error}.") from error


def _parse_line(line: str, path: Path, number: int) -> Entry:
    utterance_id, tab, text = line.partition("\t")
    match = _ID.fullmatch(utterance_id)
    if not tab or match is None:
        raise ValueError(
            f"{path}:{number}: a line must be '<speaker>_<book>_<number>', a tab and the text, but "
            f"is {line[:80]!r}; a transcript may hold no line break."
        )
    folder = path.parent / "audio" / match["speaker"] / match["book"]
    return Entry(utterance_id, _audio_path(str(folder / utterance_id)), text, match["speaker"])


def _audio_path(stem: str) -> str:
    """The first of ``SUFFIXES`` that exists; the first of all if none does."""
    paths = [stem + suffix for suffix in SUFFIXES]
    return next((path for path in paths if os.path.isfile(path)), paths[0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("mls_dir", type=Path, help="folder of one language, such as mls_english")
    add_arguments(parser)
    add("--splits", nargs="*", default=["train", "dev", "test"], metavar="SPLIT")
    add("--limited", nargs="*", default=[], choices=PARTS, help="1hr: all six parts of one hour")
    return parser


if __name__ == "__main__":
    main()
