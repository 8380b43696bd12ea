"""What a split is answered with, and by which LLM: a file of responses, or one of dialogues."""

from pathlib import Path
from typing import Optional, Union

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.dialogues import Dialogues
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint

Answers = Union[Responses, Dialogues]


def open_answers(responses: Path, dialogues: Path, manifest: Manifest) -> Answers:
    """The responses to a split's utterances, or its dialogues.

    Args:
        responses: ``SPLIT.responses.jsonl``.
        dialogues: ``SPLIT.dialogues.jsonl``, read where it exists.
        manifest: The split's utterances.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If there are both, or the file does not fit the manifest.
    """
    if not dialogues.exists():
        return Responses(responses, manifest)
    if responses.exists():
        raise ValueError(
            f"{dialogues}: a split must have responses or dialogues, but {responses.name} is "
            "there too; give one of them another folder (a single turn may be a dialogue)."
        )
    return Dialogues(dialogues, manifest)


def check_origin(
    answers: Answers, template: ChatTemplate, fingerprint: Optional[LlmFingerprint]
) -> None:
    """Refuse answers that an LLM did not give, or not to its template.

    Args:
        answers: What a split is answered with.
        template: The LLM's.
        fingerprint: The LLM's; None where it is not loaded, and is not compared.

    Raises:
        ValueError: With what differs.
    """
    answered = answers.header.template
    if answered and answered != template.name:  # the first files named none
        raise ValueError(
            f"{answers.path}: responses must be to the LLM's chat template {template.name!r}, but "
            f"are to {answered!r}; {answers.regenerate}."
        )
    if fingerprint is None:
        return
    difference = fingerprint.difference_from(answers.header.llm)
    if difference:
        raise ValueError(
            f"{answers.path}: responses must be those of the LLM in --llm, but differ: "
            f"{difference}; {answers.regenerate}."
        )
