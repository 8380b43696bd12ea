"""What one recording is like, measured once: length, level, clipping, bandwidth, digest.

Judges nothing, and knows no prompt.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from fairseq_audiochat.data.audio import SAMPLE_RATE, Waveform, read_audio
from fairseq_audiochat.data.fbank import num_frames

FULL_SCALE = 0.999  # of the largest sample that a format holds
LOW_BAND_HZ, HIGH_BAND_HZ = (300, 3_400), (5_000, 7_500)  # what a telephone keeps, and cuts off
_QUIETEST_DB = -200.0  # in place of minus infinity
_LEVEL_SAMPLES = SAMPLE_RATE // 10  # the level is that of the loudest 100 ms
_SPECTRUM_SAMPLES = 512  # 32 ms: bins of 31 Hz


class Measures(NamedTuple):
    """A recording.

    Args:
        n_frames: 10 ms filterbank frames; 0 if it is shorter than one window.
        seconds: Its length.
        sample_rate: Of the file, in Hz.
        level_db: RMS of the loudest 100 ms, in dB relative to full scale.
        full_scale_share: Share of the file's samples that are as large as a sample can be.
        high_band_db: Power in 5 to 7.5 kHz over that in 0.3 to 3.4 kHz, in dB.
        digest: Equal for recordings with the same samples at 16 kHz, whatever the format.
    """

    n_frames: int
    seconds: float
    sample_rate: int
    level_db: float
    full_scale_share: float
    high_band_db: float
    digest: str


def measure(audio: str) -> Measures | str | OSError:
    """Read a recording to its end.

    Returns:
        What it is like; why it cannot be read; or the error of a file system that may be well
        tomorrow.
    """
    try:
        waveform = read_audio(audio)
        samples, rate = soundfile.read(audio, dtype="float32", always_2d=True)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return error
    return Measures(
        num_frames(len(waveform)),
        round(len(samples) / rate, 3),
        rate,
        round(_level_db(waveform), 1),
        round(float(np.mean(np.abs(samples) >= FULL_SCALE)), 6),
        round(_high_band_db(waveform), 1),
        hashlib.blake2b(_sixteen_bits(waveform), digest_size=16).hexdigest(),
    )


def _sixteen_bits(waveform: Waveform) -> bytes:
    return np.round(waveform * (1 << 15)).astype(np.int32).tobytes()


def _level_db(waveform: Waveform) -> float:
    power = np.square(waveform, dtype=np.float64)
    whole = len(power) // _LEVEL_SAMPLES * _LEVEL_SAMPLES
    if whole == 0:
        return _decibels(power.mean())
    return _decibels(np.max(power[:whole].reshape(-1, _LEVEL_SAMPLES).mean(axis=1)))


def _high_band_db(waveform: Waveform) -> float:
    if len(waveform) < _SPECTRUM_SAMPLES:
        return 0.0  # too short to say; its length is the problem
    windows = np.lib.stride_tricks.sliding_window_view(waveform, _SPECTRUM_SAMPLES)
    frames = windows[:: _SPECTRUM_SAMPLES // 2] * np.hanning(_SPECTRUM_SAMPLES)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).sum(axis=0)
    low, high = _band(power, *LOW_BAND_HZ), _band(power, *HIGH_BAND_HZ)
    return max(_decibels(high) - _decibels(low), _QUIETEST_DB)


def _band(power: npt.NDArray[np.float64], lowest_hz: int, highest_hz: int) -> float:
    hz = np.arange(len(power)) * SAMPLE_RATE / _SPECTRUM_SAMPLES
    return float(power[(hz >= lowest_hz) & (hz <= highest_hz)].sum())


def _decibels(power: float) -> float:
    return max(10 * float(np.log10(power)), _QUIETEST_DB) if power > 0 else _QUIETEST_DB
