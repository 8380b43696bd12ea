"""Batches as fairseq's commands get them: all, limited, shared out, and resumed where they were."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fairseq.tasks import FairseqTask

from fairseq_audiochat.data import speech_dataset
from fairseq_audiochat.data.batches import Batches
from fairseq_audiochat.data.epoch_batches import EpochBatches
from fairseq_audiochat.data.manifest import Utterance
from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig, AudioCtcTask

MAX_TOKENS = 500  # 2 to 4 of the 20 utterances


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to which every process adds the utterances whose audio it opens."""
    read_features, path = speech_dataset.read_features, tmp_path / "reads.txt"
    path.touch()

    def noting(utterance: Utterance) -> np.ndarray:
        with open(path, "a") as file:
            file.write(f"{utterance.id}\n")
        return read_features(utterance)

    monkeypatch.setattr(speech_dataset, "read_features", noting)
    return path


def iterator(data: Path, epoch: int = 1, **options: object) -> EpochBatches:
    """Of a new process: task and dataset are new."""
    task = AudioCtcTask(AudioCtcConfig(data=str(data), seed=1, update_freq=[1]))
    task.load_dataset("train", data_selector=None)
    return task.get_batch_iterator(
        task.dataset("train"), max_tokens=MAX_TOKENS, seed=1, epoch=epoch, **options
    )


def members(batches: Iterator[dict]) -> list[list[str]]:
    return [batch["utterance_ids"] if batch else [] for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("seen", [1, 3])
def test_resumed_run_opens_only_what_was_not_seen(
    data_folder: Path, reads: Path, workers: int, shards: int, seen: int
) -> None:
    """In the second epoch, whose order is not the first's."""
    whole = iterator(data_folder, num_shards=shards)
    list(whole.next_epoch_itr())
    second = members(whole.next_epoch_itr())
    stopped = iterator(data_folder, num_shards=shards)
    list(stopped.next_epoch_itr())
    running = stopped.next_epoch_itr()
    assert members(next(running) for _ in range(seen)) == second[:seen]
    state = stopped.state_dict()
    reads.write_text("")
    resumed = iterator(data_folder, state["epoch"], num_shards=shards, num_workers=workers)
    resumed.load_state_dict(state)
    rest = members(resumed.next_epoch_itr())
    if workers:
        resumed.dataloader._iterator._shutdown_workers()  # else at some time, for 5 s
    assert rest == second[seen:]
    assert sorted(reads.read_text().split()) == sorted(id for batch in rest for id in batch)


def test_an_epoch_reads_every_recording_once(data_folder: Path, reads: Path) -> None:
    shards = [iterator(data_folder, num_shards=3, shard_id=shard) for shard in range(3)]
    batches = [members(shard.next_epoch_itr()) for shard in shards]
    assert len({len(shard) for shard in batches}) == 1
    assert sorted(reads.read_text().split()) == sorted(f"train-{i}" for i in range(20))
    assert any(not batch for shard in batches for batch in shard), "one shard must have come short"


def test_batches_are_made_once(data_folder: Path) -> None:
    """And again where fairseq says so."""
    task = AudioCtcTask(AudioCtcConfig(data=str(data_folder), seed=1, update_freq=[1]))
    task.load_dataset("train", data_selector=None)
    dataset = task.dataset("train")
    first = task.get_batch_iterator(dataset, max_sentences=4)
    assert isinstance(first.frozen_batches, Batches)
    assert task.get_batch_iterator(dataset, max_sentences=4, epoch=2) is first
    for again in ("disable_iterator_cache", "update_epoch_batch_itr"):
        assert task.get_batch_iterator(dataset, max_sentences=4, **{again: True}) is not first


@pytest.mark.parametrize("limits", [{"max_tokens": 500}, {"max_sentences": 3}])
def test_batches_are_those_of_fairseq(data_folder: Path, limits: dict[str, int]) -> None:
    """Which makes lists of them: the same options give the same batches in every epoch."""
    task = AudioCtcTask(AudioCtcConfig(data=str(data_folder), seed=1, update_freq=[1]))
    task.load_dataset("train", data_selector=None)
    options = {
        **limits,
        "max_positions": 150,  # excludes some
        "ignore_invalid_inputs": True,
        "seed": 5,
        "num_shards": 2,
        "shard_id": 1,
        "epoch": 2,
        "disable_iterator_cache": True,
    }
    ours = task.get_batch_iterator(task.dataset("train"), **options)
    theirs = FairseqTask.get_batch_iterator(task, task.dataset("train"), **options)
    assert 0 < sum(map(len, ours.frozen_batches)) < 20
    for _ in range(2):
        expected = members(theirs.next_epoch_itr(shuffle=True))
        assert members(ours.next_epoch_itr(shuffle=True)) == expected
    assert ours.state_dict().items() >= theirs.state_dict().items()
