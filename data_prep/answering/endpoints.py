"""Servers that answer over HTTP: the least loaded is asked, a failing one rests, all are retried.

Knows neither prompts nor responses.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from answering.endpoint_protocol import BadAnswerError

_LONGEST_REST = 60.0  # seconds
_RETRIABLE_STATUS = (408, 409, 425, 429)  # and everything from 500 on

Result = TypeVar("Result")


class EndpointRefusedError(ValueError):
    """An endpoint answers, but is not the one that is needed: asking again is vain."""


@dataclass(eq=False)
class Endpoint:
    """A server.

    Args:
        url: Its base URL, with ``/v1``.
        client: What speaks to it: `openai.AsyncOpenAI`.
    """

    url: str
    client: Any
    active: int = 0
    failures: int = 0  # in a row
    rests_until: float = 0.0

    def fail(self, sent: float, first_rest: float) -> None:
        """Rest, longer each time; requests that failed together count once."""
        if sent >= self.rests_until:
            rest = min(_LONGEST_REST, first_rest * 2**self.failures)
            self.failures += 1
            self.rests_until = time.monotonic() + rest

    def succeed(self) -> None:
        """Forget failures."""
        self.failures = 0


def connect(url: str, timeout: float, api_key: str) -> Endpoint:
    """An endpoint by its URL; ``/v1`` is added where there is no path.

    Raises:
        ModuleNotFoundError: If the package `openai` is missing.
        ValueError: If ``url`` is none.
    """
    try:
        import openai
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "--endpoint needs the package openai, but it is not installed; "
            "pip install 'fairseq-audiochat[endpoint]'."
        ) from error
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(
            f"--endpoint must be a URL such as http://localhost:8000/v1, but is {url!r}."
        )
    base = url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)  # fairseq turns debugging on
    client = openai.AsyncOpenAI(base_url=base, api_key=api_key, timeout=timeout, max_retries=0)
    return Endpoint(base, client)


async def ask(
    endpoints: Sequence[Endpoint],
    operation: Callable[[Endpoint], Awaitable[Result]],
    subject: str,
    retries: int,
    first_rest: float = 1.0,
) -> Result:
    """Ask the least loaded endpoint, and another one or again if it fails.

    Args:
        endpoints: Whom to ask.
        operation: Asks an endpoint.
        subject: What it is about, for the error.
        retries: How often to ask again.
        first_rest: Seconds for which an endpoint rests after its first failure.

    Raises:
        EndpointRefusedError: As it is.
        RuntimeError: If the last retry fails, or an endpoint answers with an error for good.
    """
    failed: list[Endpoint] = []
    for attempt in range(retries + 1):
        endpoint = await _least_loaded(endpoints, failed)
        endpoint.active += 1
        sent = time.monotonic()
        try:
            result = await operation(endpoint)
        except EndpointRefusedError:
            raise
        except Exception as error:
            endpoint.fail(sent, first_rest)
            failed.append(endpoint)
            if attempt == retries or not _is_retriable(error):
                raise RuntimeError(_sentence(endpoint, subject, attempt + 1, error)) from error
        else:
            endpoint.succeed()
            return result
        finally:
            endpoint.active -= 1
    raise AssertionError("the last attempt returns or raises")


async def _least_loaded(endpoints: Sequence[Endpoint], failed: list[Endpoint]) -> Endpoint:
    """The least loaded endpoint that does not rest; waits until there is one.

    Where the request failed before is only asked if no other one is awake: who fails at once is
    never loaded.
    """
    while True:
        now = time.monotonic()
        awake = [endpoint for endpoint in endpoints if endpoint.rests_until <= now]
        if awake:
            return min(awake, key=lambda endpoint: (endpoint in failed, endpoint.active))
        await asyncio.sleep(min(endpoint.rests_until for endpoint in endpoints) - now)


def _is_retriable(error: Exception) -> bool:
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code >= 500 or error.status_code in _RETRIABLE_STATUS
    return isinstance(error, BadAnswerError | openai.APIConnectionError | openai.APIError)


def _sentence(endpoint: Endpoint, subject: str, attempts: int, error: Exception) -> str:
    return (
        f"{endpoint.url}: the endpoint must answer, but for {subject} it failed {attempts} times, "
        f"at last with: {describe(error)}; see to the server and run the same command again, "
        "which goes on where it was."
    )


def describe(error: Exception) -> str:
    """An error in one line, with what the server said."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else body
    kind = getattr(error, "status_code", type(error).__name__)
    text = f"{kind}: {said or error} {error.__cause__ or ''}"
    return " ".join(text.split())[:200].rstrip(".")
