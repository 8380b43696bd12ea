"""espeak-ng as an engine: every text as if it were the first.

So the samples of an utterance are the same whichever others are spoken, and a run that was killed
ends with the files of one that was not. Knows no other engine.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import espeak
import numpy as np

from speaking.engine import Samples, Style, UnspokenError
from speaking.recording import at_our_rate

_SERVER = [sys.executable, str(Path(espeak.__file__).with_name("espeak_server.py"))]
_ERRORS = {error.__name__: error for error in (ValueError, RuntimeError, ModuleNotFoundError)}


class EspeakEngine:
    """Speaks with espeak-ng.

    Args:
        voices: Those that will be used.
        seed: Of espeak-ng's own random numbers.
        workers: Processes.

    Raises:
        ModuleNotFoundError: If espeak-ng is missing.
        ValueError: If it does not have one of the voices.
    """

    def __init__(self, voices: list[str], seed: int, workers: int) -> None:
        self.name, self.in_flight = f"espeak-ng, seed {seed}", workers
        self._seed = seed
        self._idle: list[asyncio.subprocess.Process] = []
        _check_voices(voices)

    async def speak(self, text: str, style: Style) -> Samples:
        """Ask an idle server, or a new one.

        Raises:
            UnspokenError: If espeak-ng reports a failure.
            RuntimeError: If the server dies.
        """
        server = self._idle.pop() if self._idle else await _start()
        request = _request(seed=self._seed, text=text, **style._asdict())
        try:
            server.stdin.write(request)  # type: ignore[union-attr]
            header = json.loads(await server.stdout.readline())  # type: ignore[union-attr]
            content = await server.stdout.readexactly(header["bytes"])  # type: ignore[union-attr]
        except (ValueError, OSError, asyncio.IncompleteReadError) as error:
            raise RuntimeError("espeak-ng's process must live, but was killed.") from error
        self._idle.append(server)
        if "error" in header:
            raise UnspokenError(header["error"])
        return at_our_rate(np.frombuffer(content, np.int16), header["sample_rate"])

    async def close(self) -> None:
        """End the servers."""
        for server in self._idle:
            server.stdin.close()  # type: ignore[union-attr]
            await server.wait()


async def _start() -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*_SERVER, stdin=pipe, stdout=pipe)


def _check_voices(voices: list[str]) -> None:
    request = _request(seed=1, text="", check_voices=voices)
    said = subprocess.run(_SERVER, input=request, stdout=subprocess.PIPE, check=True).stdout
    header = json.loads(said)
    if "error" in header:
        raise _ERRORS[header["kind"]](header["error"])


def _request(**fields: Any) -> bytes:
    return json.dumps({"check_voices": [], **fields}).encode() + b"\n"
