"""Features of a manifest's recordings, computed once, in fairseq's archives.

    python data_prep/cache_features.py data/train.tsv cached

writes ``cached/train.features/00000.zip`` and so on, uncompressed zips of ``.npy`` files with the
features of 1,000 utterances each, and ``cached/train.tsv``, whose ``audio`` column points into
them (``train.features/00000.zip:offset:length``). Training reads from them the very numbers that
it computes from the audio. What cannot be used is in ``cached/train.left_out.tsv`` with its
reason. A run that was stopped goes on with the archives that it had not finished.

Features are float32, normalised, 80 bins every 10 ms: 115 MB an hour, as much as 16-bit
waveforms. Knows no corpus.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import command
from corpus import Summary, write_report
from feature_archive import Archive, Contents, write_archive
from manifest_script import add_arguments
from processes import in_order
from tqdm import tqdm

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest

_ROWS_PER_ARCHIVE = 1_000


def main() -> None:
    """Run the command line."""
    command.run(_parser(), lambda args: cache(args.manifest, args.out_dir, args.workers))


def cache(source: Path, out_dir: Path, workers: int) -> Summary:
    """Write the archives and the manifest of a split, and the report of what is not in it.

    Args:
        source: The manifest of the recordings.
        out_dir: Folder of the new one; made if it does not exist.
        workers: Number of processes.

    Raises:
        ValueError: If the new manifest would replace the old one, or nothing can be used.
    """
    target = out_dir / source.name
    if target.resolve() == source.resolve():
        raise ValueError(
            f"OUT_DIR must be another folder than the manifest's, but is {out_dir}: the manifest "
            "would be replaced."
        )
    manifest = Manifest(source)
    folder = out_dir / f"{source.stem}.features"
    folder.mkdir(parents=True, exist_ok=True)
    summary = Summary()
    archives = ((rows, Archive(folder / name, rows)) for name, rows in _parts(manifest))
    written = in_order(write_archive, archives, workers)
    with tqdm(desc=source.stem, total=len(manifest), unit="utt", mininterval=1) as progress:
        rows = _utterances(written, folder, summary, progress)
        write_manifest(target, _reported(rows, out_dir, source.stem, summary))
    print(f"{target}: {summary}", flush=True)
    return summary


def _parts(manifest: Manifest) -> Iterator[tuple[str, list[Utterance]]]:
    for number, first in enumerate(range(0, len(manifest), _ROWS_PER_ARCHIVE)):
        last = min(len(manifest), first + _ROWS_PER_ARCHIVE)
        yield f"{number:05}.zip", [manifest[row] for row in range(first, last)]


def _utterances(
    written: Iterator[tuple[list[Utterance], Contents]],
    folder: Path,
    summary: Summary,
    progress: "tqdm[None]",
) -> Iterator[Utterance]:
    """Utterances in archives; the others go to ``summary``."""
    for number, (rows, contents) in enumerate(written):
        archive = f"{folder.name}/{number:05}.zip"
        by_id = {row.id: row for row in rows}
        for member in contents.members:
            summary.kept += 1
            summary.frames += member.n_frames
            yield by_id[member.id]._replace(
                audio=f"{archive}:{member.offset}:{member.length}", n_frames=member.n_frames
            )
        summary.left_out += contents.left_out
        progress.update(len(rows))


def _reported(
    rows: Iterator[Utterance], out_dir: Path, name: str, summary: Summary
) -> Iterator[Utterance]:
    """Pass rows on; behind the last one, and before the manifest appears, write the report."""
    yield from rows
    write_report(out_dir, name, summary)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="such as data/train.tsv")
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
