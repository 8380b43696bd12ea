"""The tokenizer's files beside an LLM's weights: what decides prompt ids, and its digest.

Reads no vocabulary and knows no model.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

SENTENCEPIECE_MODEL = "tokenizer.model"
TOKENIZER_JSON = "tokenizer.json"
_CONFIG = "tokenizer_config.json"
_JINJA = "chat_template.jinja"
_SYMBOLS = ("bos_token", "eos_token", "added_tokens_decoder")
_LLAMA2 = "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B </s><s>[INST] C [/INST]"
_LLAMA2_CHAT = [("system", "S"), ("user", "A"), ("assistant", "B"), ("user", "C")]


def is_llama2_chat(folder: Path) -> bool:
    """Whether prompts are Llama-2's: a SentencePiece model, and no other chat template beside it.

    The copies in Hugging Face format have a template that writes what Meta's code writes.
    """
    if not (folder / SENTENCEPIECE_MODEL).is_file():
        return False
    template = _find_chat_template(folder)
    return template is None or _writes_llama2(template)


def read_chat_template(folder: Path) -> str:
    """The chat template of a tokenizer: Jinja.

    Raises:
        ValueError: If there is none.
    """
    template = _find_chat_template(folder)
    if template is None:
        raise ValueError(
            f"{folder / _CONFIG}: the tokenizer must have a chat template, but has none; use an "
            f"instruction-tuned model, or write its template to {folder / _JINJA}."
        )
    return template


def tokenizer_digest(folder: Path) -> str:
    """SHA-256 of what decides prompt ids, in hexadecimal."""
    if is_llama2_chat(folder):
        return hashlib.sha256((folder / SENTENCEPIECE_MODEL).read_bytes()).hexdigest()
    config = _read_config(folder)
    digest = hashlib.sha256((folder / TOKENIZER_JSON).read_bytes())
    digest.update((_find_chat_template(folder) or "").encode())
    symbols = {name: config.get(name) for name in _SYMBOLS}
    digest.update(json.dumps(symbols, sort_keys=True).encode())
    return digest.hexdigest()


def _find_chat_template(folder: Path) -> str | None:
    """A file of its own wins, as in transformers; of several in the configuration, the default."""
    if (folder / _JINJA).is_file():
        return (folder / _JINJA).read_text(encoding="utf-8")
    template = _read_config(folder).get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    return template


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    if not path.is_file():
        return {}
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path}: the tokenizer's configuration must be JSON, but: {error}; fetch it again."
        ) from error
    return config


def _writes_llama2(template: str) -> bool:
    chat = [{"role": role, "content": content} for role, content in _LLAMA2_CHAT]
    try:
        (written,), _ = render_jinja_template(
            [chat], chat_template=template, bos_token="<s>", eos_token="</s>"
        )
    except TemplateError:
        return False
    return bool(written == _LLAMA2)
