"""A recording from the microphone, begun and ended with Enter.

Needs sounddevice, an extra, and PortAudio, a library of the system. Knows no dialogue.
"""

import base64
import io
import select
import sys
import time
from types import ModuleType
from typing import Any

import numpy as np
import soundfile

from fairseq_audiochat.terminal.console import Console

_MOST_SECONDS = 300.0  # where there is no other limit: somebody forgot to press Enter


def record(console: Console, max_seconds: float | None) -> dict[str, Any]:
    """Record until Enter is pressed, or the limit is reached.

    Args:
        console: Asks, and tells when it records.
        max_seconds: Longest recording.

    Returns:
        A part of a message, the recording in it as WAV.

    Raises:
        KeyboardInterrupt: At Ctrl-C; nothing is kept.
        ModuleNotFoundError: If sounddevice is not installed.
        OSError: If there is no PortAudio or no microphone.
        ValueError: If there is no terminal to press Enter in, or nothing was recorded.
    """
    if not console.is_interactive:
        raise ValueError(":record must be given in a terminal, but is not; use :audio FILE.")
    sounddevice = _sounddevice()
    rate = _rate(sounddevice)
    seconds = max_seconds or _MOST_SECONDS
    console.read("Press Enter to record. ")
    console.notice(f"recording: press Enter to stop, at most {seconds:g} s")
    samples = _samples(sounddevice, rate, seconds)
    if not len(samples):
        raise ValueError("a recording must have samples, but the microphone gave none.")
    console.notice(f"{len(samples) / rate:.1f} s")
    return _part(samples, rate)


def _samples(sounddevice: ModuleType, rate: int, seconds: float) -> Any:
    blocks = list[Any]()

    def keep(block: Any, *_: Any) -> None:
        blocks.append(block.copy())

    try:
        with sounddevice.InputStream(rate, channels=1, dtype="int16", callback=keep):
            _wait_for_enter(seconds)
    except sounddevice.PortAudioError as error:
        raise OSError(f"the microphone must be usable, but: {error}.") from error
    recorded = np.concatenate([np.empty((0, 1), np.int16), *blocks])
    return recorded[: int(seconds * rate), 0]


def _wait_for_enter(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            sys.stdin.readline()
            return


def _part(samples: Any, rate: int) -> dict[str, Any]:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "recording needs sounddevice, which is not installed; "
            "pip install 'fairseq-audiochat[microphone]', or use :audio FILE."
        ) from error
    except OSError as error:
        raise OSError(
            f"recording needs the library PortAudio, but: {error}; install it (Debian: "
            "apt install libportaudio2), or use :audio FILE."
        ) from error
    return sounddevice


def _rate(sounddevice: ModuleType) -> int:
    """What the microphone does by itself; it is resampled when it is read."""
    try:
        return int(sounddevice.query_devices(kind="input")["default_samplerate"])
    except (sounddevice.PortAudioError, ValueError) as error:
        raise OSError(
            f"recording needs a microphone, but none was found ({error}); use :audio FILE."
        ) from error
