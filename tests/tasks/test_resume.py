"""Killed and resumed training ends where uninterrupted training does, bit for bit."""

import logging
import re
import socket
import time
from pathlib import Path

import pytest
import torch
from command_line import (
    CHAT,
    CTC,
    OPTIMIZATION,
    TINY_ENCODER,
    USER_DIR,
    finish,
    logged,
    start,
    training_config,
)
from fairseq_cli.train import main as fairseq_train

LAST_UPDATE = 60


def training(data: Path, llm: Path, save_dir: Path) -> list[object]:
    """Arguments of a run with everything random in it: shuffling, masks, dropout."""
    return [
        *(data, "--user-dir", USER_DIR, *CHAT, *TINY_ENCODER, *OPTIMIZATION, "--llm", llm),
        *("--valid-subset", "dev", "--max-update", LAST_UPDATE, "--save-interval-updates", 1),
        *("--save-dir", save_dir, "--stack-frames", 2, "--no-epoch-checkpoints"),
    ]


def launch(arguments: list[object], processes: int) -> list:
    """Start one or more ranks; fairseq's own launcher does not start ranks without GPUs."""
    if processes == 1:
        return [start("fairseq-train", *arguments)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    distributed = [
        *("--distributed-world-size", processes, "--distributed-init-method", address),
        *("--distributed-no-spawn", "--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"),
    ]
    return [
        start("fairseq-train", *arguments, *distributed, "--distributed-rank", rank)
        for rank in range(processes)
    ]


def kill_after_update(running: list, save_dir: Path, update: int) -> None:
    """Kill all ranks, whatever they do, when ``checkpoint_last.pt`` has seen some updates."""
    deadline = time.monotonic() + 120
    while saved_updates(save_dir) < update:
        time.sleep(0.02)
        assert all(process.poll() is None for process in running), "finished before the kill"
        assert time.monotonic() < deadline
    for process in running:
        process.kill()
    for process in running:
        process.communicate()
    assert update <= saved_updates(save_dir) < LAST_UPDATE


def saved_updates(save_dir: Path) -> int:
    """Updates in ``checkpoint_last.pt``, which is whole at any time; 0 if it is not there yet."""
    path = save_dir / "checkpoint_last.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    return int(state["optimizer_history"][-1]["num_updates"])


def updates_at_start(output: str) -> int:
    return int(re.search(r"Loaded checkpoint .*@ (\d+) updates", output)[1])


def parameters(save_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(save_dir / "checkpoint_last.pt", weights_only=True)["model"]


@pytest.mark.parametrize("processes", [1, 2])
def test_resumed_equals_uninterrupted(
    data_folder: Path, llm_path: Path, tmp_path: Path, processes: int
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    outputs = [finish(p) for p in launch(training(data_folder, llm_path, whole), processes)]
    killed = launch(training(data_folder, llm_path, parts), processes)
    kill_after_update(killed, parts, update=5)
    resumed = [finish(p) for p in launch(training(data_folder, llm_path, parts), processes)]
    assert "Loaded checkpoint" in resumed[0]
    assert LAST_UPDATE > updates_at_start(resumed[0]) > 4
    expected, actual = parameters(whole), parameters(parts)
    assert expected.keys() == actual.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, actual[name]), name
    assert logged(outputs[0], "loss") == logged(resumed[0], "loss")


def test_another_batching_is_told_and_skips_nothing(
    data_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The iterator's own tests are in tests/data/test_epoch_position.py."""

    def train(max_tokens: int, update_freq: int, max_update: int) -> str:
        caplog.clear()
        limits = ["--max-tokens", max_tokens, "--update-freq", update_freq]
        run = ["--save-dir", tmp_path, "--max-update", max_update, "--disable-validation"]
        common = [data_folder, "--user-dir", USER_DIR, *CTC, *TINY_ENCODER, *OPTIMIZATION]
        with caplog.at_level(logging.INFO):
            fairseq_train(training_config(*common, *limits, *run))
        return caplog.text

    assert "another batching" not in train(1000, 1, max_update=1)
    assert "another batching" not in train(1000, 1, max_update=2)
    assert (
        "an update is now 1 processes x 2 batches (--max-tokens 1000), and was 1 processes x 1 "
        "batches (--max-tokens 1000); epoch 1 goes on behind 2 of its 4 batches; nothing is"
    ) in train(1000, 2, max_update=3)
    assert "epoch 2 begins" not in train(1000, 2, max_update=4)
    assert "epoch 2 begins again, because its batches are others (2 were done)" in train(500, 2, 5)
