"""A split of any size with the shape of Multilingual LibriSpeech, without its audio.

Ids and paths as in the corpus, 10 to 20 s, transcripts and responses of random words and ids. What
a row holds depends on the seed and its number alone: a run that was killed goes on where it was. A
few thousand texts are shared by all rows, because making them costs more than writing them.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fairseq_audiochat.data.manifest import REQUIRED_COLUMNS
from fairseq_audiochat.data.response_record import Response, ResponseHeader

MLS_ENGLISH = 10_808_037
"""Utterances of its training set."""

ROWS_PER_BLOCK = 100_000
TEXTS = 4_096
TEMPLATE_IDS = 21
Lines = Callable[[int, int], Iterator[str]]


class Split(NamedTuple):
    """Where the two files are."""

    manifest: Path
    responses: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of what is written."""
    add = parser.add_argument
    add("--words", type=int, nargs=2, default=[30, 60], help="of a transcript (default 30 60)")
    add("--response-ids", type=int, nargs=2, default=[12, 200], help="default 12 200")
    add("--seed", type=int, default=1)


def write_split(folder: Path, rows: int, args: argparse.Namespace) -> Split:
    """Write what is missing of a split's files; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    split = Split(folder / "train.tsv", folder / "train.responses.jsonl")
    texts = _Texts(args)
    header = "\t".join([*REQUIRED_COLUMNS, "speaker"])
    _write(split.manifest, header, rows, texts.manifest_lines)
    _write(split.responses, ResponseHeader({}, {}).to_json(), rows, texts.response_lines)
    return split


def utterance_id(row: int) -> str:
    """As in the corpus: speaker, book, number."""
    return f"{1_000 + row // 2_000}_{5_000 + row // 500}_{row % 500:06}"


class _Texts:
    """Transcripts and responses, some of each, in the form of their files."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.seed = args.seed
        generator = np.random.default_rng(args.seed)
        letters = generator.choice(list("etaoinshrdlu"), (2_000, 8)).tolist()
        lengths = generator.integers(2, 8, 2_000)
        self.words = ["".join(row[:length]) for row, length in zip(letters, lengths)]
        self.transcripts: list[str] = []
        self.records: list[str] = []
        for _ in range(TEXTS):
            count = int(generator.integers(args.words[0], args.words[1] + 1))
            self.transcripts.append(self._text(generator, count))
            length = int(generator.integers(args.response_ids[0], args.response_ids[1] + 1))
            prompt = generator.integers(3, 32_000, TEMPLATE_IDS + count * 13 // 10)
            response = generator.integers(3, 32_000, length)
            text = self._text(generator, max(1, length * 3 // 4))
            record = Response("", prompt.tolist(), response.tolist(), text, "eos")
            self.records.append(record.to_json().partition('"prompt"')[2])

    def _text(self, generator: np.random.Generator, words: int) -> str:
        chosen = generator.integers(len(self.words), size=words)
        return " ".join(self.words[number] for number in chosen)

    def manifest_lines(self, first: int, last: int) -> Iterator[str]:
        generator = np.random.default_rng([self.seed, first])
        seconds = 10 + 10 * generator.beta(1.6, 1.6, last - first)
        frames = (100 * seconds).astype(int).tolist()
        texts = generator.integers(TEXTS, size=last - first).tolist()
        for row, n_frames, text in zip(range(first, last), frames, texts):
            name = utterance_id(row)
            speaker, book, _ = name.split("_")
            audio = f"train/audio/{speaker}/{book}/{name}.flac"
            yield f"{name}\t{audio}\t{n_frames}\t{self.transcripts[text]}\t{speaker}\n"

    def response_lines(self, first: int, last: int) -> Iterator[str]:
        generator = np.random.default_rng([self.seed, first, 1])
        texts = generator.integers(TEXTS, size=last - first).tolist()
        for row, text in zip(range(first, last), texts):
            yield f'{{"id": "{utterance_id(row)}", "prompt"{self.records[text]}\n'


def _write(path: Path, header: str, rows: int, lines: Lines) -> None:
    """Blocks of rows behind what an earlier run wrote; it noted how far it came."""
    if path.exists():
        return
    partial, note = path.with_suffix(".partial"), path.with_suffix(".note")
    done, size = json.loads(note.read_text()) if note.exists() else (0, 0)
    with (
        open(partial, "ab") as file,
        tqdm(desc=path.name, total=rows, initial=done, mininterval=1) as bar,
    ):
        file.truncate(size)
        if size == 0:
            file.write(header.encode() + b"\n")
        for first in range(done, rows, ROWS_PER_BLOCK):
            last = min(rows, first + ROWS_PER_BLOCK)
            file.write("".join(lines(first, last)).encode())
            file.flush()
            note.write_text(json.dumps([last, file.tell()]))
            bar.update(last - first)
    os.replace(partial, path)
    note.unlink()
