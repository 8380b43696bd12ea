"""What many tests share, made once: a tiny LLM, and a data folder that fits it. Read only."""

from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="session")
def llm_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama in Hugging Face format, its ``tokenizer.model`` beside it."""
    return tiny.make_llm(tmp_path_factory.mktemp("llm") / "llm")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory, llm_path: Path) -> Path:
    """``train`` (20 utterances) and ``dev`` (7): manifests, recordings, responses, vocabulary."""
    return tiny.make_data(tmp_path_factory.mktemp("data") / "data", llm_path, train=20, dev=7)
