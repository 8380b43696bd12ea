"""The tiny `AudioChat` of the tests of `fairseq_audiochat.chat`, and a command line for it."""

from pathlib import Path

import pytest
from chat.conftest import audio_chat, chat_checkpoint, chat_llm, recordings

__all__ = ["audio_chat", "chat_checkpoint", "chat_llm", "model_options", "recordings"]


@pytest.fixture(scope="session")
def model_options(chat_checkpoint: Path, chat_llm: Path) -> list[str]:
    """What every start of the program needs; short answers."""
    model = ["--path", str(chat_checkpoint), "--llm", str(chat_llm), "--device", "cpu"]
    return [*model, "--max-new-tokens", "12"]
