"""The audio of a message: a file, bytes, base64 or samples, to features.

Knows no dialogue.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairseq_audiochat.data.audio import SAMPLE_RATE, Waveform, read_audio, waveform_of
from fairseq_audiochat.data.fbank import Features, fbank

_ACCEPTED = (
    "a path, the bytes of an audio file, an array of samples at 16,000 Hz, (array, rate) or "
    '{"array": array, "sampling_rate": rate}'
)


def read_clip(audio: Any, name: str, max_seconds: float | None) -> Features:
    """Features of a recording.

    Args:
        audio: A path; the bytes of an audio file; an array of samples at 16 kHz; an array and its
            rate in a tuple of either order, or in a dict with ``array`` and ``sampling_rate``.
        name: Where it stands, for errors.
        max_seconds: Longer ones are refused; None is no limit.

    Returns:
        Float32 ``(T, 80)``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of these, or the recording cannot be used.
    """
    if isinstance(audio, str | Path):
        path = str(audio)
        if path.startswith(("http://", "https://", "data:")):
            raise ValueError(f"{name}: audio must be {_ACCEPTED}, but is {path[:40]!r}; fetch it.")
        try:
            return fbank(read_audio(path, f"{path} ({name})", max_seconds), f"{path} ({name})")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error} ({name})") from error
    if isinstance(audio, bytes | bytearray | memoryview):
        return fbank(read_audio(bytes(audio), name, max_seconds), name)
    return fbank(_waveform(audio, name, max_seconds), name)


def decode_base64(data: Any, name: str) -> bytes:
    """The bytes of an audio file in OpenAI's ``input_audio``.

    Raises:
        ValueError: If it is no base64.
    """
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: 'data' must be an audio file as base64, but: {error}."
        ) from error


def _waveform(audio: Any, name: str, max_seconds: float | None) -> Waveform:
    array, rate = _samples_and_rate(audio)
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().numpy()
    if not isinstance(array, np.ndarray) or not _is_integer(rate):
        raise ValueError(f"{name}: audio must be {_ACCEPTED}, but is {_kind(audio)}.")
    return waveform_of(array, int(rate), name, max_seconds)


def _samples_and_rate(audio: Any) -> tuple[Any, Any]:
    if isinstance(audio, Mapping):
        return audio.get("array"), audio.get("sampling_rate")
    if isinstance(audio, tuple) and len(audio) == 2:
        return (audio[1], audio[0]) if _is_integer(audio[0]) else audio
    return audio, SAMPLE_RATE


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _kind(audio: Any) -> str:
    if isinstance(audio, Mapping):
        return f"a dict with {', '.join(map(repr, audio)) or 'nothing'}"
    return f"of type {type(audio).__name__}"
