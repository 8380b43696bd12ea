"""Filterbanks: Kaldi's, by an implementation of its own; frame counts by hand."""

import numpy as np
import pytest
import torch
import torchaudio.compliance.kaldi
from numpy.typing import NDArray

from fairseq_audiochat.data import fbank as fbank_module
from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND, NUM_MEL_BINS, fbank, num_frames

Array = NDArray[np.float64]


@pytest.mark.parametrize(
    ("samples", "frames"),
    [
        (0, 0),
        (399, 0),  # shorter than one window of 25 ms = 400 samples
        (400, 1),
        (559, 1),
        (560, 2),  # 400 + 160: a second window fits 10 ms later
        (16_000, 98),  # 1 + floor((16000 - 400) / 160) = 1 + 97
        (51_200, 318),  # 3.2 s, the paper's example: 1 + floor(50800 / 160) = 1 + 317
    ],
)
def test_frame_counts(samples: int, frames: int) -> None:
    assert num_frames(samples) == frames


def test_frame_count_is_the_features_length() -> None:
    """Every phase of the 160 samples that a window moves."""
    rng = np.random.default_rng(0)
    for samples in [400, 401, *range(700, 870, 13), 1_999, 2_000]:
        assert fbank(rng.uniform(-1, 1, samples)).shape == (num_frames(samples), NUM_MEL_BINS)


@pytest.mark.parametrize("samples", [10 * 160 + 239, 10 * 160 + 240, 10 * 160 + 400, 8_000])
def test_long_recordings_are_taken_in_blocks(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame 10, the second block's first, needs samples up to 10 * 160 + 400."""
    waveform = np.random.default_rng(0).uniform(-1, 1, samples)
    expected = fbank(waveform)
    monkeypatch.setattr(fbank_module, "_BLOCK_FRAMES", 10)
    # fp32: a product of other shape sums in another order
    np.testing.assert_allclose(fbank(waveform), expected, atol=2e-5)


def mel(hertz: Array | float) -> Array:
    return np.asarray(1127 * np.log1p(np.asarray(hertz) / 700))


def kaldi_fbank(waveform: Array) -> Array:
    """Kaldi's compute-fbank-feats from its documentation, in float64 and with numpy alone.

    Frames of 400 samples every 160: mean removed, pre-emphasis 0.97, Povey window
    (Hann ** 0.85), FFT of 512, power, 80 triangles from 20 Hz to 8 kHz in mel, log.
    """
    samples = waveform * 2**15
    frames = np.stack([samples[start : start + 400] for start in range(0, len(samples) - 399, 160)])
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft((frames - 0.97 * previous) * window, n=512)) ** 2
    edges = np.linspace(mel(20.0), mel(8_000.0), NUM_MEL_BINS + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = mel(np.arange(256) * 16_000 / 512)[None]
    triangles = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    energies = power[:, :256] @ np.maximum(triangles, 0).T
    return np.log(np.maximum(energies, np.finfo(np.float32).eps))


def normalised(features: Array) -> Array:
    """Zero mean and unit variance per bin."""
    return np.asarray((features - features.mean(axis=0)) / features.std(axis=0))


@pytest.fixture
def speechlike() -> Array:
    """Two seconds of swept tones in noise, so that no bin is silent."""
    seconds = np.arange(32_000) / 16_000
    sweep = np.sin(2 * np.pi * (200 * seconds + 900 * seconds**2))
    noise = np.random.default_rng(1).standard_normal(32_000)
    return 0.2 * sweep * (1 + np.sin(7 * seconds)) + 0.02 * noise


def test_equals_an_independent_implementation(speechlike: Array) -> None:
    """1e-3 of a standard deviation: torchaudio computes in float32, over energies of 1e9."""
    expected = normalised(kaldi_fbank(speechlike))
    np.testing.assert_allclose(fbank(speechlike.astype(np.float32)), expected, atol=1e-3)


def test_equals_torchaudio_with_separate_normalisation(speechlike: Array) -> None:
    """1e-5: the result is float32, its values are below 10."""
    features = torchaudio.compliance.kaldi.fbank(
        torch.from_numpy(speechlike).float()[None] * 2**15, num_mel_bins=80
    )
    expected = normalised(features.double().numpy())
    np.testing.assert_allclose(fbank(speechlike.astype(np.float32)), expected, atol=1e-5)


def test_the_same_every_time_and_at_any_volume(speechlike: Array) -> None:
    """No dither; a factor is a constant in the log domain, which normalisation removes.

    1e-4: a quarter is exact in float32, but the log rounds.
    """
    waveform = speechlike.astype(np.float32)
    assert np.array_equal(fbank(waveform), fbank(waveform))
    np.testing.assert_allclose(fbank(waveform / 4), fbank(waveform), atol=1e-4)


def test_silence_is_finite() -> None:
    assert np.isfinite(fbank(np.zeros(8_000, dtype=np.float32))).all()


def test_too_short_recordings_are_named() -> None:
    with pytest.raises(
        ValueError,
        match=r"a\.wav: a recording must have at least 400 samples \(25 ms\), but has 399",
    ):
        fbank(np.zeros(399, dtype=np.float32), "a.wav")


def test_rate() -> None:
    assert FRAMES_PER_SECOND == 100
