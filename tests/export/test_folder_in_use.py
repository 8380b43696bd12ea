"""An exported model with the wrong LLM, or in the wrong place, is refused."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from test_folder import describe

from fairseq_audiochat.models.audio_prefix_llm import read_encoder_checkpoint
from fairseq_audiochat.tasks._cascade import Cascade

Trained = dict[str, Path]


def load(folder: Path, **settings: object):
    return load_model_ensemble_and_task([str(folder)], settings)


def test_another_llm(exported: Trained, data_folder: Path, tmp_path: Path, caplog):
    other = tiny.make_llm(tmp_path / "other", seed=1)
    caplog.set_level("INFO")
    message = "The LLM must be the one that the checkpoint was trained with, but differs: tokenizer"
    with pytest.raises(ValueError, match=message):
        load(exported["chat"], data=str(data_folder), llm=str(other))
    assert "chat: exported audio_prefix_llm for the LLM 'Tiny-LLM'" in caplog.text


def test_no_llm(exported: Trained, data_folder: Path):
    with pytest.raises(ValueError, match="Tiny-LLM: the LLM must be a folder with config"):
        load(exported["chat"], data=str(data_folder))


def test_another_chat_template(
    exported: Trained, data_folder: Path, llm_path: Path, tmp_path: Path
):
    """As when a later version of the package writes prompts otherwise."""
    folder = Path(shutil.copytree(exported["chat"], tmp_path / "chat"))
    describe(folder, lambda content: content["llm"].update(chat_template="llama2_chat/0"))
    message = (
        "The chat template must be the one that the model was trained with, 'llama2_chat/0', but "
        "is 'llama2_chat/1'; give --llm"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        load(folder, data=str(data_folder), llm=str(llm_path))


def test_the_other_kind_of_model(exported: Trained, data_folder: Path, llm_path: Path):
    task, _ = tiny.make_chat(data_folder, llm_path)
    with pytest.raises(
        ValueError, match="must be a checkpoint of audio_ctc, but is one of 'audio_chat'"
    ):
        Cascade(str(exported["chat"]), task.template, 0)
    cfg = SimpleNamespace(encoder_checkpoint=str(exported["chat"]))
    with pytest.raises(ValueError, match="must be a checkpoint of conformer_ctc, but is one of"):
        read_encoder_checkpoint(cfg)
