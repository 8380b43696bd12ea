"""What is assumed of a training set that is not there yet. Knows no corpus but by its figures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND
from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.data.vocabulary import Vocabulary

_SAMPLE = 20_000  # utterances that stand for all


@dataclass(frozen=True)
class Assumptions:
    """A training set in six numbers; the defaults are those of MLS English.

    Args:
        utterances: Their number.
        hours: All together.
        shortest: Seconds.
        longest: Seconds.
        tokens_per_second: Of a transcript: the LLM's tokens, or pieces of the CTC vocabulary.
        response_factor: Tokens of a response per token of its transcript.
    """

    utterances: int = 10_808_037
    hours: float = 44_659.0
    shortest: float = 10.0
    longest: float = 20.0
    tokens_per_second: float = 3.5
    response_factor: float = 4.0

    def __post_init__(self) -> None:
        if not self.shortest < self.mean < self.longest:
            raise ValueError(
                f"--hours over --utterances must be between --shortest {self.shortest:g} and "
                f"--longest {self.longest:g} seconds, but is {self.mean:.2f}; correct one of them."
            )

    @property
    def mean(self) -> float:
        """Seconds of an utterance, on average."""
        return self.hours * 3600 / self.utterances

    def __str__(self) -> str:
        return (
            f"{self.utterances:,} utterances of {self.shortest:g} to {self.longest:g} s, "
            f"{self.hours:,g} hours, {self.tokens_per_second:g} tokens per second, responses of "
            f"{self.response_factor:g} times as many"
        )

    def frames(self) -> npt.NDArray[np.int32]:
        """10 ms frames of utterances that have these lengths and this mean, shortest first."""
        spread = self.longest - self.shortest
        # The mean of u ** power over u from 0 to 1 is 1 / (power + 1).
        power = spread / (self.mean - self.shortest) - 1
        quantiles = np.linspace(0, 1, min(self.utterances, _SAMPLE)) ** power
        return np.asarray((self.shortest + spread * quantiles) * FRAMES_PER_SECOND, dtype=np.int32)

    def tokens(self, frames: int) -> int:
        """Tokens of the transcript of a recording with that many frames."""
        return max(1, int(frames * self.tokens_per_second / FRAMES_PER_SECOND))


class AssumedManifest(Manifest):
    """A manifest that has lengths, and nothing else.

    Args:
        frames: 10 ms frames of each utterance.
    """

    def __init__(self, frames: npt.NDArray[np.int32]) -> None:
        self.path = Path("(assumed)")
        self.n_frames = frames

    def __len__(self) -> int:
        return len(self.n_frames)

    def __getitem__(self, index: int) -> Utterance:
        return Utterance(f"assumed-{index}", "", int(self.n_frames[index]), "")

    def without_text(self) -> npt.NDArray[np.bool_]:
        """None is."""
        return np.zeros(len(self), dtype=bool)


class AssumedResponses(Responses):
    """Responses that have lengths, and nothing else.

    Args:
        prompts: Tokens of each text prompt.
        responses: Tokens of each response.
    """

    def __init__(self, prompts: npt.NDArray[np.int32], responses: npt.NDArray[np.int32]) -> None:
        self.path = Path("(assumed)")
        self._prompts, self._responses = prompts, responses

    def lengths(self) -> npt.NDArray[np.int32]:
        """Target tokens per utterance."""
        return self._responses

    def prompt_lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of the text prompts."""
        return self._prompts

    def exclusions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """None is."""
        return {}


class AssumedVocabulary(Vocabulary):
    """A CTC vocabulary that has a size, and nothing else.

    Args:
        size: Number of pieces.
    """

    unk = 0

    def __init__(self, size: int) -> None:
        self.model = b""
        self.blank = size
