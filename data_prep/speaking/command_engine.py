"""A command line of the user's as an engine: the text on stdin, a sound file out.

    piper --model en_GB-alan-medium.onnx --output_file {output}

``{output}`` stands for the file that the command writes, ``{voice}`` for the utterance's voice. No
shell reads the line. Does not know what the command is.
"""

import asyncio
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path

from fairseq_audiochat.data.audio import read_audio
from speaking.engine import Samples, Style, UnspokenError

OUTPUT, VOICE = "{output}", "{voice}"


class CommandEngine:
    """Speaks by running a command for each text.

    Args:
        line: The command line.
        workers: Commands at a time.
        timeout: Seconds until a command must have ended.

    Raises:
        ValueError: If the line names no ``{output}``.
    """

    def __init__(self, line: str, workers: int, timeout: float) -> None:
        self._words = _split(line)
        self.name, self.in_flight = f"command: {line}", workers
        self._timeout = timeout

    async def speak(self, text: str, style: Style) -> Samples:
        """Run the command.

        Raises:
            UnspokenError: If it fails, takes too long, or writes no sound.
            RuntimeError: If there is no such command.
        """
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "speech.wav"
            await self._run(text, [self._fill(word, output, style.voice) for word in self._words])
            try:
                return read_audio(output, name="the command's output")
            except (ValueError, FileNotFoundError) as error:
                raise UnspokenError(str(error).replace(str(output), "{output}")) from error

    async def close(self) -> None:
        """Nothing lives on."""

    async def _run(self, text: str, words: list[str]) -> None:
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=pipe, stdout=null, stderr=pipe
            )
        except OSError as error:
            raise RuntimeError(
                f"--command must be one that can be run, but {words[0]!r} cannot: "
                f"{error.strerror}; give its whole path."
            ) from error
        try:
            said = process.communicate(f"{text}\n".encode())
            _, errors = await asyncio.wait_for(said, self._timeout)
        except TimeoutError as error:
            raise UnspokenError(f"the command ran for more than {self._timeout:g} s") from error
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        if process.returncode:
            last = " ".join(errors.decode(errors="replace").split())[-200:]
            raise UnspokenError(f"the command ended with {process.returncode}: {last}")

    @staticmethod
    def _fill(word: str, output: Path, voice: str) -> str:
        return word.replace(OUTPUT, str(output)).replace(VOICE, voice)


def _split(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"--command must be a command line, but is {line!r}: {error}.") from error
    if not any(OUTPUT in word for word in words):
        raise ValueError(
            f"--command must name the file that it writes by {OUTPUT}, but is {line!r}; the text "
            "comes on its standard input."
        )
    return words
