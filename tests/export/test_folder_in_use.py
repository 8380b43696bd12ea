"""An exported model with the wrong LLM, or in the wrong place, is refused."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from omegaconf import OmegaConf
from test_folder import describe

from fairseq_audiochat.evaluate.__main__ import main as evaluate
from fairseq_audiochat.models.audio_prefix_llm import (
    AudioPrefixLlmConfig,
    read_encoder_checkpoint,
)
from fairseq_audiochat.plan.planned_tasks import resolve_encoder
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


def test_evaluation_takes_folders(
    trained: Trained, exported: Trained, data_folder: Path, llm_path: Path, tmp_path: Path
):
    arms = [f"--end-to-end={name}={paths['chat']}" for name, paths in both(trained, exported)]
    arms += [f"--cascade=ctc_{name}={paths['ctc']}" for name, paths in both(trained, exported)]
    words = ["perplexity", "--llm", llm_path, "--test-set", f"dev={data_folder}/dev.tsv", *arms]
    assert evaluate([str(word) for word in (*words, "--output", tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/perplexity.json").read_text())["dev"]["arms"]
    for kind in ("", "ctc_"):
        assert found[f"{kind}folder"]["perplexity"] == found[f"{kind}file"]["perplexity"]
    record = json.loads((tmp_path / "out/run.json").read_text())["arms"]["folder"]
    config = (exported["chat"] / "config.json").read_bytes()
    assert record["sha256"] == hashlib.sha256(config).hexdigest()
    assert record["updates"] == 3


def both(trained: Trained, exported: Trained) -> list[tuple[str, Trained]]:
    return [("file", trained), ("folder", exported)]


def test_a_plan_takes_the_size_from_a_folder(exported: Trained):
    cfg = OmegaConf.structured(AudioPrefixLlmConfig(encoder_checkpoint=str(exported["ctc"])))
    assert resolve_encoder(cfg) == ""
    assert (cfg.encoder_layers, cfg.encoder_width) == (2, 32)


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
