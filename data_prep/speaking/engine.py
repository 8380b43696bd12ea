"""What every voice is: a text in, a recording out.

Knows no file and no question.
"""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


class UnspokenError(Exception):
    """This text cannot be spoken, and asking again is vain; the next one may be."""


class Style(NamedTuple):
    """How an utterance is spoken.

    Args:
        voice: Its name, as the engine knows it; empty where there is but one.
        words_per_minute: The speed, or 0 for the voice's own.
        pitch: espeak-ng's, 0 to 100, or 0 for the voice's own.
    """

    voice: str
    words_per_minute: int = 0
    pitch: int = 0


class SpeakingEngine(Protocol):
    """Speaks texts, some at a time.

    ``name`` says who speaks: a recording of another name is spoken anew. At most ``in_flight``
    texts may be under way.
    """

    name: str
    in_flight: int

    async def speak(self, text: str, style: Style) -> Samples:
        """Speak a text.

        Returns:
            Float32 samples at 16 kHz, shape ``(S,)``.

        Raises:
            UnspokenError: If this text cannot be spoken.
            RuntimeError: If no text can be.
        """

    async def close(self) -> None:
        """Let go of what it holds."""
