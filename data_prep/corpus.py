"""From a corpus's utterances to a manifest: checked, every recording decoded, every loss named.

For ``OUT/train.tsv`` it also writes ``OUT/train.left_out.tsv`` (which utterances are not in it,
and why) and ``OUT/train.scan.jsonl`` (what decoding gave, so that a run that was killed goes on).
Does not know any corpus's layout: that is one file per corpus.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from recordings import decode_all
from scan_journal import Outcome, Recording, ScanJournal
from tqdm import tqdm

from fairseq_audiochat.data.fbank import FRAME_LENGTH_MS, FRAMES_PER_SECOND
from fairseq_audiochat.data.manifest import Utterance, write_manifest

EMPTY = "empty transcript"
TAB = "tab or line break in the transcript"
DUPLICATE = "duplicate id"
NO_AUDIO = "no audio file"
NO_TRANSCRIPT = "no transcript"
UNREADABLE = "audio that cannot be read"
TOO_SHORT = f"audio shorter than {FRAME_LENGTH_MS} ms"


class Entry(NamedTuple):
    """An utterance as a corpus lists it; ``audio`` is the path that its file should have."""

    id: str
    audio: str
    text: str
    speaker: str


class LeftOut(NamedTuple):
    """An utterance that is not in the manifest.

    Args:
        id: The utterance.
        audio: Its recording.
        reason: Short and the same for all of a kind: losses are counted by it.
        detail: What is special about this one.
    """

    id: str
    audio: str
    reason: str
    detail: str = ""


@dataclass
class Split:
    """What becomes one manifest.

    Args:
        name: The manifest's name, without ``.tsv``.
        entries: Lists the utterances, from the start at every call.
        unlisted: Given the ids of all entries, lists what the corpus has and no entry names.
    """

    name: str
    entries: Callable[[], Iterable[Entry]]
    unlisted: Callable[[set[str]], Iterable[LeftOut]]


@dataclass
class Summary:
    """What became of a split."""

    kept: int = 0
    frames: int = 0
    left_out: list[LeftOut] = field(default_factory=list)

    def __str__(self) -> str:
        hours = self.frames / FRAMES_PER_SECOND / 3600
        lines = [f"{self.kept:,} utterances kept ({hours:,.2f} hours), {len(self.left_out):,} not"]
        counts = Counter(row.reason for row in self.left_out)
        return "\n".join(lines + [f"{n:9,} left out: {reason}" for reason, n in counts.items()])


class _Candidate(NamedTuple):
    entry: Entry
    recording: Recording | None  # None if there is nothing to decode
    known: Outcome | LeftOut | None


def prepare(split: Split, out_dir: Path, workers: int) -> Summary:
    """Write a split's manifest and the report of what is not in it.

    Args:
        split: The utterances.
        out_dir: Folder of the manifest; made if it does not exist.
        workers: Number of processes that decode.

    Returns:
        What became of the split.

    Raises:
        ValueError: If no utterance can be kept.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    total = sum(1 for _ in split.entries())  # finds bad lines before hours of decoding, too
    summary = Summary()
    with ScanJournal(out_dir / f"{split.name}.scan.jsonl") as journal:
        tasks = (
            (candidate, candidate.entry.audio if candidate.known is None else None)
            for candidate in _candidates(split, journal)
        )
        decoded = decode_all(tasks, workers)
        progress = tqdm(decoded, desc=split.name, total=total, unit="utt", mininterval=1)
        rows = _utterances(progress, journal, summary, out_dir)
        write_manifest(out_dir / f"{split.name}.tsv", _reported(rows, split, summary, out_dir))
    return summary


def _candidates(split: Split, journal: ScanJournal) -> Iterator[_Candidate]:
    ids: set[str] = set()
    for entry in split.entries():
        reason = _text_problem(entry, ids)
        ids.add(entry.id)
        if reason:
            yield _Candidate(entry, None, LeftOut(entry.id, entry.audio, reason))
            continue
        try:
            recording = Recording.of(entry.audio)
        except FileNotFoundError:
            yield _Candidate(entry, None, LeftOut(entry.id, entry.audio, NO_AUDIO))
            continue
        yield _Candidate(entry, recording, journal.get(recording))
    for left_out in split.unlisted(ids):
        yield _Candidate(Entry(left_out.id, left_out.audio, "", ""), None, left_out)


def _text_problem(entry: Entry, ids: set[str]) -> str:
    if entry.id in ids:
        return DUPLICATE
    if not entry.text.strip():
        return EMPTY
    return TAB if any(character in entry.text for character in "\t\n\r") else ""


def _utterances(
    results: Iterable[tuple[_Candidate, Outcome | OSError | None]],
    journal: ScanJournal,
    summary: Summary,
    out_dir: Path,
) -> Iterator[Utterance]:
    """Utterances to keep; the others go to ``summary``."""
    for (entry, recording, known), decoded in results:
        if recording is not None and isinstance(decoded, Outcome):
            journal.add(recording, decoded)
        outcome = known if decoded is None else decoded
        if isinstance(outcome, int) and outcome > 0:
            summary.kept += 1
            summary.frames += outcome
            audio = manifest_path(entry.audio, out_dir)
            yield Utterance(entry.id, audio, outcome, entry.text.strip(), entry.speaker)
        elif isinstance(outcome, LeftOut):
            summary.left_out.append(outcome)
        else:
            reason = TOO_SHORT if outcome == 0 else UNREADABLE
            detail = "" if outcome == 0 else str(outcome)
            summary.left_out.append(LeftOut(entry.id, entry.audio, reason, detail))


def manifest_path(audio: str, out_dir: Path) -> str:
    """Relative to the manifest if the audio lies below its folder, so that both can move."""
    path, folder = os.path.abspath(audio), os.path.abspath(out_dir) + os.sep
    return path.removeprefix(folder)


def _reported(
    rows: Iterator[Utterance], split: Split, summary: Summary, out_dir: Path
) -> Iterator[Utterance]:
    """Pass rows on; behind the last one, and before the manifest appears, write the report."""
    yield from rows
    write_report(out_dir, split.name, summary)


def write_report(out_dir: Path, name: str, summary: Summary) -> None:
    """Write ``name.left_out.tsv``.

    Raises:
        ValueError: If nothing was kept.
    """
    report = out_dir / f"{name}.left_out.tsv"
    lines = ["\t".join(LeftOut._fields)]
    lines += ["\t".join(" ".join(part.split()) for part in row) for row in summary.left_out]
    temporary = report.with_name(f".{report.name}.{os.getpid()}")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(temporary, report)
    if summary.kept == 0:
        raise ValueError(
            f"{name}: at least one utterance must be usable, but none of "
            f"{len(summary.left_out)} is; {report} says why."
        )


def unlisted_audio(folder: Path, suffixes: tuple[str, ...], ids: set[str]) -> Iterator[LeftOut]:
    """Audio files below ``folder`` whose name is no id: nobody wrote down what they say."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix in suffixes and stem not in ids:
                yield LeftOut(stem, os.path.join(place, name), NO_TRANSCRIPT)
