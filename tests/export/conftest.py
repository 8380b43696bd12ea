"""Two trained checkpoints and their exported folders, made once. Read only."""

from pathlib import Path

import pytest
from command_line import CHAT, CTC
from in_process import commands, train

from fairseq_audiochat.export.__main__ import main

__all__ = ["commands"]


@pytest.fixture(scope="session")
def trained(data_folder: Path, llm_path: Path, tmp_path_factory) -> dict[str, Path]:
    """A CTC checkpoint, and one that is distilled from it, with an average of its weights."""
    folder = tmp_path_factory.mktemp("trained")
    ctc = train(data_folder, folder / "ctc", *CTC, "--max-update", 2)
    chat = train(
        data_folder,
        folder / "chat",
        *(*CHAT, "--llm", llm_path, "--encoder-checkpoint", ctc, "--stack-frames", 2),
        *("--max-update", 3, "--store-ema", "--ema-decay", 0.5),
    )
    return {"ctc": ctc, "chat": chat}


@pytest.fixture(scope="session")
def exported(trained: dict[str, Path], tmp_path_factory) -> dict[str, Path]:
    """The folders of both."""
    folder = tmp_path_factory.mktemp("exported")
    for kind, checkpoint in trained.items():
        assert main([str(checkpoint), str(folder / kind), "--llm-name", "Tiny-LLM"]) == 0
    return {kind: folder / kind for kind in trained}
