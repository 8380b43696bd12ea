"""Has texts spoken and keeps the recordings; goes on where it was.

Whether a text was spoken is known from its file alone, which says who spoke what in it: there is
no list beside the files that could be wrong. Does not know who speaks, nor why.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from fairseq_audiochat.data.fbank import SAMPLES_PER_FRAME, num_frames
from speaking.engine import SpeakingEngine, Style, UnspokenError
from speaking.recording import is_recorded, write_recording

_PATIENCE = 20  # failures before anything was spoken


class Prompt(NamedTuple):
    """A text to speak.

    Args:
        id: The utterance; its file's name.
        text: What is said.
        style: How.
        path: Where the recording will be.
    """

    id: str
    text: str
    style: Style
    path: Path


def record(prompts: Sequence[Prompt], engine: SpeakingEngine, title: str) -> dict[str, str]:
    """Have everything spoken that is not yet.

    Args:
        prompts: What to say.
        engine: Who says it.
        title: Of the progress bar.

    Returns:
        By id, why a text could not be spoken.

    Raises:
        RuntimeError: If the engine gives up, or none of the first texts could be spoken.
    """
    return asyncio.run(_Recorder(engine).record(prompts, title))


def replaces(prompts: Sequence[Prompt], engine: SpeakingEngine) -> bool:
    """Whether some recording is there, but of another text, voice or engine."""
    return any(
        prompt.path.exists() and not is_recorded(prompt.path, _provenance(prompt, engine))
        for prompt in prompts
    )


def _provenance(prompt: Prompt, engine: SpeakingEngine) -> dict[str, object]:
    return {"text": prompt.text, "engine": engine.name, "style": prompt.style._asdict()}


class _Recorder:
    def __init__(self, engine: SpeakingEngine) -> None:
        self._engine = engine
        self._spoken = 0
        self._unspoken: dict[str, str] = {}

    async def record(self, prompts: Sequence[Prompt], title: str) -> dict[str, str]:
        try:
            with tqdm(total=len(prompts), desc=title, unit="utt", mininterval=1) as bar:
                queue = iter(prompts)
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._engine.in_flight):
                        group.create_task(self._work(queue, bar))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await self._engine.close()
        return self._unspoken

    async def _work(self, queue: Iterator[Prompt], bar: "tqdm[None]") -> None:
        for prompt in queue:
            provenance = _provenance(prompt, self._engine)
            if is_recorded(prompt.path, provenance):
                self._spoken += 1
            else:
                prompt.path.unlink(missing_ok=True)  # another text's, or another voice's
                try:
                    await self._speak(prompt, provenance)
                except UnspokenError as error:
                    self._refuse(prompt, str(error))
            bar.update()

    async def _speak(self, prompt: Prompt, provenance: dict[str, object]) -> None:
        samples = await self._engine.speak(prompt.text, prompt.style)
        if num_frames(len(samples)) == 0 or not samples.any():
            raise UnspokenError(
                f"a recording must have at least {SAMPLES_PER_FRAME} samples and not be silent, "
                f"but has {len(samples)}"
            )
        write_recording(prompt.path, samples, provenance)
        self._spoken += 1

    def _refuse(self, prompt: Prompt, reason: str) -> None:
        self._unspoken[prompt.id] = reason
        if not self._spoken and len(self._unspoken) >= _PATIENCE:
            raise RuntimeError(
                f"The voice must speak some of the first {_PATIENCE} texts, but spoke none; of "
                f"{prompt.text[:60]!r}: {reason}."
            )
