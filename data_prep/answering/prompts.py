"""From an utterance to a request: its prompt and its limit, or why it cannot be answered.

Knows no engine.
"""

from typing import NamedTuple

from answering.engine import Request
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.manifest import Utterance
from fairseq_audiochat.data.response_record import NO_RESPONSE, Response

EMPTY_TRANSCRIPT = "empty transcript"
LONG_PROMPT = "prompt beyond the LLM's context"


class Prompter(NamedTuple):
    """Makes requests.

    Args:
        template: The LLM's chat template.
        factor: Most ids of a response, per token that counts (the paper's section 3.2).
        count: Which tokens count: ``transcript``, or ``prompt`` with the template's.
        max_positions: Positions of the LLM, for prompt and response together.
    """

    template: ChatTemplate
    factor: float
    count: str
    max_positions: int

    def prepare(self, utterance: Utterance) -> Request | Response:
        """The request; or the record of an utterance that cannot be answered."""
        prompt = self.prompt(utterance)
        room = self.max_positions - len(prompt)
        if not utterance.text.strip():
            return Response(utterance.id, prompt, [], "", NO_RESPONSE, EMPTY_TRANSCRIPT)
        if room < 1:
            return Response(utterance.id, prompt, [], "", NO_RESPONSE, LONG_PROMPT)
        transcript = self.template.encode(utterance.text)
        tokens = len(prompt if self.count == "prompt" else transcript)
        return Request(utterance.id, prompt, min(max(1, int(self.factor * tokens)), room))

    def prompt(self, utterance: Utterance) -> list[int]:
        """Prompt ids of a transcript."""
        return self.template.prompt(Conversation.of_text(utterance.text))
