"""What is sent to an OpenAI-compatible completions endpoint, and what its answer means.

vLLM (0.10.2 and later) and SGLang take prompts as ids and, asked for ``return_token_ids``, give
ids back: nothing is lost. Others take and give text; then the tokens are counted at both ends,
and what does not agree is excluded. Knows no connection.
"""

from typing import Any, NamedTuple

from answering.engine import Answer, Request
from fairseq_audiochat.data.chat_template import ChatTemplate

OTHER_TOKENS = "prompt that the server reads as other tokens"
NO_ROUND_TRIP = "response whose text does not give its ids"


class BadAnswerError(Exception):
    """A server's answer breaks its protocol; it may be asked again."""


class EndpointProtocol(NamedTuple):
    """How to speak to an endpoint.

    Args:
        model: The model's name there.
        template: The LLM's chat template.
        sends_ids: Whether prompts are sent as ids.
        returns_ids: Whether responses come as ids.
    """

    model: str
    template: ChatTemplate
    sends_ids: bool
    returns_ids: bool

    def __str__(self) -> str:
        names = {True: "ids", False: "text"}
        return f"{names[self.sends_ids]} out, {names[self.returns_ids]} in"

    def arguments(self, request: Request) -> dict[str, Any]:
        """What `openai`'s ``completions.create`` gets."""
        prompt = request.prompt if self.sends_ids else self.template.prompt_text(request.prompt)
        arguments: dict[str, Any] = {
            "model": self.model,
            "prompt": prompt,
            "max_tokens": request.max_new_tokens,
            "temperature": 0,
        }
        if self.sends_ids:
            # vLLM's defaults come from the model's generation_config.json: greedy means none.
            arguments["extra_body"] = {"return_token_ids": True, "repetition_penalty": 1.0}
        return arguments

    def read(self, completion: Any, request: Request) -> Answer:
        """What a completion means.

        Raises:
            BadAnswerError: If it is not what was asked for.
        """
        self._check_model(completion)
        choice = completion.choices[0] if completion.choices else None
        if choice is None or choice.finish_reason not in ("stop", "length"):
            reason = choice and choice.finish_reason
            raise BadAnswerError(f"a completion must end by stop or length, but ends by {reason!r}")
        if self.returns_ids:
            return self._read_ids(choice, request)
        return self._read_text(choice, completion.usage, request)

    def _check_model(self, completion: Any) -> None:
        answering = str(getattr(completion, "model", completion))[:80]  # text if it is no JSON
        # `transformers serve` names the revision, too.
        if answering.partition("@")[0] != self.model:
            raise BadAnswerError(f"the model must be {self.model!r}, but {answering!r} answers")

    def _read_ids(self, choice: Any, request: Request) -> Answer:
        read = prompt_ids(choice)
        if read is not None and read != request.prompt:
            raise BadAnswerError("the server must read our prompt ids, but read others")
        ids = response_ids(choice)
        if ids is None:
            raise BadAnswerError("a completion must have token_ids, but has none")
        if ids[-1:] == [self.template.eos_id]:
            return Answer(request.id, ids[:-1], "eos")
        if choice.finish_reason == "length":
            if len(ids) != request.max_new_tokens:
                raise BadAnswerError(
                    f"a completion that ends by length must have {request.max_new_tokens} ids, "
                    f"but has {len(ids)}"
                )
            return Answer(request.id, ids, "length")
        return Answer(request.id, ids, "eos")

    def _read_text(self, choice: Any, usage: Any, request: Request) -> Answer:
        if usage is None:
            raise BadAnswerError("a completion must say its usage, but does not")
        if usage.prompt_tokens != len(request.prompt):
            return Answer.none(request, OTHER_TOKENS)
        for ended in ("length", "eos"):
            tokens = usage.completion_tokens - (ended == "eos")
            if ended == "length" and choice.finish_reason == "stop":
                continue
            # An EOS at the very limit counts as length for some servers.
            for text in (" " + choice.text, choice.text):  # a leading blank may be lost
                ids = self.template.encode(text)
                if len(ids) == tokens and self._is_text(ids, choice.text):
                    return Answer(request.id, ids, ended)
        return Answer.none(request, NO_ROUND_TRIP)

    def _is_text(self, ids: list[int], text: str) -> bool:
        return self.template.decode(ids).strip(" ") == text.strip(" ")


def prompt_ids(choice: Any) -> list[int] | None:
    """The ids that the server says it read; None if it says nothing."""
    return _ids(choice, "prompt_token_ids")


def response_ids(choice: Any) -> list[int] | None:
    """The ids that the server generated, EOS among them; None if it does not say."""
    return _ids(choice, "token_ids")


def _ids(choice: Any, name: str) -> list[int] | None:
    ids = (choice.model_extra or {}).get(name)
    if not isinstance(ids, list) or not all(isinstance(token, int) for token in ids):
        return None
    return ids
