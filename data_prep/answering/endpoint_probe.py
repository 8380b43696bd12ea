"""Before the first request: which protocol an endpoint speaks, and whether it reads our tokens.

A server whose tokenizer or model is another one is refused. Knows no manifest.
"""

from collections.abc import Sequence
from typing import Any

from answering.endpoint_protocol import EndpointProtocol, prompt_ids, response_ids
from answering.endpoints import Endpoint, EndpointRefusedError, ask, describe
from answering.engine import Request
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.conversation import Conversation

# Blanks, digits, accents, quotes, a byte that is no letter: where tokenizers differ.
PROBES = ("what is the capital of france", "in 1984 l'été “dernier”  two blanks", "tick \a tock")


async def probe(
    endpoints: Sequence[Endpoint], model: str, template: ChatTemplate, retries: int, rest: float
) -> EndpointProtocol:
    """Find out how to speak to endpoints.

    Raises:
        EndpointRefusedError: If one serves another model, reads other tokens, or speaks
            otherwise than the first one.
        RuntimeError: If one does not answer.
    """
    found = []
    for endpoint in endpoints:

        async def operation(endpoint: Endpoint) -> EndpointProtocol:
            return await _probe(endpoint, model, template)

        found.append(await ask([endpoint], operation, "a first request", retries, rest))
        if str(found[-1]) != str(found[0]):
            raise EndpointRefusedError(
                f"{endpoint.url}: all endpoints must speak one protocol, but it speaks "
                f"{found[-1]} and {endpoints[0].url} {found[0]}; use servers of one kind."
            )
    return found[0]


async def _probe(endpoint: Endpoint, model: str, template: ChatTemplate) -> EndpointProtocol:
    import openai

    requests = [Request(text, template.prompt(Conversation.of_text(text)), 1) for text in PROBES]
    try:
        return await _probe_ids(endpoint, EndpointProtocol(model, template, True, True), requests)
    except openai.NotFoundError as error:
        raise EndpointRefusedError(_other_model(endpoint, model, describe(error))) from error
    except (openai.BadRequestError, openai.UnprocessableEntityError):
        pass  # it knows no ids
    protocol = EndpointProtocol(model, template, False, False)
    try:
        await _check_text(endpoint, protocol, requests)
    except (openai.NotFoundError, openai.BadRequestError) as error:
        raise EndpointRefusedError(_other_model(endpoint, model, describe(error))) from error
    return protocol


async def _probe_ids(
    endpoint: Endpoint, protocol: EndpointProtocol, requests: list[Request]
) -> EndpointProtocol:
    request = requests[0]
    completion = await endpoint.client.completions.create(**protocol.arguments(request))
    _check_model(endpoint, protocol, completion)
    choice = completion.choices[0]
    read = prompt_ids(choice)
    tokens = len(read) if read is not None else completion.usage and completion.usage.prompt_tokens
    if read not in (None, request.prompt) or tokens != len(request.prompt):
        raise EndpointRefusedError(
            f"{endpoint.url}: the server must read our prompt ids, but reads {tokens} tokens for "
            f"{len(request.prompt)}; it must not add any, nor know another tokenizer."
        )
    return protocol._replace(returns_ids=response_ids(choice) is not None)


async def _check_text(
    endpoint: Endpoint, protocol: EndpointProtocol, requests: list[Request]
) -> None:
    for request in requests:
        completion = await endpoint.client.completions.create(**protocol.arguments(request))
        _check_model(endpoint, protocol, completion)
        tokens = completion.usage and completion.usage.prompt_tokens
        theirs = await _tokenize(endpoint, protocol, request)
        if tokens != len(request.prompt) or theirs not in (None, request.prompt):
            raise EndpointRefusedError(
                f"{endpoint.url}: the server must tokenise our prompts as we do, but reads "
                f"{tokens} tokens of {protocol.template.prompt_text(request.prompt)!r}, which has "
                f"{len(request.prompt)}; use a server that takes ids (vLLM, SGLang), or serve the "
                "tokenizer of --llm."
            )


async def _tokenize(
    endpoint: Endpoint, protocol: EndpointProtocol, request: Request
) -> list[int] | None:
    """The ids of a prompt where the server has vLLM's ``/tokenize``; None where it has not."""
    import openai

    url = endpoint.url.removesuffix("/v1") + "/tokenize"
    body = {"model": protocol.model, "prompt": protocol.template.prompt_text(request.prompt)}
    try:
        answer: Any = await endpoint.client.post(url, body=body, cast_to=object)
    except openai.APIError:
        return None
    return answer.get("tokens") if isinstance(answer, dict) else None


def _check_model(endpoint: Endpoint, protocol: EndpointProtocol, completion: Any) -> None:
    served = str(getattr(completion, "model", completion))[:80]
    if served.partition("@")[0] != protocol.model:
        said = f"{served!r} answers"
        raise EndpointRefusedError(_other_model(endpoint, protocol.model, said))


def _other_model(endpoint: Endpoint, model: str, said: str) -> str:
    return (
        f"{endpoint.url}: the endpoint must serve the model {model!r}, but: {said}; give --model "
        "the name under which it serves the LLM."
    )
