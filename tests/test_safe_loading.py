"""Loading a checkpoint runs no code."""

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from fairseq.checkpoint_utils import load_checkpoint_to_cpu
from omegaconf import OmegaConf

import fairseq_audiochat


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_refused_not_run(tmp_path: Path):
    assert fairseq_audiochat.safe_loading
    torch.save({"model": {}, "extra": Trap(tmp_path / "ran")}, tmp_path / "checkpoint.pt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        load_checkpoint_to_cpu(str(tmp_path / "checkpoint.pt"))
    assert not (tmp_path / "ran").exists()


def test_what_fairseq_stores_is_loaded(tmp_path: Path):
    stored = {
        "cfg": OmegaConf.create({"task": {"data": "d", "list": [1, "a", None, 0.5]}}),
        "args": argparse.Namespace(arch="x"),
    }
    torch.save(stored, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt")
    assert loaded["cfg"] == stored["cfg"]
    assert loaded["args"] == stored["args"]
