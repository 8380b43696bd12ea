"""Loading an LLM: what is broken, missing or unsupported is refused; Meta's format is read."""

import json
import shutil
from pathlib import Path

import families
import pytest
import test_meta_format
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    StableLmConfig,
    StableLmForCausalLM,
)

from fairseq_audiochat.modules.llm_loading import load_llm, read_llm_config


def test_a_folder_that_is_no_llm_is_refused(llm_path: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"must be a folder with config\.json \(or params"):
        load_llm(tmp_path, torch.float32)
    shutil.copy(llm_path / "tokenizer.model", tmp_path)
    for config, message in (
        ('{"model_type": "wav2vec2"}', "its config.json describes a 'wav2vec2' model"),
        ('{"model_type": "clip"}', "its config.json describes a 'clip' model"),
        ('{"model_type": "no-such"}', "must be that of a model which transformers knows"),
        ("{", "must be that of a model which transformers knows"),
    ):
        (tmp_path / "config.json").write_text(config)
        with pytest.raises(ValueError, match=message):
            read_llm_config(tmp_path)  # as the task does, before anything is loaded
        with pytest.raises(ValueError, match=message):
            load_llm(tmp_path, torch.float32)


def test_incomplete_weights_are_refused(llm_path: Path, tmp_path: Path):
    """transformers would fill the gaps with random numbers."""
    shutil.copytree(llm_path, tmp_path / "llm")
    path = tmp_path / "llm/model.safetensors"
    tensors = load_file(path)
    del tensors["lm_head.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 tensors are missing .*lm_head\.weight"):
        load_llm(tmp_path / "llm", torch.float32)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="the LLM's weights must be readable, but"):
        load_llm(tmp_path / "llm", torch.float32)


def test_weights_of_another_shape_are_refused(llm_path: Path, tmp_path: Path):
    shutil.copytree(llm_path, tmp_path / "llm")
    config = json.loads((tmp_path / "llm/config.json").read_text())
    config["intermediate_size"] *= 2
    (tmp_path / "llm/config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"the LLM's weights must be (readable|complete), but"):
        load_llm(tmp_path / "llm", torch.float32)


def test_a_family_with_logits_of_its_own_is_refused(llm_path: Path, tmp_path: Path):
    config = GraniteConfig(
        vocab_size=340,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        logits_scaling=8.0,
    )
    GraniteForCausalLM(config).save_pretrained(tmp_path)
    shutil.copy(llm_path / "tokenizer.model", tmp_path)
    with pytest.raises(ValueError, match=r"those of 'granite' do not .*is not supported"):
        load_llm(tmp_path, torch.float32)


def test_a_family_that_does_not_call_our_attention_is_refused(llm_path: Path, tmp_path: Path):
    """It would see across the sequences of a packed row."""
    config = StableLmConfig(
        vocab_size=340,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    StableLmForCausalLM(config).save_pretrained(tmp_path)
    shutil.copy(llm_path / "tokenizer.model", tmp_path)
    with pytest.raises(ValueError, match=r"must attend through .* those of 'stablelm' do not"):
        load_llm(tmp_path, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_casting_the_model_leaves_the_llm_alone(llm_path: Path, dtype: torch.dtype):
    """fairseq's --fp16 halves the whole model; the LLM's dtype is --llm-dtype."""
    wrapper = torch.nn.ModuleDict({"llm": load_llm(llm_path, dtype), "own": torch.nn.Linear(2, 2)})
    before = [parameter.clone() for parameter in wrapper["llm"].parameters()]
    wrapper.half()
    assert wrapper["own"].weight.dtype == torch.float16
    for tensor, parameter in zip(before, wrapper["llm"].parameters()):
        assert parameter.dtype == dtype
        assert torch.equal(parameter, tensor)  # not rounded either


def test_a_missing_or_broken_file_is_named(tmp_path: Path):
    """Of several, as releases have them."""
    folder = families.make_family(tmp_path / "llm", "llama-3")
    first = sorted(folder.glob("model-*.safetensors"))[0]
    content, index = first.read_bytes(), folder / "model.safetensors.index.json"
    first.unlink()
    with pytest.raises(ValueError, match=rf"1 of \d files are missing \(first: {first.name}\); f"):
        load_llm(folder, torch.float32)
    first.write_bytes(content[:100])
    with pytest.raises(ValueError, match=rf"{first.name}: the LLM's weights must be readable, but"):
        load_llm(folder, torch.float32)
    first.write_bytes(content)
    places = json.loads(index.read_text())
    places["weight_map"]["model.extra"] = first.name
    index.write_text(json.dumps(places))
    with pytest.raises(ValueError, match=r"must hold 'model\.extra', as model\.safetensors\.index"):
        load_llm(folder, torch.float32)
    index.write_text("{}")
    with pytest.raises(
        ValueError, match=r"the index must be JSON with the file of every tensor, b"
    ):
        load_llm(folder, torch.float32)


def test_a_folder_without_weights_or_tokenizer_is_named(tmp_path: Path):
    folder = tiny.make_llm(tmp_path / "llm")
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ValueError, match=r"but: Error no file named model\.safetensors, or pytorch"
    ):
        load_llm(folder, torch.float32)
    (folder / "tokenizer.model").unlink()
    with pytest.raises(ValueError, match=r"with tokenizer\.json or tokenizer\.model, but has none"):
        load_llm(folder, torch.float32)


def test_a_head_that_is_stored_is_used_whatever_is_claimed(tmp_path: Path):
    """transformers warns, and we read what is there."""
    folder = tiny.make_llm(tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    stored = load_file(folder / "model.safetensors")["lm_head.weight"]
    assert torch.equal(load_llm(folder, torch.float32).head.weight, stored)


def test_weights_that_are_pickled_are_read_too(llm_path: Path, tmp_path: Path):
    """``pytorch_model.bin``: loaded as it is stored, and then converted."""
    shutil.copytree(llm_path, tmp_path / "llm")
    weights = tmp_path / "llm/model.safetensors"
    torch.save(load_file(weights), tmp_path / "llm/pytorch_model.bin")
    weights.unlink()
    llm, expected = (load_llm(path, torch.bfloat16) for path in (tmp_path / "llm", llm_path))
    assert llm.fingerprint == expected.fingerprint
    assert torch.equal(llm.head.weight, expected.head.weight)
    bare = AutoModelForCausalLM.from_pretrained(tmp_path / "llm", dtype=torch.bfloat16)
    tokens = torch.arange(100).unsqueeze(0)  # rounded rotary frequencies would show
    assert torch.equal(llm.causal_lm(tokens).logits, bare(tokens).logits)


def test_weights_that_are_quantised_already_are_refused(tmp_path: Path):
    folder = tiny.make_llm(tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match="must be stored unquantised, but are 'gptq'; use the orig"
    ):
        load_llm(folder, torch.float32)


def test_a_folder_in_metas_format_is_an_llm_like_any_other(llm_path: Path, tmp_path: Path):
    folder = test_meta_format.write(tmp_path, test_meta_format.make_weights(8), 2)
    with pytest.raises(ValueError, match=r"with tokenizer\.json or tokenizer\.model, but has none"):
        load_llm(folder, torch.float32)
    shutil.copy(llm_path / "tokenizer.model", folder)
    llm = load_llm(folder, torch.float32)
    assert read_llm_config(folder).to_dict() == llm.causal_lm.config.to_dict()
    tokens = torch.arange(9)
    expected = test_meta_format.meta_logits(test_meta_format.make_weights(8), tokens, 8, 10_000.0)
    got = llm.logits(llm.packed_hidden(llm.embed(tokens), [9]))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert not any(parameter.requires_grad for parameter in llm.parameters())
    assert load_llm(folder, torch.bfloat16).fingerprint == llm.fingerprint
