"""A folder that is not what was exported is refused in one sentence, whoever reads it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from safetensors.torch import load_file, save_file

from fairseq_audiochat.export.folder import read_folder

Trained = dict[str, Path]


@pytest.fixture
def chat(exported: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported["chat"], tmp_path / "chat"))


@pytest.fixture
def ctc(exported: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported["ctc"], tmp_path / "ctc"))


def refusal(folder: Path) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        read_folder(folder)
    assert str(refused.value).startswith(str(folder))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def describe(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change config.json."""
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


def test_a_folder_that_was_not_exported(tmp_path: Path):
    assert "an exported model must have config.json, but has none; give a folder" in refusal(
        tmp_path
    )


def test_a_description_that_is_broken(chat: Path, llm_path: Path):
    (chat / "config.json").write_text('{"format"')
    assert "config.json: must be JSON, but: " in refusal(chat)
    (chat / "config.json").write_text("[1]")
    assert "'format' must be 'fairseq_audiochat.export/1', but is None" in refusal(chat)
    assert "'format' must be 'fairseq_audiochat.export/1', but is None" in refusal(llm_path)


def test_a_description_of_a_later_format(chat: Path):
    describe(chat, lambda content: content.update(format="fairseq_audiochat.export/2"))
    message = "the format's version must be at most 1, but is 2; install a newer fairseq-audiochat"
    assert message in refusal(chat)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("model"), "'model' must be an object, but is None"),
        (lambda c: c["weights"].update(parameters="many"), "'weights.parameters' must be a number"),
        (lambda c: c["weights"].update(ema=1), "'weights.ema' must be true or false, but is 1"),
        (lambda c: c["llm"].update(name=3), "'llm.name' must be a text, but is 3"),
        (
            lambda c: c["llm"]["fingerprint"].update(embedding="12"),
            "'llm.fingerprint.embedding' must be a SHA-256 digest in hexadecimal, but is '12'",
        ),
        (lambda c: c.update(architecture="other"), "'architecture' must be one that this version"),
        (lambda c: c.update(llm=None), "'llm' must describe the LLM of audio_prefix_llm, and be"),
        (lambda c: c.update(llm=[]), "'llm' must be null, but is []"),
        (lambda c: c["model"].pop("encoder_heads"), "'model' must have the fields encoder_dropout"),
        (
            lambda c: c["model"].update(encoder_heads="four"),
            "'model' must have values that fit, but: Value 'four' of type 'str' could not be",
        ),
        (lambda c: c["model"].update(encoder_heads=5), "must be a multiple of the number of heads"),
        (lambda c: c["model"].update(encoder_width=-1), "config.json: "),
        (lambda c: c["task"].update(llm="x"), "'task' must have the fields llm_dtype, llm_quant"),
        (lambda c: c["task"].update(llm_dtype="int"), "'task' must have values that fit, but: "),
    ],
)
def test_a_description_with_a_bad_value(chat: Path, change, message: str):
    describe(chat, change)
    assert message in refusal(chat)


def test_weights_that_are_missing_or_cut(chat: Path):
    weights = chat / "model.safetensors"
    whole = weights.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        weights.write_bytes(whole[:size])
        assert "model.safetensors: must be a whole safetensors file, but: " in refusal(chat)
    weights.unlink()
    assert "model.safetensors: must exist, but does not; fetch the folder again" in refusal(chat)


def test_tensors_that_are_missing_or_of_another_shape(chat: Path):
    path = chat / "model.safetensors"
    tensors = load_file(path)
    bias = tensors.pop("encoder.adapter.projection.bias")
    save_file(tensors, path)
    said = refusal(chat)
    assert "tensors that config.json describes, but 1 are missing, too many or of another" in said
    assert "(first: 'encoder.adapter.projection.bias' is missing instead of (32,))" in said
    save_file({**tensors, "encoder.adapter.projection.bias": bias[:5].clone()}, path)
    assert "'encoder.adapter.projection.bias' is (5,) instead of (32,))" in refusal(chat)
    save_file({**tensors, "encoder.adapter.projection.bias": bias, "zero": bias.clone()}, path)
    assert "(first: 'zero' is (32,) instead of absent)" in refusal(chat)


def test_files_of_another_export(chat: Path, ctc: Path):
    path = chat / "model.safetensors"
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(bytes(changed))
    assert "model.safetensors: must be the file that config.json describes (SHA-256" in refusal(
        chat
    )
    (ctc / "spm.model").write_bytes(b"other")
    assert "spm.model: must be the file that config.json describes (SHA-256" in refusal(ctc)
    (ctc / "spm.model").unlink()
    assert "spm.model: must exist, but does not" in refusal(ctc)


def test_fairseq_says_the_same(chat: Path, data_folder: Path, llm_path: Path):
    (chat / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"model\.safetensors: must be a whole safetensors file"):
        load_model_ensemble_and_task([str(chat)], {"data": str(data_folder), "llm": str(llm_path)})
