"""The chat template of an LLM, chosen by what is in its folder.

Knows no model.
"""

import json
from pathlib import Path

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.hugging_face_chat import HuggingFaceChat
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.tokenizer_files import (
    SENTENCEPIECE_MODEL,
    is_llama2_chat,
    read_chat_template,
)


def load_template(folder: str | Path) -> ChatTemplate:
    """The chat template with the tokenizer beside an LLM's weights.

    Llama-2's is our own, exact to Meta's ids, for folders with ``tokenizer.model`` whose chat
    template, if there is one, is Llama-2's. All others have ``tokenizer.json`` and a template.

    Raises:
        FileNotFoundError: If the tokenizer is missing.
        ValueError: If it cannot be used, or a chat template is missing.
    """
    folder = Path(folder)
    if not is_llama2_chat(folder):
        return HuggingFaceChat(folder)
    if _is_other_family(folder):
        read_chat_template(folder)  # refuses: without a template, Llama-2's is a Llama's only
    return Llama2Chat(folder / SENTENCEPIECE_MODEL)


def _is_other_family(folder: Path) -> bool:
    """Whether a configuration says that a model is no Llama; Meta's format has none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return config.get("model_type") != "llama"
