"""The model that the page talks with, as Python has it."""

from pathlib import Path

import pytest

from fairseq_audiochat.chat.audio_chat import AudioChat


@pytest.fixture(scope="session")
def chat(checkpoints: dict[str, Path], llm_path: Path) -> AudioChat:
    """What the page serves: it must answer the same."""
    return AudioChat.from_checkpoint(checkpoints["chat"], llm_path, device="cpu")


@pytest.fixture(scope="session")
def recordings(data_folder: Path) -> list[Path]:
    """Seven recordings of 1 to 2 seconds."""
    return sorted((data_folder / "dev").glob("*.wav"))
