"""A tiny `AudioChat` that ends its answers now and then, and recordings to ask it with."""

from pathlib import Path

import pytest
import tiny
from transformers import AutoModelForCausalLM

from fairseq_audiochat.chat.audio_chat import AudioChat


@pytest.fixture(scope="session")
def chat_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose EOS scores vary widely."""
    folder = tiny.make_llm(tmp_path_factory.mktemp("chat") / "llm", seed=5)
    stock = AutoModelForCausalLM.from_pretrained(folder)
    stock.lm_head.weight.data[2] *= 2.5
    stock.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chat_checkpoint(chat_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a random model around that Llama."""
    folder = tmp_path_factory.mktemp("chat_checkpoint")
    task, model = tiny.make_chat(folder, chat_llm)
    return tiny.save_checkpoint(folder / "checkpoint.pt", task, model)


@pytest.fixture(scope="session")
def audio_chat(chat_checkpoint: Path, chat_llm: Path) -> AudioChat:
    """What was saved, loaded."""
    return AudioChat.from_checkpoint(chat_checkpoint, chat_llm, device="cpu")


@pytest.fixture(scope="session")
def recordings(data_folder: Path) -> list[str]:
    """Seven recordings of 1 to 2 seconds."""
    return [str(path) for path in sorted((data_folder / "dev").glob("*.wav"))]
