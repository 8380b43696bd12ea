"""A tiny `AudioChat` that ends its answers now and then, and recordings to ask it with."""

from pathlib import Path

import pytest
import tiny
from transformers import AutoModelForCausalLM

from fairseq_audiochat.chat.audio_chat import AudioChat


def make_llm_that_ends(folder: Path, scale: float, **settings: object) -> Path:
    """A random Llama whose EOS scores vary widely: by this factor more than others."""
    tiny.make_llm(folder, seed=5, **settings)
    stock = AutoModelForCausalLM.from_pretrained(folder)
    stock.lm_head.weight.data[2] *= scale
    stock.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chat_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The LLM of `audio_chat`."""
    return make_llm_that_ends(tmp_path_factory.mktemp("chat") / "llm", 2.5)


@pytest.fixture(scope="session")
def laconic_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with a context for long answers, which it hardly ever gives."""
    folder = tmp_path_factory.mktemp("chat") / "llm"
    return make_llm_that_ends(folder, 5.0, max_position_embeddings=4_096)


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
