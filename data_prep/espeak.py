"""espeak-ng through ctypes: text to samples.

The library and its data come with the PyPI wheel ``espeakng-loader``; nothing is installed
system-wide. It is GPL-3.0-or-later and therefore an optional extra. Knows no files of ours.

espeak-ng keeps state across calls (its synthesiser is one set of C globals): the samples of an
utterance depend on every utterance before it, even with its random numbers seeded anew. The same
calls in the same order in a fresh process repeat bit for bit. It is not thread-safe.
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS_OUTPUT = 2  # espeak_Synth returns when the callback has had all samples
_DO_NOT_EXIT = 0x8000  # or the library ends the process when its data are missing
_UTF8 = 1
_RATE, _PITCH = 1, 3

SLOWEST, FASTEST = 80, 450  # words per minute
LOWEST, HIGHEST = 0, 100  # pitch; 50 is a voice's own

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_int16), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """The one synthesiser of this process.

    Args:
        seed: Of espeak-ng's own random numbers (breath and flutter).

    Raises:
        ModuleNotFoundError: If the wheel is missing, with the line that installs it.
        RuntimeError: If the library or its data cannot be loaded, or if this process has
            already made a synthesiser, whose state would change the samples.
    """

    _in_use = False

    def __init__(self, seed: int) -> None:
        if Espeak._in_use:
            raise RuntimeError(
                "A process must make one Espeak only, because the library's state outlives it; "
                "start a new process."
            )
        path, self._data = _find_library()
        Espeak._in_use = True
        self._library: Any = ctypes.CDLL(path)
        self.sample_rate = self._initialise()
        self._chunks: list[npt.NDArray[np.int16]] = []
        self._callback = _Callback(self._collect)  # a reference, or it is freed while in use
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def check_voice(self, voice: str) -> None:
        """Refuse a voice that espeak-ng does not have.

        Raises:
            ValueError: If the language does not load or the variant after ``+`` has no file
                (espeak-ng itself speaks such a voice in its default one, silently).
        """
        variant = voice.partition("+")[2]
        folder = self._data / "voices" / "!v"
        unknown = bool(variant) and not (folder / variant).is_file()
        if unknown or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            variants = ", ".join(sorted(file.name for file in folder.iterdir()))
            raise ValueError(
                f"A voice must be LANGUAGE or LANGUAGE+VARIANT of espeak-ng, but is {voice!r}; "
                f"languages are such as en-us, en-gb-scotland, en-029, it; variants are {variants}."
            )

    def speak(self, text: str, voice: str, words_per_minute: int, pitch: int) -> npt.NDArray[Any]:
        """Speak ``text``.

        Args:
            text: What to say.
            voice: One that ``check_voice`` accepts.
            words_per_minute: ``SLOWEST`` to ``FASTEST``.
            pitch: ``LOWEST`` to ``HIGHEST``.

        Returns:
            16-bit samples at ``sample_rate``, shape ``(S,)``.

        Raises:
            RuntimeError: If espeak-ng reports a failure.
        """
        self._chunks.clear()
        encoded = text.encode() + b"\0"
        self._require(self._library.espeak_SetVoiceByName(voice.encode()), "select", voice)
        self._require(self._library.espeak_SetParameter(_RATE, words_per_minute, 0), "set", "rate")
        self._require(self._library.espeak_SetParameter(_PITCH, pitch, 0), "set", "pitch")
        status = self._library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, _UTF8, None, None
        )
        self._require(status, "speak", text)
        return np.concatenate([np.zeros(0, np.int16), *self._chunks])

    def _initialise(self) -> int:
        data = os.fsencode(self._data)
        rate = int(self._library.espeak_Initialize(_SYNCHRONOUS_OUTPUT, 0, data, _DO_NOT_EXIT))
        if rate <= 0:
            raise RuntimeError(
                f"espeak-ng must find its data in {self._data}, but does not; reinstall "
                "espeakng-loader."
            )
        return rate

    def _collect(self, samples: Any, count: int, _events: int) -> int:
        if samples and count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0  # go on

    @staticmethod
    def _require(status: int, action: str, what: str) -> None:
        if status != 0:
            raise RuntimeError(f"espeak-ng must {action} {what!r}, but failed with {status}.")


def _find_library() -> tuple[str, Path]:
    try:
        import espeakng_loader
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Synthesised speech needs espeakng-loader, which is not installed; "
            "pip install fairseq-audiochat[speech]"
        ) from error
    get_path: Callable[[], str] = espeakng_loader.get_library_path
    return get_path(), Path(espeakng_loader.get_data_path())
