"""Cached features are what the audio gives, bit for bit; what is lost is named."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import cache_features
import feature_archive
import numpy as np
import pytest
import torch
from fairseq.data.audio.audio_utils import get_features_or_waveform
from speech import record, truncate
from tiny import make_manifest

from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig, AudioCtcTask


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A manifest of seven recordings."""
    make_manifest(tmp_path / "data", "train", 7)
    return tmp_path / "data/train.tsv"


@pytest.fixture(autouse=True)
def small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_features, "_ROWS_PER_ARCHIVE", 3)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The utterances whose features are computed."""
    ids: list[str] = []
    features = feature_archive._features
    monkeypatch.setattr(
        feature_archive, "_features", lambda row: ids.append(row.id) or features(row)
    )
    return ids


def test_features_are_those_of_the_audio(source: Path, tmp_path: Path) -> None:
    """Seven utterances in archives of three; our reader and fairseq's find the same arrays."""
    summary = cache_features.cache(source, tmp_path / "cached", workers=2)
    assert (summary.kept, summary.left_out) == (7, [])
    cached, manifest = Manifest(tmp_path / "cached/train.tsv"), Manifest(source)
    for row, original in zip(cached, manifest, strict=True):
        assert row._replace(audio=original.audio) == original
        expected = read_features(original)
        assert row.n_frames == len(expected)
        assert np.array_equal(read_features(row), expected)
        assert np.array_equal(get_features_or_waveform(row.audio), expected)
    archives = sorted(path.name for path in (tmp_path / "cached/train.features").glob("*.zip"))
    assert archives == ["00000.zip", "00001.zip", "00002.zip"]
    assert cached.ids_digest == manifest.ids_digest  # the same responses fit both


@pytest.mark.parametrize("is_training", [True, False])
def test_batches_equal_those_of_the_audio(
    data_folder: Path, tmp_path: Path, is_training: bool
) -> None:
    """Whole batches, masked in training: also the order and the members are the same."""
    for name in ("train.tsv", "dev.tsv"):
        cache_features.cache(data_folder / name, tmp_path, workers=1)
    (tmp_path / "spm.model").symlink_to(data_folder / "spm.model")
    split, kwargs = ("train", {"data_selector": None}) if is_training else ("dev", {})
    batches = []
    for folder in (data_folder, tmp_path):
        task = AudioCtcTask(AudioCtcConfig(data=str(folder), seed=1, update_freq=[1]))
        task.load_dataset(split, **kwargs)
        iterator = task.get_batch_iterator(task.dataset(split), max_tokens=500, seed=1)
        batches.append(list(iterator.next_epoch_itr(shuffle=is_training)))
    for audio, cached in zip(*batches, strict=True):
        assert cached["utterance_ids"] == audio["utterance_ids"]
        assert cached["transcripts"] == audio["transcripts"]
        for name, tensor in audio["net_input"].items():
            assert torch.equal(cached["net_input"][name], tensor), name
    assert len(batches[0]) > 1


def test_every_loss_has_its_reason(tmp_path: Path) -> None:
    names = ("good", "cut", "short", "gone", "after")
    rows = [Utterance(name, str(tmp_path / f"{name}.flac"), 98, "yes") for name in names]
    for row in rows:
        record(Path(row.audio), 399 if row.id == "short" else 16_000)
    truncate(Path(rows[1].audio))
    os.unlink(rows[3].audio)
    write_manifest(tmp_path / "train.tsv", rows)
    summary = cache_features.cache(tmp_path / "train.tsv", tmp_path / "cached", workers=1)
    assert summary.kept == 2
    assert [row.id for row in Manifest(tmp_path / "cached/train.tsv")] == ["good", "after"]
    lines = (tmp_path / "cached/train.left_out.tsv").read_text().splitlines()
    report = [line.split("\t") for line in lines[1:]]
    assert [(row[0], row[2]) for row in report] == [
        ("cut", "audio that cannot be read"),
        ("short", "audio shorter than 25 ms"),
        ("gone", "no audio file"),
    ]
    assert "cut.flac (utterance 'cut'): the audio must be decodable" in report[0][3]
    assert report[1][3] == "399 samples"


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    write_manifest(tmp_path / "train.tsv", [Utterance("a", str(tmp_path / "no.flac"), 9, "yes")])
    with pytest.raises(ValueError, match=r"train: at least one utterance must be usable, but none"):
        cache_features.cache(tmp_path / "train.tsv", tmp_path / "cached", workers=1)
    assert not (tmp_path / "cached/train.tsv").exists()


def test_the_source_is_not_replaced(source: Path, tmp_path: Path) -> None:
    content = source.read_bytes()
    with pytest.raises(
        ValueError, match=r"OUT_DIR must be another folder than the manifest's, but is .*data/../da"
    ):
        cache_features.cache(source, tmp_path / "data/../data", workers=1)
    assert source.read_bytes() == content


def test_only_what_is_new_is_computed(source: Path, tmp_path: Path, computed: list[str]) -> None:
    """A recording that was fetched again, and an archive that was damaged."""
    cache_features.cache(source, tmp_path / "cached", workers=1)
    before = contents(tmp_path / "cached")
    assert len(computed) == 7
    computed.clear()
    cache_features.cache(source, tmp_path / "cached", workers=1)
    assert computed == []
    assert contents(tmp_path / "cached") == before
    os.utime(tmp_path / "data/train/4.wav", ns=(1, 1))
    cache_features.cache(source, tmp_path / "cached", workers=1)
    assert computed == ["train-3", "train-4", "train-5"]
    computed.clear()
    truncate(tmp_path / "cached/train.features/00002.zip", 5)
    cache_features.cache(source, tmp_path / "cached", workers=1)
    assert computed == ["train-6"]
    after = contents(tmp_path / "cached")
    assert {name: after[name] for name in after if not name.endswith(".json")} == {
        name: before[name] for name in before if not name.endswith(".json")
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Without what begins with a dot: manifests that a kill left unfinished."""
    paths = [path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".arrow"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_file_systems_error_is_not_remembered(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(row: Utterance) -> tuple[bytes, int]:
        if row.id == "train-1":
            raise OSError(5, "Input/output error", row.audio)
        return features(row)

    features = feature_archive._features
    with monkeypatch.context() as patch:
        patch.setattr(feature_archive, "_features", fail)
        assert cache_features.cache(source, tmp_path / "cached", workers=1).kept == 6
    assert "Input/output error" in (tmp_path / "cached/train.left_out.tsv").read_text()
    assert cache_features.cache(source, tmp_path / "cached", workers=1).kept == 7


def test_killed_run_goes_on(source: Path, tmp_path: Path, computed: list[str]) -> None:
    """Killed again and again: no archive is half there, and the end is that of one run."""
    fork = multiprocessing.get_context("fork")
    met = 0
    for attempt in range(8):
        process = fork.Process(target=slowly, args=(source, tmp_path / "killed"))
        process.start()
        time.sleep(0.05 + 0.04 * attempt)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        met += process.exitcode == -signal.SIGKILL
    assert met > 2
    done = {path.stem for path in (tmp_path / "killed/train.features").glob("*.json")}
    cache_features.cache(source, tmp_path / "killed", workers=1)
    assert len(computed) <= 7 - 3 * len(done - {"00002"})
    cache_features.cache(source, tmp_path / "whole", workers=1)
    killed, whole = contents(tmp_path / "killed"), contents(tmp_path / "whole")
    assert killed == whole


def slowly(source: Path, folder: Path) -> None:
    features = feature_archive._features

    def wait(row: Utterance) -> tuple[bytes, int]:
        time.sleep(0.03)
        return features(row)

    feature_archive._features = wait
    cache_features.cache(source, folder, workers=1)


def test_an_archive_says_what_is_in_it(source: Path, tmp_path: Path) -> None:
    cache_features.cache(source, tmp_path, workers=1)
    index = json.loads((tmp_path / "train.features/00002.json").read_text())
    assert index["format"] == "fairseq_audiochat.features/1"
    ((id, offset, length, n_frames),) = index["members"]
    assert id == "train-6"
    assert length == 128 + 4 * 80 * n_frames  # NumPy's header has 128 bytes
    assert offset == 30 + len("train-6.npy")  # a zip's, before the name


def test_command_line(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "cached"
    monkeypatch.setattr("sys.argv", ["cache", str(source), str(out), "--workers", "1"])
    cache_features.main()
    assert f"{out}/train.tsv: 7 utterances kept (0." in capsys.readouterr().out
