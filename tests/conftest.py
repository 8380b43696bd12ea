"""What many tests share, made once: a tiny LLM, and a data folder that fits it. Read only."""

from pathlib import Path

import pytest
import tiny
from browser import browser, chromium  # noqa: F401  fixtures
from command_line import CHAT, CTC, OPTIMIZATION, TINY_ENCODER, USER_DIR, training_config
from fairseq_cli.train import main as fairseq_train


@pytest.fixture(scope="session")
def llm_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama in Hugging Face format, its ``tokenizer.model`` beside it."""
    return tiny.make_llm(tmp_path_factory.mktemp("llm") / "llm")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory, llm_path: Path) -> Path:
    """``train`` (20 utterances) and ``dev`` (7): manifests, recordings, responses, vocabulary."""
    return tiny.make_data(tmp_path_factory.mktemp("data") / "data", llm_path, train=20, dev=7)


@pytest.fixture(scope="session")
def checkpoints(
    tmp_path_factory: pytest.TempPathFactory, data_folder: Path, llm_path: Path
) -> dict[str, Path]:
    """Checkpoints ``ctc`` and ``chat`` (from another random start), of one update each."""
    folder = tmp_path_factory.mktemp("checkpoints")
    common = [data_folder, "--user-dir", USER_DIR, *OPTIMIZATION, *TINY_ENCODER]
    common += ["--max-update", 1, "--valid-subset", "dev", "--disable-validation"]
    common += ["--num-workers", 0]
    for name, options in (("ctc", CTC), ("chat", [*CHAT, "--llm", llm_path])):
        fairseq_train(training_config(*common, *options, "--save-dir", folder / name))
    return {name: folder / name / "checkpoint_last.pt" for name in ("ctc", "chat")}
