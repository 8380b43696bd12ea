"""Manifests from LibriSpeech, as it is unpacked.

    python data_prep/prepare_librispeech.py LibriSpeech manifests --splits train-clean-100 dev-clean

writes ``manifests/train-clean-100.tsv`` and so on. Every recording is decoded once, completely;
what cannot be used is in ``manifests/train-clean-100.left_out.tsv`` with its reason. Running it
again goes on where it was stopped. LibriSpeech writes upper case and Multilingual LibriSpeech
lower case: transcripts are made lower case, so that one vocabulary fits both. Does not know how
recordings are decoded and reported: see corpus.py.
"""

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from corpus import Entry, Split, unlisted_audio
from manifest_script import add_arguments, run

SUFFIX = ".flac"


def main() -> None:
    """Prepare the splits that the command line names."""
    run(_parser(), lambda args: [find_split(args.librispeech_dir, name) for name in args.splits])


def find_split(librispeech_dir: Path, name: str) -> Split:
    """What becomes the manifest ``name``.

    Raises:
        FileNotFoundError: If there is no such folder, or no transcript in it.
    """
    folder = librispeech_dir / name
    transcripts = sorted(folder.glob("*/*/*.trans.txt"))
    if not transcripts:
        raise FileNotFoundError(
            f"{folder}: the folder must hold <speaker>/<chapter>/*.trans.txt, but does not; "
            "LIBRISPEECH_DIR must be the folder with the splits in it."
        )

    def entries() -> Iterator[Entry]:
        for path in transcripts:
            yield from read_transcripts(path)

    return Split(name, entries, partial(unlisted_audio, folder, (SUFFIX,)))


def read_transcripts(path: Path) -> Iterator[Entry]:
    """The utterances of one chapter, in the file's order, in lower case.

    Raises:
        ValueError: If a line does not begin with an id of the chapter.
    """
    chapter = path.name.removesuffix(".trans.txt")
    with open(path, encoding="utf-8", newline="\n") as file:
        try:
            for number, line in enumerate(file, start=1):
                yield _parse_line(line.rstrip("\r\n"), chapter, path, number)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: transcripts must be UTF-8 text, but: {error}.") from error


def _parse_line(line: str, chapter: str, path: Path, number: int) -> Entry:
    utterance_id, _, text = line.partition(" ")
    if not utterance_id.startswith(f"{chapter}-") or os.sep in utterance_id:
        raise ValueError(
            f"{path}:{number}: a line must be '{chapter}-<number>', a blank and the text, but is "
            f"{line[:80]!r}; a transcript may hold no line break."
        )
    audio = str(path.parent / (utterance_id + SUFFIX))
    return Entry(utterance_id, audio, text.lower(), chapter.split("-")[0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("librispeech_dir", type=Path, help="folder with the splits in it")
    add_arguments(parser)
    add("--splits", nargs="+", required=True, metavar="SPLIT", help="such as train-clean-100")
    return parser


if __name__ == "__main__":
    main()
