"""Servers as an engine: any that speaks OpenAI's ``/v1/audio/speech``. Knows no file."""

import struct
from collections.abc import Sequence

from answering.endpoint_protocol import BadAnswerError
from answering.endpoints import Endpoint, ask, connect, describe

from fairseq_audiochat.data.audio import read_audio
from speaking.engine import Samples, Style, UnspokenError

_OF_THE_TEXT = (400, 413, 422)  # what servers say to a text that is too long, or not allowed
_FIRST_CHUNK = 12  # of a wav: its place


class EndpointEngine:
    """Speaks by asking endpoints.

    Args:
        urls: Their URLs.
        model: The model's name there.
        in_flight: Most requests under way, for each endpoint.
        timeout: Seconds until a recording must be there.
        retries: How often a request is repeated.
        api_key: Sent to all of them.
        first_rest: Seconds for which a failing endpoint rests at first.
    """

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        in_flight: int,
        timeout: float,
        retries: int,
        api_key: str = "none",
        first_rest: float = 1.0,
    ) -> None:
        self.name, self.in_flight = f"endpoint: {model}", in_flight * len(urls)
        self._endpoints = [connect(url, timeout, api_key) for url in urls]
        self._model, self._retries, self._first_rest = model, retries, first_rest

    async def speak(self, text: str, style: Style) -> Samples:
        """Ask for a recording.

        Raises:
            UnspokenError: If a server refuses this text.
            RuntimeError: If no server answers.
        """

        async def operation(endpoint: Endpoint) -> Samples | UnspokenError:
            try:
                response = await endpoint.client.audio.speech.create(
                    model=self._model, voice=style.voice, input=text, response_format="wav"
                )
            except Exception as error:
                if getattr(error, "status_code", None) not in _OF_THE_TEXT:
                    raise
                return UnspokenError(f"{endpoint.url}: {describe(error)}")
            return _samples(await response.aread())

        subject = f"the text {text[:60]!r}"
        said = await ask(self._endpoints, operation, subject, self._retries, self._first_rest)
        if isinstance(said, UnspokenError):
            raise said
        return said

    async def close(self) -> None:
        """Hang up."""
        for endpoint in self._endpoints:
            await endpoint.client.close()


def _samples(content: bytes) -> Samples:
    try:
        return read_audio(with_true_length(content), name="the answer")
    except ValueError as error:
        raise BadAnswerError(str(error)) from error


def with_true_length(content: bytes) -> bytes:
    """A wav whose header tells its length.

    A server that sends a wav while it speaks cannot know the length: its header promises 4 GB
    (OpenAI's), 2 GB, 2,000,000,000 bytes, or nothing. That the answer is whole is known from HTTP.
    """
    if content[:4] != b"RIFF":
        return content
    position = _FIRST_CHUNK
    while position + 8 <= len(content):
        chunk, size = struct.unpack_from("<4sI", content, position)
        position += 8
        if chunk == b"data":
            there = len(content) - position
            known = size if 0 < size <= there else there
            length = struct.pack("<I", len(content) - 8)
            head = content[8 : position - 4] + struct.pack("<I", known)
            return content[:4] + length + head + content[position:]
        position += size + size % 2  # chunks begin at even bytes
    return content
