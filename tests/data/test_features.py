"""Features of utterances: what is read, and masks that depend on seed, epoch and index only."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from fairseq_audiochat.data.audio import read_audio
from fairseq_audiochat.data.fbank import fbank
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Utterance


def utterance(audio: Path | str) -> Utterance:
    return Utterance("dev-3", str(audio), 98, "yes")


def test_recording_becomes_its_filterbanks(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    soundfile.write(tmp_path / "a.wav", noise, 16_000)
    expected = fbank(read_audio(tmp_path / "a.wav"))
    assert np.array_equal(read_features(utterance(tmp_path / "a.wav")), expected)


def test_stored_features_are_taken_as_they_are(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((7, 80)).astype(np.float32)
    np.save(tmp_path / "a.npy", features)
    assert np.array_equal(read_features(utterance(tmp_path / "a.npy")), features)


def test_stored_features_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((7, 40)))
    with pytest.raises(
        ValueError, match=r"a\.npy \(utterance 'dev-3'\): .* \(frames, 80\), .* \(7, 4"
    ):
        read_features(utterance(path))
    np.save(path, np.array([[np.nan] * 80]))
    with pytest.raises(ValueError, match=r"'dev-3'\): features must be finite, but 80 are NaN"):
        read_features(utterance(path))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"'dev-3'\): features must be a whole array, but: "):
        read_features(utterance(path))


def test_bad_recordings_are_named_with_their_utterance(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no\.wav: the audio .* exist.*\(utterance 'dev-3'\)"
    ):
        read_features(utterance(tmp_path / "no.wav"))
    soundfile.write(tmp_path / "a.wav", np.zeros(300), 16_000)
    with pytest.raises(ValueError, match=r"a\.wav \(utterance 'dev-3'\): .* at least 400 samples"):
        read_features(utterance(tmp_path / "a.wav"))
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"a\.wav \(utterance 'dev-3'\): the audio must be decodable"
    ):
        read_features(utterance(tmp_path / "a.wav"))
