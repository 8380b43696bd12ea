"""Audio files to waveforms: mono, 16 kHz, float32, complete, or one clear error.

Reads with soundfile (wav, flac, ogg/opus, mp3). Knows no features and no manifest.
"""

import io
import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import torchaudio

from fairseq_audiochat.data.container import check_whole

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16_000
"""Samples per second that everything behind this file works on."""

Waveform = npt.NDArray[np.float32]

_MIN_RATE, _MAX_RATE = 4_000, 384_000  # below telephone, above studio: a broken header
_MAX_HOURS = 24
_MAX_CHANNELS = 8
_FULL_SCALE = {np.dtype(np.int16): np.float32(1 << 15), np.dtype(np.int32): np.float64(1 << 31)}
_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
_LEAST_SHARE_OF_POWER = 1e-3  # of the channels' power that the mono signal must keep
_ZIP_SLICE = re.compile(r"^(?P<archive>.+\.zip):(?P<offset>\d+):(?P<length>\d+)$")


def read_audio(
    source: str | Path | bytes, name: str = "", max_seconds: float | None = None
) -> Waveform:
    """Read a recording completely.

    Args:
        source: A path, fairseq's ``archive.zip:offset:length``, or an audio file's bytes.
        name: What to call it in errors; the path by default.
        max_seconds: A longer one is refused before its samples are read; None is no limit.

    Returns:
        Float32 samples at 16 kHz, shape ``(S,)``; channels are averaged.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it cannot be decoded to its end, is empty, too long, or holds NaN or
            infinity.
    """
    name = name or ("audio" if isinstance(source, bytes) else str(source))
    if max_seconds is not None:
        _refuse_long_file(source, name, max_seconds)
    content = source if isinstance(source, bytes) else read_bytes(source)
    check_whole(content, name)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, promised = file.samplerate, file.frames
            _check_header(file, name)
            samples = file.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _undecodable(name, error) from error
    _check_samples(samples, promised, name)
    return _resample(_mix_down(samples, name), rate)


def waveform_of(
    samples: npt.NDArray[Any], rate: int, name: str = "audio", max_seconds: float | None = None
) -> Waveform:
    """The waveform of samples that are in memory.

    Args:
        samples: Shape ``(S,)``, or ``(S, channels)`` as soundfile and Gradio give them: floats in
            [-1, 1], or signed integers of 16 or 32 bits.
        rate: Samples per second.
        name: What to call them in errors.
        max_seconds: See `read_audio`.

    Returns:
        Float32 samples at 16 kHz, shape ``(S,)``; channels are averaged.

    Raises:
        ValueError: If they have another shape or dtype, are none, too many, not finite, or have
            an impossible rate.
    """
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > _MAX_CHANNELS):
        raise ValueError(
            f"{name}: samples must have shape (samples,) or (samples, channels), but have "
            f"{samples.shape}; transpose them if channels come first."
        )
    if samples.dtype in _FULL_SCALE:
        samples = samples / _FULL_SCALE[samples.dtype]
    elif samples.dtype.kind != "f":
        raise ValueError(
            f"{name}: samples must be floats in [-1, 1], int16 or int32, but are {samples.dtype}."
        )
    _check_rate(rate, name)
    _refuse_long(len(samples), rate, name, max_seconds)
    samples = np.atleast_2d(samples.T).T.astype(np.float32)
    _check_samples(samples, len(samples), name)
    return _resample(_mix_down(samples, name), rate)


def read_bytes(source: str | Path) -> bytes:
    """The content of a file, or of fairseq's ``archive.zip:offset:length``."""
    match, path = _ZIP_SLICE.match(str(source)), file_of(source)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the audio file must exist, but does not.")
    if match is None:
        return path.read_bytes()
    with open(path, "rb") as file:
        file.seek(int(match["offset"]))
        return file.read(int(match["length"]))


def file_of(source: str | Path) -> Path:
    """The file that a recording is in: itself, or its archive."""
    match = _ZIP_SLICE.match(str(source))
    return Path(match["archive"] if match else source)


def _refuse_long_file(source: str | Path | bytes, name: str, max_seconds: float) -> None:
    """Look at the header alone: a file of hours is not worth being read."""
    is_slice = not isinstance(source, bytes) and _ZIP_SLICE.match(str(source))
    content = read_bytes(source) if is_slice else source  # type: ignore[arg-type]
    if not isinstance(content, bytes) and not Path(content).is_file():
        return  # reading tells
    try:
        info = soundfile.info(io.BytesIO(content) if isinstance(content, bytes) else str(content))
    except soundfile.LibsndfileError as error:
        raise _undecodable(name, error) from error
    _refuse_long(info.frames, info.samplerate, name, max_seconds)


def _refuse_long(samples: int, rate: int, name: str, max_seconds: float | None) -> None:
    if max_seconds is not None and samples > max_seconds * rate:
        raise ValueError(
            f"{name}: a recording must have at most {max_seconds:g} seconds, but has "
            f"{samples / rate:.0f}; cut it, or raise the limit."
        )


def _undecodable(name: str, error: soundfile.LibsndfileError) -> ValueError:
    reason = error.error_string  # the whole message names a buffer in memory
    return ValueError(f"{name}: the audio must be decodable, but: {reason}")


def _check_header(file: soundfile.SoundFile, name: str) -> None:
    rate, promised = file.samplerate, file.frames
    if file.format not in _FORMATS:
        raise ValueError(
            f"{name}: audio must be of the format {', '.join(_FORMATS)}, but is {file.format}, "
            "which is not checked for being whole; convert it to flac."
        )
    _check_rate(rate, name)
    if promised > _MAX_HOURS * 3600 * rate:  # before memory for all of them is asked for
        raise ValueError(
            f"{name}: a recording must have at most {_MAX_HOURS} hours, but its header promises "
            f"{promised / 3600 / rate:.0f}; the header is broken."
        )


def _check_rate(rate: int, name: str) -> None:
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise ValueError(
            f"{name}: the sample rate must be between {_MIN_RATE} and {_MAX_RATE} Hz, but is "
            f"{rate}; the header is broken."
        )


def _check_samples(samples: Waveform, promised: int, name: str) -> None:
    if len(samples) == 0:
        raise ValueError(f"{name}: the audio must have samples, but is empty; leave it out.")
    if len(samples) < promised:
        raise ValueError(
            f"{name}: the audio must have the {promised} samples that its header promises, but "
            f"has {len(samples)}; the file is truncated, fetch it again."
        )
    if not np.isfinite(samples).all():
        bad = int((~np.isfinite(samples)).sum())
        raise ValueError(f"{name}: samples must be finite, but {bad} are NaN or infinite.")


def _mix_down(samples: Waveform, name: str) -> Waveform:
    mono: Waveform = samples.mean(axis=1, dtype=np.float32)
    if samples.shape[1] > 1:
        _say_once(f"recordings with {samples.shape[1]} channels are mixed down to mono")
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        if float(np.mean(np.square(mono, dtype=np.float64))) < _LEAST_SHARE_OF_POWER * power:
            raise ValueError(
                f"{name}: the mean of the channels must be audible, but they cancel each other "
                "out; invert one channel or use one of them."
            )
    return mono


def _resample(waveform: Waveform, rate: int) -> Waveform:
    if rate == SAMPLE_RATE:
        return waveform
    _say_once(f"recordings with {rate} Hz are resampled to {SAMPLE_RATE} Hz")
    resampled = torchaudio.functional.resample(torch.from_numpy(waveform), rate, SAMPLE_RATE)
    return np.asarray(resampled, dtype=np.float32)


@cache
def _say_once(message: str) -> None:
    logger.warning(message)
