"""Processes that do not know of each other would each write over the others' checkpoints."""

from pathlib import Path

import pytest

from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig, AudioCtcTask


def test_unconnected_processes_are_refused(data_folder: Path, monkeypatch: pytest.MonkeyPatch):
    cfg = AudioCtcConfig(data=str(data_folder), seed=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    AudioCtcTask.setup_task(cfg)  # some shells have it set
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RuntimeError, match="The 2 processes that torchrun started must be conn"):
        AudioCtcTask.setup_task(cfg)
    monkeypatch.setenv("WORLD_SIZE", "1")
    AudioCtcTask.setup_task(cfg)
