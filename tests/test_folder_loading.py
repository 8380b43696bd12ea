"""Where a folder stands for a checkpoint, and where it cannot."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from fairseq import checkpoint_utils

from fairseq_audiochat import folder_loading
from fairseq_audiochat.models.audio_prefix_llm import read_encoder_checkpoint
from fairseq_audiochat.tasks._cascade import Cascade


def test_it_stands_in_fairseqs_place():
    assert checkpoint_utils.load_checkpoint_to_cpu is folder_loading.load_checkpoint_to_cpu
    assert checkpoint_utils.load_checkpoint is folder_loading.load_checkpoint


@pytest.mark.parametrize("option", ["finetune_from_model", "restore_file", "continue_once"])
def test_training_does_not_resume_from_a_folder(tmp_path: Path, option: str):
    """fairseq finds no file there, and would begin anew without a word."""
    name = option.replace("_", "-")
    message = f"--{name} must be a checkpoint's file, but {tmp_path} is a folder; make a file of"
    with pytest.raises(ValueError, match=re.escape(message)):
        checkpoint_utils.load_checkpoint(SimpleNamespace(**{option: str(tmp_path)}), None)


def test_a_folder_without_a_model(tmp_path: Path, data_folder: Path, llm_path: Path):
    message = re.escape(f"{tmp_path}: an exported model must have config.json, but has none")
    with pytest.raises(FileNotFoundError, match=message):
        read_encoder_checkpoint(SimpleNamespace(encoder_checkpoint=str(tmp_path)))
    task, _ = tiny.make_chat(data_folder, llm_path)
    with pytest.raises(FileNotFoundError, match=message):
        Cascade(str(tmp_path), task.template, 0)
