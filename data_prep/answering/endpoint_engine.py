"""The engine of OpenAI-compatible endpoints: many requests under way, answers as they come.

Knows no file.
"""

import asyncio
from collections.abc import Sequence

from answering.endpoint_probe import probe
from answering.endpoint_protocol import EndpointProtocol
from answering.endpoints import Endpoint, ask, connect, describe
from answering.engine import Answer, Request
from answering.prompts import LONG_PROMPT
from fairseq_audiochat.data.chat_template import ChatTemplate

_BUFFER_PER_REQUEST = 16  # finished answers wait for an earlier one


class EndpointEngine:
    """Answers requests by asking endpoints.

    Args:
        urls: Their URLs.
        model: The model's name there.
        template: The LLM's chat template.
        in_flight: Most requests under way, for each endpoint.
        timeout: Seconds until an answer must be there.
        retries: How often a request is repeated.
        api_key: Sent to all of them.
        first_rest: Seconds for which a failing endpoint rests at first.

    Raises:
        ValueError: If an endpoint does not serve the model with our tokenizer.
        RuntimeError: If one does not answer.
    """

    unit = 1  # what a server gives does not depend on where we begin

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        template: ChatTemplate,
        in_flight: int = 64,
        timeout: float = 600.0,
        retries: int = 8,
        api_key: str = "none",
        first_rest: float = 1.0,
    ) -> None:
        self._endpoints = [connect(url, timeout, api_key) for url in urls]
        self._loop = asyncio.new_event_loop()
        self._in_flight = in_flight * len(urls)
        self.buffer = self._in_flight * _BUFFER_PER_REQUEST
        self._retries, self._first_rest = retries, first_rest
        self._tasks: set[asyncio.Task[Answer]] = set()
        try:
            self.protocol: EndpointProtocol = self._loop.run_until_complete(
                probe(self._endpoints, model, template, retries, first_rest)
            )
        except BaseException:
            self.close()
            raise

    def room(self) -> int:
        """Requests are under way up to a number."""
        return self._in_flight - len(self._tasks)

    def submit(self, request: Request) -> None:
        """Send a request at the next `collect`."""
        self._tasks.add(self._loop.create_task(self._ask(request)))

    def collect(self) -> list[Answer]:
        """Wait for the next answers.

        Raises:
            RuntimeError: If a request failed for good.
        """
        first = asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        done, self._tasks = self._loop.run_until_complete(first)
        return [task.result() for task in done]

    def close(self) -> None:
        """Cancel what is under way."""
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for endpoint in self._endpoints:
            await endpoint.client.close()

    async def _ask(self, request: Request) -> Answer:
        async def operation(endpoint: Endpoint) -> Answer:
            arguments = self.protocol.arguments(request)
            try:
                completion = await endpoint.client.completions.create(**arguments)
            except Exception as error:
                if not _is_too_long(error):
                    raise
                return Answer.none(request, LONG_PROMPT)
            return self.protocol.read(completion, request)

        subject = f"utterance {request.id!r}"
        return await ask(self._endpoints, operation, subject, self._retries, self._first_rest)


def _is_too_long(error: Exception) -> bool:
    """Whether a server has fewer positions than the LLM, and says so."""
    is_refusal = getattr(error, "status_code", None) in (400, 422)
    return is_refusal and "context length" in describe(error)
