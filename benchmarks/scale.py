"""What ten million utterances cost before any audio is read: files, seconds, memory, by rows.

    python benchmarks/scale.py /scratch/scale --rows 100000 1000000 10808037
    python benchmarks/scale.py /scratch/scale --rows 10808037 --words 6 12 --response-ids 8 16

Writes splits of the shape of MLS English into the folder (see `synthetic_split.py`; what is there
is used again, what was cut off is finished), indexes them, opens them, makes batches as
`fairseq-train` does, and reads rows of manifest and responses in data loading workers. Recordings
do not exist: decoding, filterbanks and augmentation are in `feeding.py`. 10.8 million rows take
about 40 GB by default and 10 GB with the second line's short texts; delete the folder yourself.

Memory of several processes is the sum of their proportional set sizes (PSS): a page that n of them
map counts 1/n for each, so once in all. Shown is what exceeds one process that has imported
everything and opened nothing.
"""

import argparse
import json
import logging
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import synthetic_split
import torch
from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator
from side_by_side import peak_megabytes

from fairseq_audiochat.data.chat_dataset import ChatDataset
from fairseq_audiochat.data.context_limit import ContextLimit
from fairseq_audiochat.data.epoch_batches import EpochBatches
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.prompt_batch import PromptKind
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.tasks._speech_task import SpeechTask, SpeechTaskConfig

TOKENIZER = Path(__file__).parents[1] / "examples/mini/llm/tokenizer.model"
MEASUREMENTS = {
    "text_gb": "manifest and responses, GB",
    "table_gb": "their index, GB",
    "index_s": "index, CPU s, once",
    "index_mb": "... peak MB",
    "open_ms": "open, CPU ms",
    "open_mb": "... MB",
    "frames_s": "limits and batches of 48,000 frames, CPU s",
    "frames_mb": "... peak MB",
    "fairseq_frames_s": "... fairseq's batches alone, CPU s",
    "fairseq_frames_mb": "... peak MB",
    "pairs_s": "limits and batches of 2 utterances, CPU s",
    "pairs_mb": "... peak MB",
    "fairseq_pairs_s": "... fairseq's batches alone, CPU s",
    "fairseq_pairs_mb": "... peak MB",
    "row_us": "a row of both files, CPU us",
    "all_mb": "1 + 4 processes while they read, MB",
    "anonymous_mb": "... of which are no files' pages",
}


WORKERS = 4
BATCHES_READ = 400


class Rows(ChatDataset):
    """An utterance is its row of the manifest and of the responses; there is no audio."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"utterance": self.manifest[index], "response": self.responses[index]}

    def collater(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As they are."""
        return items


def open_split(folder: Path) -> Responses:
    """The manifest and its responses."""
    return Responses(folder / "train.responses.jsonl", Manifest(folder / "train.tsv"))


def make_dataset(folder: Path) -> Rows:
    """A dataset with all limits that `fairseq-train` has for distillation."""
    manifest = Manifest(folder / "train.tsv")
    return Rows(
        manifest,
        Responses(folder / "train.responses.jsonl", manifest),
        Llama2Chat(TOKENIZER),
        PromptKind.AUDIO,
        pad=0,
        max_audio_seconds=30,
        context=ContextLimit(4_096, lambda frames: (frames + 7) // 8),
        max_llm_positions=12_000,
    )


def sizes(folder: Path) -> dict[str, float]:
    """Of the files."""
    bytes_of = {path.name: path.stat().st_size for path in folder.iterdir()}
    tables = sum(size for name, size in bytes_of.items() if name.endswith(".arrow"))
    return {"text_gb": (sum(bytes_of.values()) - tables) / 1e9, "table_gb": tables / 1e9}


def indexing(folder: Path) -> dict[str, float]:
    """Index a split anew."""
    for table in folder.glob("*.arrow"):
        table.unlink()
    start = time.process_time()
    peak = peak_megabytes(lambda: open_split(folder))
    return {"index_s": time.process_time() - start, "index_mb": peak, **sizes(folder)}


def opening(folder: Path) -> dict[str, float]:
    """Open a split that is indexed, and read a row."""
    bare = resident([os.getpid()])
    seconds = []
    for _ in range(5):
        start = time.process_time()
        split = open_split(folder)
        seconds.append(time.process_time() - start)
    assert split[0].id
    held = resident([os.getpid()])
    return {"open_ms": 1_000 * statistics.median(seconds), "open_mb": held["Pss"] - bare["Pss"]}


def batching(folder: Path) -> dict[str, float]:
    """Make the batches as fairseq's trainer does, with all limits."""
    dataset = make_dataset(folder)
    return {
        **made("frames_", lambda: make_iterator(folder, dataset, max_tokens=48_000)),
        **made("pairs_", lambda: make_iterator(folder, dataset, max_sentences=2)),
    }


def batching_of_fairseq(folder: Path) -> dict[str, float]:
    """The same order in fairseq's batches and iterator, without the limits that are ours."""
    dataset = make_dataset(folder)
    indices = dataset.ordered_indices().astype(np.int64)  # its batcher takes no other

    def make(**limits: int) -> EpochBatchIterator:
        batches = FairseqDataset.batch_by_size(dataset, indices, **limits)
        return EpochBatchIterator(dataset, dataset.collater, batches, seed=1)

    return {
        **made("fairseq_frames_", lambda: make(max_tokens=48_000)),
        **made("fairseq_pairs_", lambda: make(max_sentences=2)),
    }


def made(prefix: str, make: Callable[[], EpochBatchIterator]) -> dict[str, float]:
    """CPU seconds and peak of making an iterator and the order of an epoch."""
    start = time.process_time()
    peak = peak_megabytes(lambda: make().ordered_batches(1, False, True))
    return {f"{prefix}s": time.process_time() - start, f"{prefix}mb": peak}


def make_iterator(folder: Path, dataset: Rows, workers: int = 0, **limits: int) -> EpochBatches:
    """What `fairseq-train --max-llm-positions 12000` iterates over."""
    task = SpeechTask(SpeechTaskConfig(data=str(folder), seed=1, update_freq=[1]))
    options = {"max_positions": sys.maxsize, "num_workers": workers, "seed": 1, **limits}
    return task.get_batch_iterator(dataset, **options)


def reading(folder: Path) -> dict[str, float]:
    """Read shuffled rows, in this process and then in workers."""
    bare = resident([os.getpid()])
    dataset = make_dataset(folder)
    rows = np.random.default_rng(0).integers(len(dataset), size=2_000).tolist()
    start = time.process_time()
    for row in rows:
        dataset[row]
    seconds = time.process_time() - start
    batches = make_iterator(folder, dataset, WORKERS, max_tokens=48_000).next_epoch_itr()
    held = []
    for number in range(min(BATCHES_READ, len(batches))):
        next(batches)
        if number % 20 == 0:
            held.append(resident([os.getpid(), *children()]))
    worst = max(held, key=lambda sample: sample["Pss"])
    return {
        "row_us": 1e6 * seconds / len(rows),
        "all_mb": worst["Pss"] - bare["Pss"],
        "anonymous_mb": worst["Pss_Anon"] - bare["Pss_Anon"],
    }


def resident(processes: Sequence[int]) -> dict[str, float]:
    """Megabytes of some processes together: pages that several of them map count once."""
    total: dict[str, float] = defaultdict(float)
    for process in processes:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
            name, kilobytes = line.split()[:2]
            total[name.rstrip(":")] += int(kilobytes) / 1024
    return total


def children() -> list[int]:
    """The processes that this one has started: the workers."""
    return [process.pid for process in multiprocessing.active_children() if process.pid]


MEASURE = {
    "indexing": indexing,
    "opening": opening,
    "batching": batching,
    "batching of fairseq": batching_of_fairseq,
    "reading": reading,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    default = [100_000, 1_000_000, synthetic_split.MLS_ENGLISH]
    parser.add_argument("--rows", type=int, nargs="+", default=default)
    parser.add_argument("--measure", choices=MEASURE, help=argparse.SUPPRESS)
    synthetic_split.add_arguments(parser)
    args = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # fairseq turns debugging on
    torch.set_num_threads(1)
    if args.measure:
        print(json.dumps(MEASURE[args.measure](args.folder)))
        return
    columns = []
    for rows in args.rows:
        folder = args.folder / str(rows)
        synthetic_split.write_split(folder, rows, args)
        columns.append({})
        for name in MEASURE:
            columns[-1].update(in_own_process(name, folder))
            print(rows, name, columns[-1], file=sys.stderr, flush=True)
    print(f"| | {' | '.join(f'{rows:,}' for rows in args.rows)} |")
    print("|---" * (1 + len(columns)) + "|")
    for name, label in MEASUREMENTS.items():
        print(f"| {label} | {' | '.join(f'{column[name]:,.4g}' for column in columns)} |")


def in_own_process(name: str, folder: Path) -> dict[str, float]:
    """A measurement of a process that has done nothing else."""
    command = [sys.executable, __file__, str(folder), "--measure", name]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    measured: dict[str, float] = json.loads(printed.splitlines()[-1])
    return measured


if __name__ == "__main__":
    main()
